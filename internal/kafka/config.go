// Package kafka makes the Kafka clients of all stages, so that each of them
// gives the same guarantees.
//
//   - A record whose promise returned nil is on every in-sync replica, once,
//     and after all records that this client produced before to its partition.
//   - A consumer commits nothing on its own and gives no partition away while
//     a batch is in hand: what is committed was settled by its owner.
//   - What is followed into memory is followed from its very first record, and
//     never skips one without saying so.
//
// Every option that keeps one of these true stands in client.go with its
// reason. Options handed in by the caller come last and win; tests use them to
// reach a broker in memory.
package kafka

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/schemas"
)

// The ways to misconfigure a client; [Config.Validate] wraps them.
var (
	ErrNoBrokers     = errors.New("no Kafka broker is configured")
	ErrBroker        = errors.New("not a broker address host:port")
	ErrMechanism     = errors.New("SASL mechanism is not PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	ErrNoCredentials = errors.New("SASL mechanism without user or password")
	ErrNoMechanism   = errors.New("SASL user or password without mechanism")
	ErrTLS           = errors.New("client certificate for the brokers")
	ErrOAuth         = errors.New("OAUTHBEARER")
)

// The SASL mechanisms of [Config.SASLMechanism].
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
	OAuthBearer = "OAUTHBEARER"
)

// Config says how to reach the brokers.
type Config struct {
	Brokers       []string // host:port each; one that answers is enough
	TLS           bool     // verified; there is no "skip verification". A file of TLSFiles implies it
	TLSFiles      TLSFiles
	SASLMechanism string // "" (none), Plain, ScramSHA256, ScramSHA512 or OAuthBearer
	SASLUser      string // of Plain and the Scrams
	SASLPassword  schemas.Secret
	OAuth         OAuth  // of OAuthBearer
	ClientID      string // names the process in the brokers' logs and in our metrics; the stage's name
}

// Validate reports everything that is wrong with the configuration, joined.
// It dials nobody.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, ErrNoBrokers)
	}
	for _, b := range c.Brokers {
		if strings.Contains(b, "@") { // before it there may be a password
			errs = append(errs, fmt.Errorf("%w: nothing else goes into it, and no user", ErrBroker))
		} else if !isHostPort(b) {
			errs = append(errs, fmt.Errorf("%w: %q", ErrBroker, b))
		}
	}
	credentials := c.SASLUser != "" || c.SASLPassword != ""
	switch c.SASLMechanism {
	case "":
		if credentials {
			errs = append(errs, ErrNoMechanism)
		}
	case Plain, ScramSHA256, ScramSHA512:
		if c.SASLUser == "" || c.SASLPassword == "" {
			errs = append(errs, fmt.Errorf("%w: %s", ErrNoCredentials, c.SASLMechanism))
		}
	case OAuthBearer:
		if credentials {
			errs = append(errs, fmt.Errorf("%w takes no SASL user or password", ErrOAuth))
		}
	default:
		errs = append(errs, fmt.Errorf("%w: %q", ErrMechanism, c.SASLMechanism))
	}
	if c.SASLMechanism == OAuthBearer || c.OAuth != (OAuth{}) {
		errs = append(errs, c.OAuth.validate(c.SASLMechanism == OAuthBearer)...)
	}
	if (c.TLSFiles.Cert == "") != (c.TLSFiles.Key == "") {
		errs = append(errs, fmt.Errorf("%w: want both the certificate and its key, or neither", ErrTLS))
	}
	return errors.Join(errs...)
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || strings.ContainsAny(s, " \t\r\n") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// security is TLS and SASL as client options. It reads the files that the
// configuration names.
func (c Config) security(o fresh.Options) ([]kgo.Opt, error) {
	var opts []kgo.Opt
	trust := func() (*x509.CertPool, error) { return nil, nil }
	if c.TLS || c.TLSFiles != (TLSFiles{}) {
		d, err := c.TLSFiles.dialer(o)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.Dialer(d.dial))
		trust = d.alsoTheirs
	}
	user, pass := c.SASLUser, c.SASLPassword.Reveal()
	switch c.SASLMechanism {
	case Plain:
		opts = append(opts, kgo.SASL(plain.Auth{User: user, Pass: pass}.AsMechanism()))
	case ScramSHA256:
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: pass}.AsSha256Mechanism()))
	case ScramSHA512:
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: pass}.AsSha512Mechanism()))
	case OAuthBearer:
		opts = append(opts, kgo.SASL(oauth.Oauth(newTokens(c.OAuth, trust).authenticate)))
	}
	return opts, nil
}
