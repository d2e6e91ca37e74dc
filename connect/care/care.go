// Package care is what is done for a tenant's connection to its Halo: connect,
// reconnect, refresh, disconnect, look after its health, repair, erase.
//
// It promises five things.
//
//   - Nothing is saved unless Halo accepted the credentials, and an operation that
//     fails or is killed at any step leaves, once it is repeated, one webhook, four
//     notifications and one history of each agent.
//   - A webhook never delivers before the edge can verify it: the verifier counts
//     in Kafka before Halo is told the secret.
//   - What Halo switched off is switched on again, with measure; what a person
//     switched off is said, and never undone.
//   - A Halo that hangs keeps nobody waiting but those who want something of it:
//     neither other tenants nor who asks how this one stands.
//   - Credentials, names and e-mails go to Halo and to the ledger, and into no
//     log, error or metric.
//
// What keeps it true: an operation asks Halo first and takes the tenant's turn
// then; in its turn it writes by [ledger.Turn.Apply], which returns what counts,
// and asks [ledger.Turn.Confirm] before it changes anything in Halo, so that an
// instance which was frozen wakes up to change nothing.
package care

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/schemas"
)

// WebhookName is what the webhook is called in Halo's list.
const WebhookName = "WorkSights AI Connector"

// WebhookPath is the path of the edge that Halo posts to, before the
// connection's id.
const WebhookPath = "/v1/webhooks/halo/"

// Halo is one tenant's Halo as a connection needs it; package halopsa's Client
// is one. Its errors are halopsa's. Create calls may have happened although they
// fail; Delete and Mend calls may be repeated.
type Halo interface {
	Authenticate(ctx context.Context) error
	EventCatalogue(ctx context.Context) (halopsa.Catalogue, error)
	Agents(ctx context.Context) ([]halopsa.Agent, error)

	Webhooks(ctx context.Context) ([]halopsa.Webhook, error)
	Webhook(ctx context.Context, id string) (halopsa.Webhook, error)
	CreateWebhook(ctx context.Context, spec halopsa.WebhookSpec) (id string, err error)
	MendWebhook(ctx context.Context, id string, spec halopsa.WebhookSpec) error
	DeleteWebhook(ctx context.Context, id string) error

	Notifications(ctx context.Context) ([]halopsa.Notification, error)
	CreateNotification(ctx context.Context, n halopsa.Notification) (id int64, err error)
	DeleteNotification(ctx context.Context, id int64) error

	BaseURL() string // the tenant URL in its plain form
	Left() int       // requests that may be made now without waiting
	Close()
}

var _ Halo = (*halopsa.Client)(nil)

// Ledger is what is known of tenants and how it is changed: see
// [ledger.Ledger], which is one.
type Ledger interface {
	Ready() error
	Snapshot(t schemas.Tenant) (*ledger.Snapshot, error)
	All() ([]*ledger.Snapshot, error)
	Take(ctx context.Context, t schemas.Tenant) (*ledger.Turn, error)
}

var _ Ledger = (*ledger.Ledger)(nil)

// Outcomes is what became of tenants' deliveries. Each call may take seconds,
// and all of them may be repeated.
type Outcomes interface {
	// LastDelivery is when the last event arrived; zero where none ever did.
	LastDelivery(ctx context.Context, t schemas.Tenant) (time.Time, error)
	// LastDeliveries are, for all tenants, when the last event arrived since since.
	LastDeliveries(ctx context.Context, since time.Time) (map[schemas.Tenant]time.Time, error)
	// LastReached is when Halo last reached the edge with the tenant's secret, be
	// it to test; zero where that is not known.
	LastReached(ctx context.Context, t schemas.Tenant) (time.Time, error)
	// Arrivals are the ten-minute spans since since in which events arrived, by
	// their beginning, ascending.
	Arrivals(ctx context.Context, t schemas.Tenant, since time.Time) ([]time.Time, error)
	// Tally counts what arrived since since.
	Tally(ctx context.Context, t schemas.Tenant, since time.Time) (Tally, error)
	// Unmapped are, for all tenants, the agents of events that arrived since
	// since and were skipped as unmapped.
	Unmapped(ctx context.Context, since time.Time) (map[schemas.Tenant][]AgentCount, error)
	// Refused are, for all tenants that had any, the deliveries since since that
	// were refused or undecodable.
	Refused(ctx context.Context, since time.Time) (map[schemas.Tenant]Refusals, error)
}

// Tally is what became of a stretch of events.
type Tally struct {
	Activities uint64
	Skipped    map[schemas.Reason]uint64
	// Unmapped are the agents of the events that were skipped as unmapped, the
	// busiest first, at most 20.
	Unmapped []AgentCount
}

// AgentCount is how many events an agent had, and when the last of them arrived.
type AgentCount struct {
	Agent  schemas.AgentID `json:"agent_id"`
	Events uint64          `json:"events"`
	LastAt time.Time       `json:"last_at,omitzero"`
}

// Refusals are deliveries that were refused.
type Refusals struct {
	Deliveries int
	LastAt     time.Time
	LastResult string // as in [schemas.Refused]
}

// Eraser deletes rows of ClickHouse.
type Eraser interface {
	// Erase deletes what arrived before before: of a user, or with "" of the
	// tenant. It returns how many rows there were; 0 means that no view has one.
	Erase(ctx context.Context, t schemas.Tenant, user schemas.UserID, before time.Time) (rows uint64, err error)
}

// Config is what a Care is made of. All fields are required but those that say
// otherwise.
type Config struct {
	Ledger   Ledger
	Outcomes Outcomes
	Eraser   Eraser
	Topics   schemas.Topics // as receipts name them

	// Dial makes the client for a tenant's Halo. Its errors are halopsa's.
	Dial func(schemas.Tenant, ledger.Credentials) (Halo, error)

	IngestURL      string        // the edge as Halo reaches it, without a slash at its end
	HealthInterval time.Duration // between two looks at a connection, give or take a fifth
	ReportOnly     bool          // what Halo switched off is said and not switched on again

	Now      func() time.Time // nil is time.Now
	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// Care looks after all tenants. Its methods may be called by several goroutines
// at once.
type Care struct {
	cfg     Config
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics

	mu      sync.Mutex
	tenants map[schemas.Tenant]*tenant
	heard   map[schemas.Tenant]heard

	unmapped atomic.Pointer[map[schemas.Tenant][]AgentCount]
	refused  atomic.Pointer[map[schemas.Tenant]Refusals]
	arrived  atomic.Pointer[map[schemas.Tenant]time.Time]
	began    time.Time
}

// New checks the configuration. Nothing is dialled.
func New(cfg Config) (*Care, error) {
	if cfg.Ledger == nil || cfg.Outcomes == nil || cfg.Eraser == nil || cfg.Dial == nil || cfg.Log == nil || cfg.HealthInterval <= 0 {
		return nil, errors.New("care: Ledger, Outcomes, Eraser, Dial, Log and HealthInterval are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Care{
		cfg: cfg, now: cfg.Now, log: cfg.Log, began: schemas.Truncate(cfg.Now()),
		tenants: make(map[schemas.Tenant]*tenant), heard: make(map[schemas.Tenant]heard),
	}
	c.metrics = newMetrics(c, cfg.Registry)
	return c, nil
}

// tenant is what is kept of a tenant in memory: nothing of it is missed after a
// restart.
type tenant struct {
	id schemas.Tenant

	// Of the health check: when it is due, which only watch knows; whether one is
	// under way; whether the last one hung; and, for whoever made it busy, when
	// the silence is to be compared with the rhythm and when agents were last
	// asked for.
	due    time.Time
	busy   atomic.Bool
	hangs  atomic.Bool
	listen time.Time
	listed time.Time

	// registering counts the beginnings and ends of registrations: while it is
	// odd, what looks like a stray of ours may be about to be saved.
	registering atomic.Int64

	mu      sync.Mutex
	halo    Halo                // nil: no client yet
	with    *ledger.Credentials // what halo was made with
	remains []ledger.Leaving    // what failed registrations left in Halos
	look    look                // of the last diagnosis
}

func (c *Care) tenant(id schemas.Tenant) *tenant {
	c.mu.Lock()
	defer c.mu.Unlock()
	tn, ok := c.tenants[id]
	if !ok {
		tn = &tenant{id: id}
		c.tenants[id] = tn
	}
	return tn
}

// client is the client for the tenant's Halo, made anew when the credentials
// changed. It belongs to the tenant.
func (c *Care) client(tn *tenant, with *ledger.Credentials) (Halo, error) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	if tn.halo != nil && tn.with == with {
		return tn.halo, nil
	}
	halo, err := c.cfg.Dial(tn.id, *with)
	if err != nil {
		return nil, err
	}
	if tn.halo != nil {
		tn.halo.Close()
	}
	tn.halo, tn.with = halo, with
	return halo, nil
}

// forget closes the tenant's client.
func (tn *tenant) forget() {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	if tn.halo != nil {
		tn.halo.Close()
	}
	tn.halo, tn.with = nil, nil
}

// webhookURL is where Halo posts the tenant's deliveries.
func (c *Care) webhookURL(t schemas.Tenant) string {
	return c.cfg.IngestURL + WebhookPath + string(schemas.ConnectionIDOf(t))
}

// Ready is nil while this instance acts.
func (c *Care) Ready() error { return explain(c.cfg.Ledger.Ready()) }

// snapshot is the tenant as it is, for who acts.
func (c *Care) snapshot(t schemas.Tenant) (*ledger.Snapshot, error) {
	if err := c.cfg.Ledger.Ready(); err != nil {
		return nil, explain(err)
	}
	snap, err := c.cfg.Ledger.Snapshot(t)
	return snap, explain(err)
}

const (
	// operationTimeout bounds an operation, the wait for its turn included. With
	// undoTimeout and the writes that may follow it, it stays below the 60 s that
	// callers are promised.
	operationTimeout = 46 * time.Second

	// undoTimeout bounds taking back what a failed operation did in Halo, and the
	// removal in Halo of one that ends a connection, while a caller waits.
	undoTimeout = 8 * time.Second
)

// operation bounds what a caller asked for. It goes on when he hangs up: what is
// half done in Halo is worse than what nobody waited for.
func operation(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), operationTimeout)
}

// take waits for the tenant's turn.
func (c *Care) take(ctx context.Context, t schemas.Tenant) (*ledger.Turn, error) {
	if err := c.cfg.Ledger.Ready(); err != nil {
		return nil, err
	}
	turn, err := c.cfg.Ledger.Take(ctx, t)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errBusy
	}
	return turn, err
}

// errBusy says that another operation holds the tenant's turn.
var errBusy = errors.New("another operation on the tenant takes long")
