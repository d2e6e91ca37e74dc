package halopsa_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
)

// serveTLS starts a tenant behind a self-signed certificate and returns its
// address and the certificate as a CA bundle.
func serveTLS(t *testing.T, edit func(*x509.Certificate)) (url string, bundle []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "halo.customer.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(halotest.New(halotest.Config{ClientID: clientID, ClientSecret: clientSecret}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are what is tested
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestSelfHostedHaloIsTrustedByItsOwnBundle(t *testing.T) {
	url, bundle := serveTLS(t, nil)
	for name, bundle := range map[string][]byte{
		"the certificate":  bundle,
		"with text around": append([]byte("subject: our own authority\n"), append(bundle, "\n\n"...)...),
		"two certificates": append(append([]byte{}, bundle...), bundle...),
	} {
		client := newClient(t, url, func(c *halopsa.Config) { c.CABundle = bundle })
		if err := client.Authenticate(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificateThatIsNotTrustedSaysWhy(t *testing.T) {
	for name, test := range map[string]struct {
		edit    func(*x509.Certificate)
		trusted bool
		message string
	}{
		"own authority": {
			nil, false,
			"The certificate of HOST is signed by an authority that is not trusted, or its chain is incomplete.",
		},
		"another host's": {
			func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }, true,
			"The certificate that HOST shows is another host's.",
		},
		"expired": {
			func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, true,
			"The certificate of HOST has expired, or is not valid yet.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, bundle := serveTLS(t, test.edit)
			client := newClient(t, url, func(c *halopsa.Config) {
				if test.trusted {
					c.CABundle = bundle
				}
			})
			err := client.Authenticate(t.Context())
			var e *halopsa.Error
			if !errors.As(err, &e) || e.Cause != halopsa.CertificateUntrusted {
				t.Fatalf("got %v", err)
			}
			if want := strings.ReplaceAll(test.message, "HOST", client.Host()); e.Message != want {
				t.Errorf("message %q, want %q", e.Message, want)
			}
			if !strings.Contains(e.Action, "CA bundle") {
				t.Errorf("action %q", e.Action)
			}
		})
	}
}

func TestHostThatCannotBeReachedSaysHow(t *testing.T) {
	_, plain := startTenant(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	for name, test := range map[string]struct {
		url     string
		cause   halopsa.Cause
		message string
	}{
		"nobody listens": {"https://" + l.Addr().String(), halopsa.Unreachable, "HOST cannot be reached."},
		"no TLS":         {"https://" + plain.Host(), halopsa.NotHalo, "What answers at HOST does not speak TLS."},
		"no such host":   {"https://nobody.invalid", halopsa.Unreachable, "There is no host named nobody.invalid."},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, test.url, func(c *halopsa.Config) { c.Resolver = resolveNothing() })
			err := client.Authenticate(t.Context())
			var e *halopsa.Error
			if !errors.As(err, &e) || e.Cause != test.cause {
				t.Fatalf("got %v, want %s", err, test.cause)
			}
			if want := strings.ReplaceAll(test.message, "HOST", client.Host()); e.Message != want {
				t.Errorf("message %q, want %q", e.Message, want)
			}
		})
	}
}
