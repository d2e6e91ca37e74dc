// Package config is the environment of every program: each variable is named,
// described, defaulted and checked here, and nowhere else.
//
// It promises that a program which started was configured whole: all of the
// environment is read and checked before anything is dialled, and everything
// that is wrong is said at once. What --help prints and what the README's
// table says are made from the same tags that are parsed.
package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/tracing"
	"github.com/worksights/halo-connector/schemas"
)

// Log says what the log looks like.
type Log struct {
	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" desc:"debug, info, warn or error"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" desc:"text (for people) or json"`
}

func (c Log) check() (errs []error) {
	if !oneOf(c.LogLevel, "debug", "info", "warn", "error") {
		errs = append(errs, fmt.Errorf("LOG_LEVEL: want debug, info, warn or error, not %q", c.LogLevel))
	}
	if !oneOf(c.LogFormat, "text", "json") {
		errs = append(errs, fmt.Errorf("LOG_FORMAT: want text or json, not %q", c.LogFormat))
	}
	return errs
}

// Kafka says how to reach the brokers, and under which names our topics are.
type Kafka struct {
	KafkaBrokers       []string       `env:"KAFKA_BROKERS" envDefault:"127.0.0.1:9092" desc:"host:port of one or more brokers, separated by commas"`
	KafkaTLS           bool           `env:"KAFKA_TLS" envDefault:"false" desc:"speak TLS to the brokers, checked against the system's roots or KAFKA_TLS_CA_FILE; each of the three files implies it"`
	KafkaTLSCA         string         `env:"KAFKA_TLS_CA_FILE" desc:"PEM file of the authorities that vouch for the brokers, read again when it changes; empty: the system's"`
	KafkaTLSCert       string         `env:"KAFKA_TLS_CERT_FILE" desc:"PEM file of the client's certificate and its chain; read again when it changes; empty: none"`
	KafkaTLSKey        string         `env:"KAFKA_TLS_KEY_FILE" desc:"PEM file of the certificate's key; empty: none"`
	KafkaSASLMechanism string         `env:"KAFKA_SASL_MECHANISM" desc:"PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; empty: none"`
	KafkaSASLUser      string         `env:"KAFKA_SASL_USER" desc:"user for PLAIN and SCRAM; empty: none"`
	KafkaSASLPassword  schemas.Secret `env:"KAFKA_SASL_PASSWORD" secret:"file" desc:"password for PLAIN and SCRAM; empty: none"`
	KafkaOAuthTokenURL string         `env:"KAFKA_OAUTH_TOKEN_URL" desc:"where OAUTHBEARER gets its tokens, by the grant of client credentials; https, or http on loopback; empty: none"`
	KafkaOAuthClientID string         `env:"KAFKA_OAUTH_CLIENT_ID" desc:"client id for OAUTHBEARER; empty: none"`
	KafkaOAuthSecret   schemas.Secret `env:"KAFKA_OAUTH_CLIENT_SECRET" secret:"file" desc:"client secret for OAUTHBEARER; empty: none"`
	KafkaOAuthScope    string         `env:"KAFKA_OAUTH_SCOPE" desc:"scope to ask for; empty: none"`
	TopicPrefix        string         `env:"TOPIC_PREFIX" envDefault:"halo." desc:"begins the names of all topics"`
}

// Client is the configuration of a stage's Kafka clients.
func (c Kafka) Client(stage string) kafka.Config {
	return kafka.Config{
		Brokers:       c.KafkaBrokers,
		TLS:           c.KafkaTLS,
		SASLMechanism: c.KafkaSASLMechanism,
		SASLUser:      c.KafkaSASLUser,
		SASLPassword:  c.KafkaSASLPassword,
		TLSFiles:      kafka.TLSFiles{CA: c.KafkaTLSCA, Cert: c.KafkaTLSCert, Key: c.KafkaTLSKey},
		OAuth: kafka.OAuth{
			TokenURL: c.KafkaOAuthTokenURL, ClientID: c.KafkaOAuthClientID, ClientSecret: c.KafkaOAuthSecret, Scope: c.KafkaOAuthScope,
		},
		ClientID: stage,
	}
}

// Topics are the names of our topics.
func (c Kafka) Topics() schemas.Topics { return schemas.NewTopics(c.TopicPrefix) }

func (c Kafka) check() (errs []error) {
	client := c.Client("")
	for _, err := range each(client.Validate()) {
		name := "KAFKA_SASL_MECHANISM, KAFKA_SASL_USER, KAFKA_SASL_PASSWORD"
		switch {
		case errors.Is(err, kafka.ErrBroker), errors.Is(err, kafka.ErrNoBrokers):
			name = "KAFKA_BROKERS"
		case errors.Is(err, kafka.ErrTLS):
			name = "KAFKA_TLS_CERT_FILE, KAFKA_TLS_KEY_FILE"
		case errors.Is(err, kafka.ErrOAuth):
			name = "KAFKA_SASL_MECHANISM, KAFKA_OAUTH_TOKEN_URL, KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_CLIENT_SECRET"
		}
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	if (c.KafkaTLSCert == "") == (c.KafkaTLSKey == "") { // else it is said above
		errs = append(errs, each(client.TLSFiles.Check())...)
	}
	return append(errs, checkPrefix("TOPIC_PREFIX", c.TopicPrefix)...)
}

// Edge is what is particular to the ingest edge.
type Edge struct {
	MaxBodyBytes int64 `env:"MAX_BODY_BYTES" envDefault:"2097152" desc:"largest body of a delivery, before and after gunzip, in bytes"`
	RateLimit    int   `env:"RATE_LIMIT" envDefault:"200" desc:"items a second on one connection, bursts of twice that; 0: no limit"`
}

func (c Edge) check() (errs []error) {
	if c.MaxBodyBytes < 1024 || c.MaxBodyBytes > 64<<20 {
		errs = append(errs, fmt.Errorf("MAX_BODY_BYTES: want 1024 to 67108864, not %d", c.MaxBodyBytes))
	}
	if c.RateLimit < 0 {
		errs = append(errs, fmt.Errorf("RATE_LIMIT: want 0 or more, not %d", c.RateLimit))
	}
	return errs
}

// Weights are the weights of the four kinds.
type Weights struct {
	WeightTicketLogged   float32 `env:"WEIGHT_TICKET_LOGGED" envDefault:"1" desc:"weight of a ticket logged; 0 < w <= 1"`
	WeightStatusChanged  float32 `env:"WEIGHT_STATUS_CHANGED" envDefault:"1" desc:"weight of a status change; 0 < w <= 1"`
	WeightUpdatedByAgent float32 `env:"WEIGHT_UPDATED_BY_AGENT" envDefault:"1" desc:"weight of an update by an agent; 0 < w <= 1"`
	WeightUpdatedByUser  float32 `env:"WEIGHT_UPDATED_BY_USER" envDefault:"0.25" desc:"weight of an update by an end user; below the other three"`
}

// Batch is how the sink gathers rows.
type Batch struct {
	BatchRows int           `env:"BATCH_ROWS" envDefault:"50000" desc:"most rows in one insert"`
	BatchWait time.Duration `env:"BATCH_WAIT" envDefault:"500ms" desc:"least time between the starts of two inserts that are not full; a row that comes alone does not wait"`
}

func (c Batch) check() (errs []error) {
	if c.BatchRows < 1 || c.BatchRows > 1_000_000 {
		errs = append(errs, fmt.Errorf("BATCH_ROWS: want 1 to 1000000, not %d", c.BatchRows))
	}
	if c.BatchWait < time.Millisecond || c.BatchWait > time.Minute {
		errs = append(errs, fmt.Errorf("BATCH_WAIT: want 1ms to 1m, not %v", c.BatchWait))
	}
	return errs
}

// ClickHouse says how to reach the database.
type ClickHouse struct {
	ClickHouseDSN DSN `env:"CLICKHOUSE_DSN" secret:"file" envDefault:"http://127.0.0.1:8123/worksights" desc:"clickhouse://user:password@host:9000/worksights or http(s)://…:8123/worksights; several hosts separated by commas, asked in order"`
}

func (c ClickHouse) check() []error { return c.ClickHouseDSN.check("CLICKHOUSE_DSN") }

// Retention is how long ClickHouse keeps rows.
type Retention struct {
	RetentionMonths int `env:"RETENTION_MONTHS" envDefault:"25" desc:"months after which rows are removed from ClickHouse"`
}

func (c Retention) check() []error {
	if c.RetentionMonths < 1 || c.RetentionMonths > 240 {
		return []error{fmt.Errorf("RETENTION_MONTHS: want 1 to 240, not %d", c.RetentionMonths)}
	}
	return nil
}

// Tracing says which deliveries are followed to their rows, and where their
// traces go.
type Tracing struct {
	TraceEndpoint string  `env:"OTEL_EXPORTER_OTLP_ENDPOINT" desc:"collector of traces, OTLP over HTTP, such as http://127.0.0.1:4318; empty: no tracing"`
	TraceRatio    float64 `env:"TRACE_RATIO" envDefault:"0.01" desc:"share of deliveries that are traced, 0 to 1"`
}

// Of is the configuration of a program's tracing.
func (c Tracing) Of(program string) tracing.Config {
	return tracing.Config{Endpoint: c.TraceEndpoint, Ratio: c.TraceRatio, Program: program}
}

// Joining is the tracing of a stage that follows what another began to follow,
// and nothing else.
func (c Tracing) Joining() Tracing {
	c.TraceRatio = 0
	return c
}

func (c Tracing) check() []error {
	if err := c.Of("").Validate(); err != nil {
		return []error{fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT, TRACE_RATIO: %w", err)}
	}
	return nil
}

// Halo is how the control plane treats customers' Halo instances.
type Halo struct {
	HaloAllowNets  halopsa.Nets  `env:"HALO_ALLOW_NETS" desc:"CIDRs that may be dialled although private or loopback, for one tenant (acme=10.1.0.0/16) or for all; only there may a tenant URL be http://; empty: none"`
	HealthInterval time.Duration `env:"HEALTH_INTERVAL" envDefault:"5m" desc:"how often each connection's health is checked"`
}

func (c Halo) check() []error {
	if c.HealthInterval < time.Second {
		return []error{fmt.Errorf("HEALTH_INTERVAL: want 1s or more, not %v", c.HealthInterval)}
	}
	return nil
}

func checkPrefix(name, prefix string) []error {
	for _, c := range prefix {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return []error{fmt.Errorf("%s: a topic's name holds letters, digits, '.', '_' and '-' only", name)}
		}
	}
	if len(prefix) > 200 {
		return []error{fmt.Errorf("%s: longer than 200 characters", name)}
	}
	return nil
}

func checkAddr(name, addr string) []error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return []error{fmt.Errorf("%s: want host:port or :port with a port up to 65535, not %q", name, addr)}
	}
	return nil
}

func oneOf(s string, set ...string) bool {
	for _, v := range set {
		if s == v {
			return true
		}
	}
	return false
}
