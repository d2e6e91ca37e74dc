//go:build synctests

package connect_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

const (
	clientID     = "c7e1a9d2-3f40-4b1e-9a55-0d6f7c2b8e11"
	clientSecret = schemas.Secret("8f3b2c1d-secret-of-the-application-6a5e")
	ingestURL    = "https://hooks.worksights.example/"
)

// world is Kafka, the files that an instance reads, and the Halos that it may
// call. The Halos listen on loopback, outside of the bubble: while a call is
// under way the bubble's clock stands still.
type world struct {
	*testing.T
	*kafkatest.Cluster
	topics   schemas.Topics
	network  *kfake.VirtualNetwork
	sims     []*halotest.Sim
	urls     []string
	keyset   string
	tokens   string
	token    schemas.Secret // covers all tenants
	outcomes *outcomes
	log      *logged

	// fault is asked before each call of any instance to Halo; see halo.
	fault func(ctx context.Context, tenant schemas.Tenant, name string) (moment, error)

	// step is that of instances to be started; see link.
	step func(name string) moment
}

// logged is everything that was logged, at all levels.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// inWorld runs f in a bubble, beside as many Halos as configs are given. What f
// makes for the time of a test belongs to w.T, the test inside of the bubble.
func inWorld(t *testing.T, f func(w *world), configs ...halotest.Config) {
	t.Helper()
	w := newWorld(t, configs)
	synctest.Test(t, func(t *testing.T) {
		w.T = t
		w.outcomes.set(func(*outcomes) {})
		w.Cluster = kafkatest.NewVirtual(t, kfake.ListenFn(w.network.Listen))
		w.Cluster.Opts = []kgo.Opt{kgo.Dialer((&link{network: w.network, dead: make(chan struct{})}).dial)}
		w.CreateTopics(t, w.topics, 1)
		f(w)
	})
}

// realWorld is one in real time, with Kafka on loopback.
func realWorld(t *testing.T, configs ...halotest.Config) *world {
	t.Helper()
	w := newWorld(t, configs)
	w.T = t
	w.outcomes.set(func(*outcomes) {})
	w.Cluster = kafkatest.New(t)
	w.CreateTopics(t, w.topics, 1)
	return w
}

// asInProduction makes an instance call Halo as it does in production.
func asInProduction(c *connect.Config) {
	c.Dial, c.KafkaOptions, c.AllowNets = nil, nil, halopsa.Nets{}.With(loopback()[0])
}

func newWorld(t *testing.T, configs []halotest.Config) *world {
	t.Helper()
	w := &world{topics: schemas.NewTopics("halo."), outcomes: &outcomes{}, log: &logged{}, network: new(kfake.VirtualNetwork)}
	for _, cfg := range configs {
		cfg.ClientID, cfg.ClientSecret = clientID, clientSecret
		sim := halotest.New(cfg)
		server, err := sim.Start("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
		w.sims, w.urls = append(w.sims, sim), append(w.urls, server.URL)
	}
	dir := t.TempDir()
	w.keyset, w.tokens = filepath.Join(dir, "keyset.json"), filepath.Join(dir, "api-tokens")
	if err := vault.NewKeyset(w.keyset); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.token, err = access.New(w.tokens, access.Grant{Name: "operator"}); err != nil {
		t.Fatal(err)
	}
	return w
}

// loopback is where the simulated Halos are.
func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// instance is one process of the control plane.
type instance struct {
	*connect.Connect
	w    *world
	link *link
	reg  *prometheus.Registry
	stop func() // ends it in good order; may be called again
}

// start starts an instance. It ends with the test.
func (w *world) start(edits ...func(*connect.Config)) *instance {
	w.Helper()
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	in := &instance{w: w, link: &link{network: w.network, step: w.step, dead: make(chan struct{})}, reg: prometheus.NewRegistry()}
	sealer, err := vault.Open(w.keyset, fresh.Options{Log: log})
	if err != nil {
		w.Fatal(err)
	}
	tokens, err := access.Open(w.tokens, fresh.Options{Log: log})
	if err != nil {
		w.Fatal(err)
	}
	cfg := connect.Config{
		Kafka: w.Config, KafkaOptions: []kgo.Opt{kgo.Dialer(in.link.dial)}, Topics: w.topics,
		IngestURL: ingestURL, Sealer: sealer, Tokens: tokens, Outcomes: w.outcomes, Log: log, Registry: in.reg,
	}
	limits := new(halopsa.Limits)
	spent := sync.OnceFunc(func() { w.Error("the tenant's allowance of requests is used up, and the next call would wait for it") })
	cfg.Dial = func(t schemas.Tenant, cred connect.Credentials) (connect.Halo, error) {
		client, err := halopsa.New(halopsa.Config{
			TenantURL: cred.TenantURL, ClientID: cred.ClientID, ClientSecret: cred.ClientSecret, CABundle: cred.CABundle,
			AllowNets: loopback(), Budget: limits.Of(t), Log: log,
		})
		if err != nil {
			return nil, err
		}
		h := &halo{Client: client, link: in.link, spent: spent}
		if w.fault != nil {
			h.fault = func(ctx context.Context, name string) (moment, error) { return w.fault(ctx, t, name) }
		}
		return h, nil
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	if in.Connect, err = connect.New(cfg); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := in.Run(ctx); err != nil {
			w.Errorf("Run: %v", err)
		}
	})
	in.stop = func() { cancel(); wg.Wait() }
	w.Cleanup(in.stop)
	return in
}

// active starts an instance and waits until it acts.
func (w *world) active(edits ...func(*connect.Config)) *instance {
	w.Helper()
	in := w.start(edits...)
	in.await()
	return in
}

// await waits until the instance acts and returns how long that took.
func (in *instance) await() time.Duration {
	in.w.Helper()
	began := time.Now()
	for in.Ready() != nil {
		if time.Since(began) > time.Minute {
			in.w.Fatalf("not active after a minute: %v\n%s", in.Ready(), in.w.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// live are the Halo's webhooks that were not deleted.
func (w *world) live(n int) []halotest.Webhook {
	return slices.DeleteFunc(w.sims[n].Webhooks(), func(h halotest.Webhook) bool { return h.Deleted })
}

// published is what the edge knows of the tenant; ok is false where it knows
// nothing.
func (w *world) published(tenant string) (conn schemas.Connection, ok bool) {
	w.Helper()
	for _, r := range w.Records(w.T, w.topics.Connections) {
		if string(r.Key) != string(schemas.ConnectionIDOf(schemas.Tenant(tenant))) {
			continue
		}
		if conn, ok = (schemas.Connection{}), r.Value != nil; !ok {
			continue
		}
		if kafka.Schema(r) != schemas.ConnectionSchema {
			w.Fatalf("a connection with schema %q", kafka.Schema(r))
		}
		var err error
		if conn, err = schemas.ParseConnection(r.Value); err != nil {
			w.Fatal(err)
		}
	}
	return conn, ok
}

// mappings are the tenant's mappings as the processor sees them.
func (w *world) mappings(tenant string) map[schemas.AgentID]schemas.Mapping {
	w.Helper()
	all := make(map[schemas.AgentID]schemas.Mapping)
	for _, r := range w.Records(w.T, w.topics.Mappings) {
		if r.Value == nil {
			w.Fatal("a mapping was deleted, and its history with it")
		}
		m, err := schemas.ParseMapping(r.Value)
		if err != nil {
			w.Fatal(err)
		}
		if string(m.Tenant) == tenant {
			all[m.Agent] = m
		}
	}
	return all
}
