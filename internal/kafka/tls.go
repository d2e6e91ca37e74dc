package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/worksights/halo-connector/internal/fresh"
)

// TLSFiles are PEM files. They are read again when they change, and count for
// the connections that are made from then on; one that exists is not cut off.
type TLSFiles struct {
	CA   string // who may vouch for the brokers, in place of the system's roots; empty: those
	Cert string // who we are, where brokers ask; the chain, ours first
	Key  string
}

// handshakeTimeout bounds connecting and the handshake together.
const handshakeTimeout = 5 * time.Second

// dialer makes the connections to the brokers.
type dialer struct {
	ca   *fresh.File[*roots] // nil: the system's
	cert *fresh.File[*tls.Certificate]
}

// roots are those of a file, in both forms that are needed.
type roots struct {
	pem  []byte
	pool *x509.CertPool
}

// Check reads the files, as a client would, and changes nothing.
func (f TLSFiles) Check() error {
	_, err := f.dialer(fresh.Options{})
	return err
}

func (f TLSFiles) dialer(o fresh.Options) (d dialer, err error) {
	var errs []error
	if f.CA != "" {
		if d.ca, err = fresh.Open("KAFKA_TLS_CA_FILE", f.CA, parseRoots, o); err != nil {
			errs = append(errs, fmt.Errorf("KAFKA_TLS_CA_FILE: %w", err))
		}
	}
	if f.Cert != "" {
		pair := func(content []byte, _ fs.FileInfo, held *tls.Certificate) (*tls.Certificate, error) {
			key, err := os.ReadFile(f.Key)
			if err != nil {
				return held, fmt.Errorf("KAFKA_TLS_KEY_FILE: %w", err)
			}
			cert, err := tls.X509KeyPair(content, key)
			if err != nil {
				return held, fmt.Errorf("with the key of KAFKA_TLS_KEY_FILE: %w", err)
			}
			return &cert, nil
		}
		if d.cert, err = fresh.Open("KAFKA_TLS_CERT_FILE", f.Cert, pair, o); err != nil {
			errs = append(errs, fmt.Errorf("KAFKA_TLS_CERT_FILE: %w", err))
		}
	}
	return d, errors.Join(errs...)
}

func parseRoots(content []byte, _ fs.FileInfo, held *roots) (*roots, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return held, errors.New("there is no certificate in PEM in the file")
	}
	return &roots{content, pool}, nil
}

func (d dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.ca != nil {
		cfg.RootCAs = d.ca.Get().pool
	}
	if d.cert != nil {
		// Not Certificates: of those the client sends none that is of another
		// authority than the broker names, and the broker says only "required".
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return d.cert.Get(), nil }
	}
	td := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: cfg}
	conn, err := td.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("%s by TLS: %w", addr, err)
	}
	return conn, nil
}

// alsoTheirs are the system's roots and those of the file: for a server beside
// the brokers, which may be known to either.
func (d dialer) alsoTheirs() (*x509.CertPool, error) {
	if d.ca == nil {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	pool.AppendCertsFromPEM(d.ca.Get().pem)
	return pool, nil
}
