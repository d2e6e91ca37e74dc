package config

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

// Ingest is the environment of the ingest edge.
type Ingest struct {
	ListenAddr string `env:"LISTEN_ADDR" envDefault:"127.0.0.1:8080" desc:"where Halo's deliveries arrive"`
	AdminAddr  string `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9101" desc:"/metrics, /healthz and /readyz"`
	Edge
	Kafka
	Tracing
	Log
}

// Validate reports all that is wrong, joined.
func (c Ingest) Validate() error {
	return joined(checkAddr("LISTEN_ADDR", c.ListenAddr), checkAddr("ADMIN_ADDR", c.AdminAddr), c.Edge.check(), c.Kafka.check(), c.Tracing.check(), c.Log.check())
}

// Processor is the environment of the processor.
type Processor struct {
	AdminAddr    string `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9102" desc:"/metrics, /healthz and /readyz"`
	KafkaGroup   string `env:"KAFKA_GROUP" desc:"consumer group; default TOPIC_PREFIX and \"processor\"; a replay has its own"`
	OutputPrefix string `env:"OUTPUT_PREFIX" desc:"begins the names of the topics it writes; default TOPIC_PREFIX"`
	Weights
	Kafka
	Tracing
	Log
}

// Output is the prefix of the topics that the processor writes.
func (c Processor) Output() string {
	if c.OutputPrefix == "" {
		return c.TopicPrefix
	}
	return c.OutputPrefix
}

// Group is the consumer group: two installations on one Kafka share nothing.
func (c Processor) Group() string { return cmp.Or(c.KafkaGroup, c.TopicPrefix+"processor") }

// Validate reports all that is wrong, joined.
func (c Processor) Validate() error {
	return joined(checkAddr("ADMIN_ADDR", c.AdminAddr), checkPrefix("OUTPUT_PREFIX", c.OutputPrefix),
		c.Weights.check(), c.Kafka.check(), c.Tracing.check(), c.Log.check())
}

// Processor gives the weights in the processor's form.
func (c Weights) Processor() processor.Weights {
	return processor.Weights{
		TicketLogged:   c.WeightTicketLogged,
		StatusChanged:  c.WeightStatusChanged,
		UpdatedByAgent: c.WeightUpdatedByAgent,
		UpdatedByUser:  c.WeightUpdatedByUser,
	}
}

func (c Weights) check() []error {
	if err := c.Processor().ValidateAs(func(k schemas.Kind) string { return "WEIGHT_" + strings.ToUpper(string(k)) }); err != nil {
		return []error{err}
	}
	return nil
}

// Sink is the environment of the sink.
type Sink struct {
	AdminAddr  string `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9103" desc:"/metrics, /healthz and /readyz"`
	KafkaGroup string `env:"KAFKA_GROUP" desc:"consumer group; default TOPIC_PREFIX and \"sink\"; a replay has its own"`
	ClickHouse
	Batch
	Kafka
	Tracing
	Log
}

// Group is the consumer group.
func (c Sink) Group() string { return cmp.Or(c.KafkaGroup, c.TopicPrefix+"sink") }

// Validate reports all that is wrong, joined.
func (c Sink) Validate() error {
	return joined(checkAddr("ADMIN_ADDR", c.AdminAddr), c.ClickHouse.check(), c.Batch.check(), c.Kafka.check(), c.Tracing.check(), c.Log.check())
}

// Connect is the environment of the control plane.
type Connect struct {
	ListenAddr      string `env:"LISTEN_ADDR" envDefault:"127.0.0.1:8081" desc:"where the control API is served"`
	AdminAddr       string `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9104" desc:"/metrics, /healthz and /readyz"`
	PublicIngestURL string `env:"PUBLIC_INGEST_URL" envDefault:"http://127.0.0.1:8080" desc:"the ingest edge as Halo reaches it"`
	PeerURL         string `env:"PEER_URL" desc:"this instance's control API as another connect reaches it, such as http://10.0.0.7:8081: a standby passes requests on to the one that acts, and is ready; empty: it answers 503 and is not"`
	KeysetFile      string `env:"KEYSET_FILE" desc:"Tink keyset that seals the vault, mode 0600; made by haloctl keys new"`
	APITokensFile   string `env:"API_TOKENS_FILE" desc:"tokens of the control API, hashed; made by haloctl tokens new"`
	EraseDSN        DSN    `env:"CLICKHOUSE_ERASE_DSN" secret:"file" desc:"the database as a user who may delete rows, for erasures; empty: CLICKHOUSE_DSN"`
	Console
	Halo
	ClickHouse
	Kafka
	Log
}

// Erase is the database as the user who erases.
func (c Connect) Erase() string {
	if c.EraseDSN != "" {
		return c.EraseDSN.Reveal()
	}
	return c.ClickHouseDSN.Reveal()
}

// Validate reports all that is wrong, joined.
func (c Connect) Validate() error {
	var errs []error
	if c.KeysetFile == "" {
		errs = append(errs, errors.New("KEYSET_FILE: not set; make one with: haloctl keys new FILE"))
	}
	if c.APITokensFile == "" {
		errs = append(errs, errors.New("API_TOKENS_FILE: not set; make one with: haloctl tokens new --name NAME FILE"))
	}
	if c.PeerURL != "" {
		errs = append(errs, checkURL("PEER_URL", c.PeerURL)...)
	}
	if c.EraseDSN != "" {
		errs = append(errs, c.EraseDSN.check("CLICKHOUSE_ERASE_DSN")...)
	}
	return joined(checkAddr("LISTEN_ADDR", c.ListenAddr), checkAddr("ADMIN_ADDR", c.AdminAddr), checkPublicURL("PUBLIC_INGEST_URL", c.PublicIngestURL, c.HaloAllowNets),
		errs, c.Console.check(), c.Halo.check(), c.ClickHouse.check(), c.Kafka.check(), c.Log.check())
}

// Local is the environment of all stages on one machine. Addresses of engines
// and listeners are fixed there, shifted by PORT_OFFSET.
type Local struct {
	DataDir         string `env:"DATA_DIR" envDefault:"./var" desc:"where both engines, the keyset and the API token are kept"`
	PortOffset      int    `env:"PORT_OFFSET" envDefault:"0" desc:"added to every port"`
	Simulate        bool   `env:"SIMULATE" envDefault:"false" desc:"also run a simulated HaloPSA, connected as tenant demo, with lifelike traffic"`
	LibchdbPath     string `env:"LIBCHDB_PATH" desc:"the ClickHouse library; default: beside the program, then the user's cache"`
	PublicIngestURL string `env:"PUBLIC_INGEST_URL" desc:"the ingest edge as Halo reaches it; default: its loopback address"`
	TZ              string `env:"TZ" desc:"time zone in which the embedded ClickHouse shows times, such as Europe/Berlin; empty: the machine's"`
	Edge
	Weights
	Batch
	Retention
	Console
	Halo
	TopicPrefix string `env:"TOPIC_PREFIX" envDefault:"halo." desc:"begins the names of all topics"`
	Tracing
	Log
}

// Validate reports all that is wrong, joined.
func (c Local) Validate() error {
	var errs []error
	if c.DataDir == "" {
		errs = append(errs, errors.New("DATA_DIR: not set"))
	}
	// The highest of the fixed ports is 9092.
	if c.PortOffset < 0 || c.PortOffset > 65535-9092 {
		errs = append(errs, fmt.Errorf("PORT_OFFSET: want 0 to %d, not %d", 65535-9092, c.PortOffset))
	}
	if c.PublicIngestURL != "" {
		errs = append(errs, checkURL("PUBLIC_INGEST_URL", c.PublicIngestURL)...)
	}
	if _, err := time.LoadLocation(strings.TrimPrefix(c.TZ, ":")); err != nil {
		errs = append(errs, fmt.Errorf("TZ: there is no time zone %q; want a name such as Europe/Berlin", c.TZ))
	}
	return joined(errs, c.Console.check(), checkPrefix("TOPIC_PREFIX", c.TopicPrefix), c.Edge.check(), c.Weights.check(), c.Batch.check(), c.Retention.check(), c.Halo.check(), c.Tracing.check(), c.Log.check())
}

// Topics is the environment of haloctl topics apply.
type Topics struct {
	Kafka
	TopicPartitions  int32 `env:"TOPIC_PARTITIONS" envDefault:"12" desc:"partitions of the event topics when they are created"`
	TopicReplication int16 `env:"TOPIC_REPLICATION" envDefault:"0" desc:"replicas of each topic when it is created; 0: the cluster's default"`
}

// Validate reports all that is wrong, joined.
func (c Topics) Validate() error {
	var errs []error
	if c.TopicPartitions < 1 || c.TopicPartitions > 1000 {
		errs = append(errs, fmt.Errorf("TOPIC_PARTITIONS: want 1 to 1000, not %d", c.TopicPartitions))
	}
	if c.TopicReplication < 0 || c.TopicReplication > 7 {
		errs = append(errs, fmt.Errorf("TOPIC_REPLICATION: want 0 to 7, not %d", c.TopicReplication))
	}
	return joined(errs, c.Kafka.check())
}

// Migrate is the environment of haloctl migrate.
type Migrate struct {
	ClickHouse
	Retention
	Cluster string `env:"CLICKHOUSE_CLUSTER" desc:"the cluster whose hosts all get the tables, as replicas; a name, or a macro such as {cluster}; empty: one server"`
}

// Validate reports all that is wrong, joined.
func (c Migrate) Validate() error {
	var errs []error
	if err := clickhouse.CheckCluster(c.Cluster); err != nil {
		errs = append(errs, fmt.Errorf("CLICKHOUSE_CLUSTER: %w", err))
	}
	return joined(c.ClickHouse.check(), c.Retention.check(), errs)
}

// Rewind is the environment of haloctl rewind sink.
type Rewind struct {
	KafkaGroup string `env:"KAFKA_GROUP" desc:"the sink's consumer group; default TOPIC_PREFIX and \"sink\""`
	Kafka
}

// Group is the sink's consumer group.
func (c Rewind) Group() string { return Sink{KafkaGroup: c.KafkaGroup, Kafka: c.Kafka}.Group() }

// Validate reports all that is wrong, joined.
func (c Rewind) Validate() error { return joined(c.Kafka.check()) }

// Verify is the environment of haloctl verify.
type Verify struct {
	ClickHouse
	Weights
	Kafka
}

// Validate reports all that is wrong, joined.
func (c Verify) Validate() error {
	return joined(c.ClickHouse.check(), c.Weights.check(), c.Kafka.check())
}

// Client is the environment of those commands of haloctl that speak to the
// control API.
type Client struct {
	URL       string         `env:"HALOCTL_URL" envDefault:"http://127.0.0.1:8081" desc:"the control API"`
	Token     schemas.Secret `env:"HALOCTL_TOKEN" desc:"API token; better keep it in a file; empty: that of HALOCTL_TOKEN_FILE"`
	TokenFile string         `env:"HALOCTL_TOKEN_FILE" envDefault:"./var/api-token" desc:"file whose first line is the API token"`
	Tenant    string         `env:"HALOCTL_TENANT" desc:"tenant of commands without --tenant; empty: none"`
}

// Validate reports all that is wrong, joined.
func (c Client) Validate() error { return joined(checkURL("HALOCTL_URL", c.URL)) }

// each takes joined errors apart.
func each(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func joined(lists ...[]error) error {
	var all []error
	for _, l := range lists {
		all = append(all, l...)
	}
	return errors.Join(all...)
}
