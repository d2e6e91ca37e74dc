package ledger

import (
	"maps"
	"slices"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// User is an entry of the tenant's WorkSights directory. A user may stand in it
// several times, with an address each.
type User struct {
	ID    schemas.UserID `json:"user_id"`
	Email string         `json:"email"`
}

// Agent is one of the tenant's agents as Halo listed it last.
type Agent struct {
	ID       schemas.AgentID `json:"id"`
	Name     string          `json:"name"`
	Email    string          `json:"email"`
	Disabled bool            `json:"disabled,omitempty"`
	API      bool            `json:"api,omitempty"` // a machine

	// Missing agents are mapped and were not in the last list. A list that
	// lacks somebody ends no mapping.
	Missing bool `json:"missing,omitempty"`
}

// Credentials open a tenant's Halo.
type Credentials struct {
	TenantURL    string
	ClientID     string
	ClientSecret schemas.Secret
	CABundle     []byte
}

// Former is what a webhook that was replaced had bound, until its secret ends.
type Former struct {
	Until         time.Time              `json:"until"`
	Notifications map[int64]schemas.Kind `json:"notifications"`
}

// Leaving is what a disconnect has yet to remove from a Halo: webhooks, by their ids,
// with the credentials for that and for nothing else. Once they are gone, or until has
// passed, it is destroyed.
type Leaving struct {
	Credentials
	Webhooks []string
	Until    time.Time
}

// State is what the vault record of a tenant says. It is a value: whoever wants
// another makes the next one, with slices and maps of its own where they differ,
// and has it written. All but the credentials outlives them.
type State struct {
	Credentials *Credentials `json:"-"` // nil: not connected

	TenantURL   string    `json:"tenant_url,omitempty"`
	ConnectedAt time.Time `json:"connected_at,omitzero"` // of the first connect since the last disconnect

	WebhookID     string                 `json:"webhook_id,omitempty"`
	Verifiers     []schemas.Verifier     `json:"verifiers,omitempty"`
	Notifications map[int64]schemas.Kind `json:"notifications,omitempty"`
	// Former are those of the webhooks that WebhookID replaced, the last one first.
	// Like a verifier that ended, they are dropped with the next registration.
	Former []Former `json:"former,omitempty"`
	// Numbers are those of the events in the tenant's catalogue, by which an
	// event is known that somebody bound to the webhook in Halo.
	Numbers map[schemas.Kind]int64 `json:"numbers,omitempty"`
	// Untidy says that webhooks of ours other than WebhookID may be left in
	// Halo, and Replaced names those that are known: they are set with the new
	// WebhookID and cleared once all are gone.
	Untidy   bool     `json:"untidy,omitempty"`
	Replaced []string `json:"replaced,omitempty"`

	Agents   []Agent   `json:"agents,omitempty"`
	ListedAt time.Time `json:"listed_at,omitzero"` // when Halo gave them
	// Users is nil until a directory was given. An empty one is a directory
	// too: it has nobody in it.
	Users []User `json:"users"`
	// Hand is what was decided by hand: a user, or "" for nobody.
	Hand map[schemas.AgentID]schemas.UserID `json:"hand,omitempty"`
	// Ignored are those of Hand's nobodies of whom nobody wants to hear again.
	Ignored map[schemas.AgentID]bool `json:"ignored,omitempty"`

	// Kept are agents whom the directory no longer matches by e-mail to the users they
	// are mapped to, and who stay theirs: a changed e-mail ends no mapping.
	Kept map[schemas.AgentID]schemas.UserID `json:"kept,omitempty"`

	// LeftInHalo says in words what a disconnect could not remove there, and Leaving is
	// what it takes to try again.
	LeftInHalo []string  `json:"left_in_halo,omitempty"`
	Leaving    []Leaving `json:"-"`

	Findings Findings `json:"findings,omitzero"`
}

// Connected says whether the tenant has credentials.
func (s State) Connected() bool { return s.Credentials != nil }

// User says whether the directory has the user.
func (s State) User(id schemas.UserID) bool {
	return slices.ContainsFunc(s.Users, func(u User) bool { return u.ID == id })
}

// Agent finds an agent by its id.
func (s State) Agent(id schemas.AgentID) (Agent, bool) {
	i := slices.IndexFunc(s.Agents, func(a Agent) bool { return a.ID == id })
	if i < 0 {
		return Agent{}, false
	}
	return s.Agents[i], true
}

// Connection is what the edge may know of it.
func (s State) Connection(t schemas.Tenant) schemas.Connection {
	known := make(map[int64]schemas.Kind)
	for _, f := range s.Former {
		maps.Copy(known, f.Notifications)
	}
	maps.Copy(known, s.Notifications)
	return schemas.Connection{
		ID:            schemas.ConnectionIDOf(t),
		Tenant:        t,
		WebhookID:     s.WebhookID,
		Verifiers:     s.Verifiers,
		Notifications: known,
	}
}

// Snapshot is a tenant as Kafka acknowledged it. It is never changed, and must
// not be: the next one shares what is the same.
type Snapshot struct {
	Tenant schemas.Tenant
	State

	// Mappings are the agents' histories, closed ones included.
	Mappings map[schemas.AgentID]schemas.Mapping

	// Published is what the edge knows; nil: nothing, deliveries get 401.
	Published *schemas.Connection

	// Erasures are those of the tenant's people, and that of the tenant itself,
	// which has no user. By key: see [schemas.Erasure].
	Erasures map[string]schemas.Erasure

	// Sealed is why the vault record tells nothing; nil: it does. It wraps
	// [ErrSealed]. State is then the zero one, which means nothing.
	Sealed error

	// stale is nil where there is no vault record.
	stale func() bool
}

// Known says whether the tenant ever had a connection, or is sealed and so must
// have had one.
func (s *Snapshot) Known() bool {
	return s.TenantURL != "" || s.Sealed != nil || len(s.LeftInHalo) > 0
}

// Mapped is the open interval of the agent.
func (s *Snapshot) Mapped(agent schemas.AgentID) (schemas.Interval, bool) {
	return s.Mappings[agent].Current()
}

// Stale says that the vault record is sealed with an older key than the one that
// seals now, which may have come since: a [Change] with the same state seals it
// again.
func (s *Snapshot) Stale() bool { return s.stale != nil && s.stale() }
