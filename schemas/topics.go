package schemas

import "time"

// DefaultTopicPrefix begins the names of our topics.
const DefaultTopicPrefix = "halo."

// HeaderSchema is the record header that names schema and version.
const HeaderSchema = "schema"

// The schemas of the records, as they stand in [HeaderSchema].
const (
	EventSchema      = "halo.event/1"
	ActivitySchema   = "halo.activity/1"
	SkipSchema       = "halo.skip/1"
	ConnectionSchema = "halo.connection/1"
	MappingSchema    = "halo.mapping/1"
	VaultSchema      = "halo.vault/1"
	ChangeSchema     = "halo.change/1"
	RefusedSchema    = "halo.refused/1"
	ReachedSchema    = "halo.reached/1"
	ErasureSchema    = "halo.erasure/1"
	TermSchema       = "halo.term/1"
)

// Topics are the names of our topics under one prefix.
type Topics struct {
	Events      string // all that arrived: Event, key tenant
	Activities  string // Activity, key tenant
	Skipped     string // Skip, key tenant
	Connections string // Connection, key connection; compacted
	Mappings    string // Mapping, key tenant/agent; compacted
	Vault       string // sealed state of connect, key tenant; compacted
	Erasures    string // Erasure, key tenant or tenant/user; compacted
	Changes     string // Change, key tenant
	Deliveries  string // Refused, key tenant
	Reached     string // Reached, key tenant
	Dead        string // records of ours that will never parse, key as at their source
}

// NewTopics names the topics under prefix, which is "halo." in production and
// something else for a replay that runs beside it.
func NewTopics(prefix string) Topics {
	return Topics{
		Events:      prefix + "events",
		Activities:  prefix + "activities",
		Skipped:     prefix + "skipped",
		Connections: prefix + "connections",
		Mappings:    prefix + "mappings",
		Vault:       prefix + "vault",
		Erasures:    prefix + "erasures",
		Changes:     prefix + "changes",
		Deliveries:  prefix + "deliveries",
		Reached:     prefix + "reached",
		Dead:        prefix + "dead",
	}
}

// TopicSpec says how a topic is to be created.
type TopicSpec struct {
	Name       string
	Compact    bool          // keep the last record of every key for ever
	Retention  time.Duration // keep records this long; unused where Compact is set
	Partitions int32
}

// Specs are the topics in the order in which they are created.
//
// The topics with a tenant's records have twelve partitions: a tenant meets one
// of them, and twelve divide evenly among 2, 3, 4 or 6 processes. The tables have
// one each, which thousands of tenants do not fill: one partition gives one order
// of all changes, which is what the fence of connect's terms rests on. 30 days
// are how long a replay can reach back, 400 how long an audit can, 7 how long
// anybody asks about a delivery that was refused.
func (t Topics) Specs() []TopicSpec {
	const day = 24 * time.Hour
	return []TopicSpec{
		{Name: t.Connections, Compact: true, Partitions: 1},
		{Name: t.Mappings, Compact: true, Partitions: 1},
		{Name: t.Vault, Compact: true, Partitions: 1},
		{Name: t.Erasures, Compact: true, Partitions: 1},
		{Name: t.Events, Retention: 30 * day, Partitions: 12},
		{Name: t.Activities, Retention: 30 * day, Partitions: 12},
		{Name: t.Skipped, Retention: 30 * day, Partitions: 12},
		{Name: t.Changes, Retention: 400 * day, Partitions: 12},
		{Name: t.Deliveries, Retention: 7 * day, Partitions: 12},
		{Name: t.Reached, Retention: 30 * day, Partitions: 12},
		{Name: t.Dead, Retention: 90 * day, Partitions: 1},
	}
}
