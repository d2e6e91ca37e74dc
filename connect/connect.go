// Package connect is the control plane: a tenant's connection to its Halo from
// request to revocation.
//
// This package only puts its parts together. Each says what it promises:
//
//   - lead: which of several instances tries to act.
//   - ledger: what is known of tenants, in Kafka; and the fence by which one
//     instance writes, whatever the election says.
//   - match: whom an agent should be mapped to, and why not.
//   - care: what is done for a tenant: connect, refresh, repair, erase.
//   - api: the routes.
//   - halopsa, vault, access: Halo's REST API, sealing, tokens.
//
// The way of a change: api, care, halopsa, match, ledger, api, each once.
package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/lead"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// Config is what a Connect is made of. All fields are required but those that
// say otherwise.
type Config struct {
	Kafka        kafka.Config
	KafkaOptions []kgo.Opt // last of every client's options; optional
	Topics       schemas.Topics
	Group        string // whose members elect the one that acts
	Instance     string // what this one is called in Kafka, for people; optional

	IngestURL      string        // the edge as Halo reaches it
	ConsoleURL     string        // the console as people reach it; "" is the host of each request
	AllowNets      halopsa.Nets  // private ranges in which a Halo may be; optional
	HealthInterval time.Duration // between two looks at a connection, give or take a fifth; 0 is 5 minutes
	ReportOnly     bool          // what Halo switched off is said and not switched on again

	Sealer *vault.Sealer
	Tokens *access.Tokens

	Outcomes care.Outcomes
	Eraser   care.Eraser
	Reads    api.Reads

	// Dial makes the client for a tenant's Halo; nil is package halopsa's. Its
	// errors are halopsa's.
	Dial func(schemas.Tenant, ledger.Credentials) (care.Halo, error)

	Now      func() time.Time // nil is time.Now
	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// Connect is one instance of the control plane: it acts while it leads, and is on
// standby otherwise.
type Connect struct {
	cfg    Config
	ledger *ledger.Ledger
	care   *care.Care
	api    *api.API
}

// New checks the configuration. Nothing is dialled before Run.
func New(cfg Config) (*Connect, error) {
	if cfg.Group == "" || cfg.Log == nil {
		return nil, errors.New("connect: Group and Log are required")
	}
	u, err := url.Parse(cfg.IngestURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("connect: IngestURL is not an http(s) URL")
	}
	if cfg.HealthInterval <= 0 {
		cfg.HealthInterval = 5 * time.Minute
	}
	if cfg.Dial == nil {
		cfg.Dial = dial(cfg)
	}
	c := &Connect{cfg: cfg}
	c.ledger, err = ledger.New(ledger.Config{
		Kafka: cfg.Kafka, KafkaOptions: cfg.KafkaOptions, Topics: cfg.Topics, Instance: cfg.Instance,
		Sealer: cfg.Sealer, Now: cfg.Now, Log: cfg.Log, Registry: cfg.Registry,
	})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c.care, err = care.New(care.Config{
		Ledger: c.ledger, Outcomes: cfg.Outcomes, Eraser: cfg.Eraser, Topics: cfg.Topics, Dial: cfg.Dial,
		IngestURL: strings.TrimRight(cfg.IngestURL, "/"), HealthInterval: cfg.HealthInterval, ReportOnly: cfg.ReportOnly,
		Now: cfg.Now, Log: cfg.Log, Registry: cfg.Registry,
	})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c.api, err = api.New(api.Config{
		Tenants: c.care, Reads: cfg.Reads, Tokens: cfg.Tokens, Sealer: cfg.Sealer, ConsoleURL: cfg.ConsoleURL,
		Now: cfg.Now, Log: cfg.Log, Registry: cfg.Registry,
	})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	metric.Register(cfg.Registry, prometheus.Collector(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "halo_connect_active",
		Help: "1 while this instance acts, 0 on standby. The sum over all instances should be 1; it is 0 for some seconds during a take-over.",
	}, func() float64 {
		if c.Ready() != nil {
			return 0
		}
		return 1
	})))
	return c, nil
}

// dial makes clients of package halopsa. A tenant's share one allowance.
func dial(cfg Config) func(schemas.Tenant, ledger.Credentials) (care.Halo, error) {
	limits := new(halopsa.Limits)
	return func(t schemas.Tenant, cred ledger.Credentials) (care.Halo, error) {
		return halopsa.New(halopsa.Config{
			TenantURL: cred.TenantURL, ClientID: cred.ClientID, ClientSecret: cred.ClientSecret, CABundle: cred.CABundle,
			AllowNets: cfg.AllowNets.Of(t), Budget: limits.Of(t), Log: cfg.Log.With("tenant", t),
		})
	}
}

// Handler is the control API. On standby it answers what needs no tenant's state,
// and 503 with code "standby" otherwise.
func (c *Connect) Handler() http.Handler { return c.api }

// Ready is nil while this instance acts; else it wraps [ledger.ErrStandby] and
// says what it waits for.
func (c *Connect) Ready() error { return c.ledger.Ready() }

// History is whom an agent was mapped to, newest first, as the read model asks
// for it.
func (c *Connect) History(ctx context.Context, t schemas.Tenant, agent schemas.AgentID) ([]control.Interval, error) {
	return c.care.History(ctx, t, agent)
}

// Erased says whether what arrived of the user, or with "" of the tenant, at the
// instant is erased. An instance on standby does not know.
func (c *Connect) Erased(t schemas.Tenant, user schemas.UserID, at time.Time) bool {
	snap, err := c.ledger.Snapshot(t)
	if err != nil {
		return false
	}
	e, ok := snap.Erasures[schemas.ErasureKey(t, user)]
	return ok && e.Covers(at)
}

// Run acts whenever this instance is elected, until ctx is done; then it returns
// nil. It fails where it cannot be started, and where a table has other than one
// partition: there is no fence then, and no waiting mends it.
func (c *Connect) Run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	err := lead.Run(ctx, lead.Config{
		Kafka: c.cfg.Kafka, Options: c.cfg.KafkaOptions, Group: c.cfg.Group, Topic: c.cfg.Topics.Vault,
		Log: c.cfg.Log, Registry: c.cfg.Registry, Waits: c.ledger.Standby,
	}, func(ctx context.Context) error {
		err := c.ledger.Act(ctx, c.care.Run)
		switch {
		case errors.Is(err, ledger.ErrDeposed):
			return fmt.Errorf("%w: %w", lead.ErrYield, err)
		case errors.Is(err, table.ErrPartitions):
			fail(err)
		}
		return err
	})
	if cause := context.Cause(ctx); err == nil && errors.Is(cause, table.ErrPartitions) {
		err = cause
	}
	return err
}
