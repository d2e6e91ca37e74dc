package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// WebhookName is what the webhook is called in Halo's list.
const WebhookName = "WorkSights AI Connector"

// WebhookPath is the path of the edge that Halo posts to, before the
// connection's id.
const WebhookPath = "/v1/webhooks/halo/"

// Halo is one tenant's Halo as a connection needs it; package halopsa's Client
// is one. Its errors are halopsa's. Create calls may have happened although
// they fail; Delete calls may be repeated.
type Halo interface {
	Authenticate(ctx context.Context) error
	EventCatalogue(ctx context.Context) (halopsa.Catalogue, error)
	Agents(ctx context.Context) ([]halopsa.Agent, error)

	Webhooks(ctx context.Context) ([]halopsa.Webhook, error)
	Webhook(ctx context.Context, id string) (halopsa.Webhook, error)
	CreateWebhook(ctx context.Context, spec halopsa.WebhookSpec) (id string, err error)
	DeleteWebhook(ctx context.Context, id string) error

	Notifications(ctx context.Context) ([]halopsa.Notification, error)
	CreateNotification(ctx context.Context, n halopsa.Notification) (id int64, err error)
	DeleteNotification(ctx context.Context, id int64) error

	BaseURL() string // the tenant URL in its plain form
	Left() int       // requests that may be made now without waiting
	Close()
}

var _ Halo = (*halopsa.Client)(nil)

// Config is what a Connect is made of. All fields are required but those that
// say otherwise.
type Config struct {
	Kafka        kafka.Config
	KafkaOptions []kgo.Opt // last of every client's options; optional
	Topics       schemas.Topics
	Group        string // whose members take turns in being active; "" is "connect"

	IngestURL      string        // the edge as Halo reaches it
	AllowNets      halopsa.Nets  // private ranges in which a Halo may be; optional
	HealthInterval time.Duration // between two looks at a connection, give or take a fifth; 0 is 5 minutes

	Sealer   *vault.Sealer
	Tokens   *access.Tokens
	Outcomes Outcomes

	// Dial makes the client for a tenant's Halo; nil is package halopsa's. Its
	// errors are halopsa's.
	Dial func(schemas.Tenant, Credentials) (Halo, error)

	Now      func() time.Time // nil is time.Now
	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// Connect is one instance of the control plane: active while it owns the vault,
// on standby otherwise.
type Connect struct {
	cfg     Config
	now     func() time.Time
	log     *slog.Logger
	ingest  string
	dial    func(schemas.Tenant, Credentials) (Halo, error)
	metrics *metrics
	handler http.Handler
	heard   deliveries

	// term is where this instance acts; nil on standby.
	term atomic.Pointer[term]
	// why is what a standby waits for.
	why atomic.Pointer[string]
}

// ErrStandby says that another instance owns the vault, or none does yet.
var ErrStandby = errors.New("this instance is on standby")

// New checks the configuration. Nothing is dialled before Run.
func New(cfg Config) (*Connect, error) {
	if cfg.Sealer == nil || cfg.Tokens == nil || cfg.Outcomes == nil || cfg.Log == nil {
		return nil, errors.New("connect: Sealer, Tokens, Outcomes and Log are required")
	}
	if err := cfg.Kafka.Validate(); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	u, err := url.Parse(cfg.IngestURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("connect: IngestURL is not an http(s) URL")
	}
	if cfg.Group == "" {
		cfg.Group = "connect"
	}
	if cfg.HealthInterval <= 0 {
		cfg.HealthInterval = 5 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Connect{cfg: cfg, now: cfg.Now, log: cfg.Log, dial: cfg.Dial, ingest: strings.TrimRight(cfg.IngestURL, "/")}
	if c.dial == nil {
		limits := new(halopsa.Limits)
		c.dial = func(t schemas.Tenant, cred Credentials) (Halo, error) {
			return halopsa.New(halopsa.Config{
				TenantURL: cred.TenantURL, ClientID: cred.ClientID, ClientSecret: cred.ClientSecret, CABundle: cred.CABundle,
				AllowNets: cfg.AllowNets.Of(t), Budget: limits.Of(t), Log: cfg.Log.With("tenant", t),
			})
		}
	}
	c.standby("the group has not assigned the vault yet")
	c.metrics = newMetrics(c, cfg.Registry)
	c.handler = c.routes()
	return c, nil
}

// Handler is the control API. On standby it answers 503 with code "standby".
func (c *Connect) Handler() http.Handler { return c.handler }

// Ready is nil while this instance is active; else it wraps [ErrStandby] and
// says what it waits for.
func (c *Connect) Ready() error {
	if _, err := c.active(); err != nil {
		return err
	}
	return nil
}

// active is the term in which this instance acts, or why there is none.
func (c *Connect) active() (*term, error) {
	if t := c.term.Load(); t != nil && t.ctx.Err() == nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrStandby, *c.why.Load())
}

// standby notes what this instance waits for.
func (c *Connect) standby(why string) { c.why.Store(&why) }

// webhookURL is where Halo posts the tenant's deliveries.
func (c *Connect) webhookURL(t schemas.Tenant) string {
	return c.ingest + WebhookPath + string(schemas.ConnectionIDOf(t))
}
