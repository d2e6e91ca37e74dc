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
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/worksights/halo-connector/schemas"
)

// The ways to misconfigure a client; [Config.Validate] wraps them.
var (
	ErrNoBrokers     = errors.New("no Kafka broker is configured")
	ErrBroker        = errors.New("not a broker address host:port")
	ErrMechanism     = errors.New("SASL mechanism is not PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	ErrNoCredentials = errors.New("SASL mechanism without user or password")
	ErrNoMechanism   = errors.New("SASL user or password without mechanism")
)

// The SASL mechanisms of [Config.SASLMechanism].
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// Config says how to reach the brokers.
type Config struct {
	Brokers       []string // host:port each; one that answers is enough
	TLS           bool     // verified against the system's roots; there is no "skip verification"
	SASLMechanism string   // "" (none), Plain, ScramSHA256 or ScramSHA512
	SASLUser      string
	SASLPassword  schemas.Secret
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
	default:
		errs = append(errs, fmt.Errorf("%w: %q", ErrMechanism, c.SASLMechanism))
	}
	return errors.Join(errs...)
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// security is TLS and SASL as client options.
func (c Config) security() []kgo.Opt {
	var opts []kgo.Opt
	if c.TLS {
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	user, pass := c.SASLUser, c.SASLPassword.Reveal()
	switch c.SASLMechanism {
	case Plain:
		opts = append(opts, kgo.SASL(plain.Auth{User: user, Pass: pass}.AsMechanism()))
	case ScramSHA256:
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: pass}.AsSha256Mechanism()))
	case ScramSHA512:
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: pass}.AsSha512Mechanism()))
	}
	return opts
}
