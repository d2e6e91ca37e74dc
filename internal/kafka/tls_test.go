package kafka

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/worksights/halo-connector/internal/fresh"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	a := authority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a authority) sign(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return signed, key
}

// leaf is a certificate of one name, good on loopback, with its key, in PEM.
func (a authority) leaf(name string) (cert, key []byte) {
	a.t.Helper()
	c, k := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	})
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// server is a broker's side: known by a, and knowing clients by a.
func (a authority) server() *tls.Config {
	a.t.Helper()
	cert, err := tls.X509KeyPair(a.leaf("broker"))
	if err != nil {
		a.t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func filesOf(t *testing.T, a authority, name string) TLSFiles {
	t.Helper()
	dir := t.TempDir()
	f := TLSFiles{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	cert, key := a.leaf(name)
	put(t, f.CA, a.pem())
	put(t, f.Cert, cert)
	put(t, f.Key, key)
	return f
}

func TestAClientShowsItsCertificateAndTrustsTheAuthorityOfItsFile(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events"), kfake.TLS(ours.server()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	good := filesOf(t, ours, "ingest")
	stranger := filesOf(t, theirs, "ingest")
	for _, tt := range []struct {
		name  string
		tls   bool
		files TLSFiles
		works bool
	}{
		{"both", true, good, true},
		{"the files imply TLS", false, good, true},
		{"the system's roots", true, TLSFiles{Cert: good.Cert, Key: good.Key}, false},
		{"no certificate", true, TLSFiles{CA: good.CA}, false},
		{"a certificate of another authority", true, TLSFiles{CA: good.CA, Cert: stranger.Cert, Key: stranger.Key}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cl, err := NewProducer(Config{Brokers: c.ListenAddrs(), TLS: tt.tls, TLSFiles: tt.files, ClientID: "test"}, slog.New(slog.DiscardHandler), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if err := cl.Ping(ctx); (err == nil) != tt.works {
				t.Errorf("ping: %v, want it to work: %v", err, tt.works)
			}
		})
	}
}

func TestFilesThatAreReplacedCountForTheNextConnection(t *testing.T) {
	before, after := newAuthority(t), newAuthority(t)
	server := before.server()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return server, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("x")) // the handshake first
			conn.Close()
		}
	}()
	files := filesOf(t, before, "ingest")
	now := time.Now()
	var log bytes.Buffer
	d, err := files.dialer(fresh.Options{Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil)), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	dial := func() error {
		now = now.Add(time.Second)
		conn, err := d.dial(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	server = after.server()
	if err := dial(); err == nil || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("an authority that the file does not have: %v, want an error with the address", err)
	}
	put(t, files.CA, after.pem())
	cert, key := after.leaf("ingest")
	put(t, files.Cert, cert)
	if err := dial(); err == nil {
		t.Error("the old certificate was taken")
	}
	if n := strings.Count(log.String(), "cannot be used"); n != 1 {
		t.Errorf("a certificate without its key is said %d times:\n%s", n, &log)
	}
	put(t, files.Key, key) // the key comes after its certificate
	if err := dial(); err != nil {
		t.Errorf("all three replaced: %v", err)
	}
}

func TestFilesThatCannotBeUsedAreNamedByTheirVariable(t *testing.T) {
	a := newAuthority(t)
	good := filesOf(t, a, "ingest")
	other := filesOf(t, a, "other")
	junk := filepath.Join(t.TempDir(), "junk")
	put(t, junk, []byte("not PEM"))
	for want, f := range map[string]TLSFiles{
		"KAFKA_TLS_CA_FILE: there is no certificate":    {CA: junk},
		"KAFKA_TLS_CA_FILE: open":                       {CA: junk + "x"},
		"KAFKA_TLS_CERT_FILE: with the key":             {Cert: good.Cert, Key: other.Key},
		"KAFKA_TLS_CERT_FILE: KAFKA_TLS_KEY_FILE: open": {Cert: good.Cert, Key: junk + "x"},
	} {
		if err := f.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}
