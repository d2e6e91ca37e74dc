package connect

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/vault"
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

// state is all that is known of a tenant. It is a value that is never changed:
// an operation makes the next one, writes it, and then lets it be seen.
type state struct {
	tenant      schemas.Tenant
	credentials *Credentials // nil: not connected
	former      []*former    // Halos that are to be left; none where not connected
	directory
}

// former is a Halo that the tenant has moved away from, and what it takes to
// remove our webhook there. It is sealed like the credentials and destroyed with
// them.
type former struct {
	Credentials
	Webhooks []string
	Until    time.Time // when we give up
}

const (
	// departSpan is how long a former Halo is tried: it may be down for a
	// weekend, or have been switched off for good.
	departSpan = 7 * 24 * time.Hour

	// mostFormer bounds the record of a tenant that keeps moving.
	mostFormer = 4
)

// leaving are the Halos that are to be left when the tenant's is at url from now
// on: those that are not left yet, and the one that it had.
func (s state) leaving(url string, now time.Time) []*former {
	all := slices.Clone(s.former)
	if s.connected() {
		all = append(all, &former{*s.credentials, append(slices.Clone(s.Replaced), s.WebhookID), schemas.Truncate(now.Add(departSpan))})
	}
	// At url itself the strays are removed with those of its own.
	all = slices.DeleteFunc(all, func(f *former) bool { return f.TenantURL == url })
	return all[max(0, len(all)-mostFormer):]
}

// directory is the part of the state that outlives the credentials.
type directory struct {
	TenantURL string `json:"tenant_url,omitempty"`
	// Moved is when the tenant went from another Halo to this one: mappings
	// that began before are of the people whom the other one numbered.
	Moved       time.Time `json:"moved,omitzero"`
	ConnectedAt time.Time `json:"connected_at,omitzero"` // of the first connect since the last disconnect

	WebhookID     string                 `json:"webhook_id,omitempty"`
	Verifiers     []schemas.Verifier     `json:"verifiers,omitempty"`
	Notifications map[int64]schemas.Kind `json:"notifications,omitempty"`
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
	// Hand is what was mapped by hand; "" is unmapped by hand.
	Hand map[schemas.AgentID]schemas.UserID `json:"hand,omitempty"`

	Findings findings `json:"findings,omitzero"`
}

func (s state) connected() bool { return s.credentials != nil }

// known says whether the tenant ever had a connection.
func (s state) known() bool { return s.TenantURL != "" }

// user says whether the directory has the user.
func (s state) user(id schemas.UserID) bool {
	return slices.ContainsFunc(s.Users, func(u User) bool { return u.ID == id })
}

// agent finds an agent by its id.
func (s state) agent(id schemas.AgentID) (Agent, bool) {
	i := slices.IndexFunc(s.Agents, func(a Agent) bool { return a.ID == id })
	if i < 0 {
		return Agent{}, false
	}
	return s.Agents[i], true
}

// kindOf is the kind of an event that is bound to the webhook; ok is false for
// events that we do not ask for.
func (s state) kindOf(n halopsa.Notification) (kind schemas.Kind, ok bool) {
	if kind, ok = s.Notifications[n.ID]; ok {
		return kind, true
	}
	for kind, number := range s.Numbers {
		if number == n.Event {
			return kind, true
		}
	}
	return "", false
}

// mostNotifications bounds what the edge has to know of a tenant whose
// administrators keep binding events.
const mostNotifications = 32

// withBound returns the state with the notifications among events that are not
// known yet: an administrator has bound them. news is false where there are
// none.
func (s state) withBound(events []halopsa.Notification) (next state, news bool) {
	all := make(map[int64]schemas.Kind, len(s.Notifications))
	maps.Copy(all, s.Notifications)
	for _, n := range events {
		kind, ok := s.kindOf(n)
		if _, known := all[n.ID]; ok && !known && n.ID > 0 && len(all) < mostNotifications {
			all[n.ID], news = kind, true
		}
	}
	s.Notifications = all
	return s, news
}

// withHand returns the state with one agent mapped by hand.
func (s state) withHand(agent schemas.AgentID, user schemas.UserID) state {
	hand := maps.Clone(s.Hand)
	if hand == nil {
		hand = make(map[schemas.AgentID]schemas.UserID)
	}
	hand[agent] = user
	s.Hand = hand
	return s
}

// recognised are the mappings by hand that hold in the Halo that lists agents,
// too: of those whom it gives the same id, name and e-mail. It may be the same
// Halo under another name. None of its answers tells: authinfo names a tenant for
// hosted ones only (halo-facts 2). Whom it numbers does, agent by agent.
func (s state) recognised(agents []Agent) map[schemas.AgentID]schemas.UserID {
	hand := make(map[schemas.AgentID]schemas.UserID)
	for _, a := range agents {
		was, known := s.agent(a.ID)
		user, byHand := s.Hand[a.ID]
		if known && byHand && email(a.Email) != "" && email(a.Email) == email(was.Email) && a.Name == was.Name {
			hand[a.ID] = user
		}
	}
	return hand
}

// connection is what the edge may know of it.
func (s state) connection() schemas.Connection {
	return schemas.Connection{
		ID:            schemas.ConnectionIDOf(s.tenant),
		Tenant:        s.tenant,
		WebhookID:     s.WebhookID,
		Verifiers:     s.Verifiers,
		Notifications: s.Notifications,
	}
}

// merged are the agents of a new list, and of the old one those that are mapped
// and not in it.
func merged(old []Agent, listed []halopsa.Agent, mapped func(schemas.AgentID) bool) []Agent {
	agents := make([]Agent, 0, len(listed))
	seen := make(map[schemas.AgentID]bool, len(listed))
	for _, a := range listed {
		if !a.ID.Person() || seen[a.ID] {
			continue
		}
		seen[a.ID] = true
		agents = append(agents, Agent{ID: a.ID, Name: a.Name, Email: a.Email, Disabled: a.Disabled, API: a.API})
	}
	for _, a := range old {
		if !seen[a.ID] && mapped(a.ID) {
			a.Missing = true
			agents = append(agents, a)
		}
	}
	slices.SortFunc(agents, func(a, b Agent) int { return int(int64(a.ID) - int64(b.ID)) })
	return agents
}

// record is a vault record: two sealed parts, so that one can be destroyed
// while the other stays. Nothing else of the state is in it.
type record struct {
	Tenant      schemas.Tenant `json:"tenant"`
	Credentials []byte         `json:"credentials,omitempty"`
	Directory   []byte         `json:"directory"`
}

// maxRecord bounds a vault record, in bytes. Kafka takes a record of 1 MiB, and
// one that it refuses would look like an outage. Compressed, the directory of a
// tenant with 20,000 users and as many agents fits.
const maxRecord = 900_000

// errTooLarge says that what is known of a tenant does not fit into a record.
var errTooLarge = errors.New("the tenant's record would be too large")

// pack compresses what is sealed. Sealed bytes cannot be compressed any more.
func pack(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(text) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// clear is Credentials without the redaction: it is written inside a seal only.
type clearCredentials struct {
	TenantURL    string `json:"tenant_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	CABundle     []byte `json:"ca_bundle,omitempty"`
}

func (c Credentials) clear() clearCredentials {
	return clearCredentials{c.TenantURL, c.ClientID, c.ClientSecret.Reveal(), c.CABundle}
}

func (c clearCredentials) redacted() Credentials {
	return Credentials{c.TenantURL, c.ClientID, schemas.Secret(c.ClientSecret), c.CABundle}
}

// clearAll is the text of the credentials' part of a record.
type clearAll struct {
	clearCredentials
	Former []clearFormer `json:"former,omitempty"`
}

type clearFormer struct {
	clearCredentials
	Webhooks []string  `json:"webhooks"`
	Until    time.Time `json:"until"`
}

// seal makes the vault record of a state.
func (s state) seal(sealer *vault.Sealer) ([]byte, error) {
	r := record{Tenant: s.tenant}
	text, err := json.Marshal(s.directory)
	if err != nil {
		return nil, fmt.Errorf("vault record of tenant %s: %w", s.tenant, err)
	}
	if r.Directory, err = sealer.Seal(s.tenant, vault.Directory, pack(text)); err != nil {
		return nil, err
	}
	if c := s.credentials; c != nil {
		all := clearAll{clearCredentials: c.clear()}
		for _, f := range s.former {
			all.Former = append(all.Former, clearFormer{f.clear(), f.Webhooks, f.Until})
		}
		text, err := json.Marshal(all)
		if err != nil {
			return nil, fmt.Errorf("vault record of tenant %s: %w", s.tenant, err)
		}
		if r.Credentials, err = sealer.Seal(s.tenant, vault.Credentials, text); err != nil {
			return nil, err
		}
	}
	value, err := json.Marshal(r)
	if err == nil && len(value) > maxRecord {
		err = errTooLarge
	}
	return value, err
}

// parseRecord reads a vault record without opening it. Errors wrap
// [schemas.ErrMalformed].
func parseRecord(value []byte) (record, error) {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return record{}, fmt.Errorf("%w: vault record", schemas.ErrMalformed)
	}
	if _, err := schemas.ParseTenant(string(r.Tenant)); err != nil {
		return record{}, fmt.Errorf("%w: vault record without tenant", schemas.ErrMalformed)
	}
	return r, nil
}

// open makes the state of a vault record. stale says that it was sealed with an
// older key. Errors wrap [vault.ErrSealed] or [schemas.ErrMalformed].
func (r record) open(sealer *vault.Sealer) (s state, stale bool, err error) {
	s.tenant = r.Tenant
	text, err := sealer.Open(r.Tenant, vault.Directory, r.Directory)
	if err != nil {
		return state{}, false, err
	}
	if text, err = unpack(text); err != nil || json.Unmarshal(text, &s.directory) != nil {
		return state{}, false, fmt.Errorf("%w: sealed directory", schemas.ErrMalformed)
	}
	if len(r.Credentials) > 0 {
		if text, err = sealer.Open(r.Tenant, vault.Credentials, r.Credentials); err != nil {
			return state{}, false, err
		}
		var all clearAll
		if json.Unmarshal(text, &all) != nil {
			return state{}, false, fmt.Errorf("%w: sealed credentials", schemas.ErrMalformed)
		}
		cred := all.redacted()
		s.credentials = &cred
		for _, f := range all.Former {
			s.former = append(s.former, &former{f.redacted(), f.Webhooks, f.Until})
		}
	}
	return s, sealer.Stale(r.Directory) || sealer.Stale(r.Credentials), nil
}
