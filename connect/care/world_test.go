//go:build synctests

package care_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

const (
	clientID     = "c7e1a9d2-3f40-4b1e-9a55-0d6f7c2b8e11"
	clientSecret = schemas.Secret("8f3b2c1d-secret-of-the-application-6a5e")
	ingestURL    = "https://hooks.worksights.example"
	operator     = "operator" // the name of the token whose calls they are
)

// world is Kafka, a keyset, and the Halos that an instance may call. The Halos
// listen on loopback, outside of the bubble: while a call is under way the
// bubble's clock stands still.
type world struct {
	*testing.T
	*kafkatest.Cluster
	topics   schemas.Topics
	network  *kfake.VirtualNetwork
	sims     []*halotest.Sim
	urls     []string
	keyset   string
	outcomes *outcomes
	eraser   *eraser
	log      *logged

	// ahead is by how much the clocks of instances are: see skip.
	ahead atomic.Int64

	// quiet says that Halo will ask for a pause, which is then no fault of a test.
	quiet bool

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
	w := &world{topics: schemas.NewTopics("halo."), outcomes: &outcomes{}, eraser: &eraser{}, log: &logged{}, network: new(kfake.VirtualNetwork)}
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
	w.keyset = filepath.Join(t.TempDir(), "keyset.json")
	if err := vault.NewKeyset(w.keyset); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w.T = t
		w.Cluster = kafkatest.NewVirtual(t, kfake.ListenFn(w.network.Listen))
		w.Cluster.Opts = []kgo.Opt{kgo.Dialer((&link{network: w.network, dead: make(chan struct{})}).dial)}
		w.CreateTopics(t, w.topics, 1)
		f(w)
	})
}

// now is what the clocks of instances show.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// skip lets the clocks of instances jump: what they do in that time is done at
// once, and once. To sleep through a day costs a bubble half a minute.
func (w *world) skip(d time.Duration) {
	w.ahead.Add(int64(d))
	time.Sleep(30 * time.Second) // for a check, which is due
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// instance is one process that is elected from its start on.
type instance struct {
	*care.Care
	*ledger.Ledger
	w    *world
	link *link
	reg  *prometheus.Registry
	stop func() // ends it in good order; may be called again
}

// start starts an instance. It ends with the test.
func (w *world) start(edits ...func(*care.Config)) *instance {
	w.Helper()
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	in := &instance{w: w, link: &link{network: w.network, step: w.step, dead: make(chan struct{})}, reg: prometheus.NewRegistry()}
	sealer, err := vault.Open(w.keyset, fresh.Options{Log: log})
	if err != nil {
		w.Fatal(err)
	}
	in.Ledger, err = ledger.New(ledger.Config{
		Kafka: w.Config, KafkaOptions: []kgo.Opt{kgo.Dialer(in.link.dial)}, Topics: w.topics, Instance: "test", Sealer: sealer, Log: log, Now: w.now,
	})
	if err != nil {
		w.Fatal(err)
	}
	limits := new(halopsa.Limits)
	spent := sync.OnceFunc(func() {
		if w.quiet {
			return
		}
		w.Error("the tenant's allowance of requests is used up, and the next call would wait for it")
	})
	cfg := care.Config{
		Ledger: in.Ledger, Outcomes: w.outcomes, Eraser: w.eraser, Topics: w.topics, IngestURL: ingestURL,
		HealthInterval: 5 * time.Minute, Now: w.now, Log: log, Registry: in.reg,
		Dial: func(t schemas.Tenant, cred ledger.Credentials) (care.Halo, error) {
			client, err := halopsa.New(halopsa.Config{
				TenantURL: cred.TenantURL, ClientID: cred.ClientID, ClientSecret: cred.ClientSecret, CABundle: cred.CABundle,
				AllowNets: loopback(), Budget: limits.Of(t), Log: log,
			})
			if err != nil {
				return nil, err
			}
			h := &halo{Client: client, link: in.link, spent: spent}
			h.fault = func(ctx context.Context, name string) (moment, error) {
				if w.fault == nil {
					return never, nil
				}
				return w.fault(ctx, t, name)
			}
			return h, nil
		},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	if in.Care, err = care.New(cfg); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := in.Act(ctx, in.Run); errors.Is(err, ledger.ErrDeposed) {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	in.stop = func() { cancel(); wg.Wait() }
	w.Cleanup(in.stop)
	return in
}

// active starts an instance and waits until it acts.
func (w *world) active(edits ...func(*care.Config)) *instance {
	w.Helper()
	in := w.start(edits...)
	in.await()
	return in
}

// await waits until the instance acts and returns how long that took.
func (in *instance) await() time.Duration {
	in.w.Helper()
	began := time.Now()
	for in.Care.Ready() != nil {
		if time.Since(began) > time.Minute {
			in.w.Fatalf("not active after a minute: %v\n%s", in.Ledger.Ready(), in.w.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// live are the Halo's webhooks that were not deleted.
func (w *world) live(n int) []halotest.Webhook {
	return slices.DeleteFunc(w.sims[n].Webhooks(), func(h halotest.Webhook) bool { return h.Deleted })
}

// change lets an administrator change the tenant's webhook.
func (w *world) change(edit func(*halotest.Webhook)) {
	w.sims[0].ChangeWebhook(w.live(0)[0].ID, edit)
}

// published is what the edge knows of the tenant; ok is false where it knows
// nothing. Of records that were written behind a later term's nothing counts.
func (w *world) published(tenant schemas.Tenant) (conn schemas.Connection, ok bool) {
	w.Helper()
	for _, r := range w.counting(w.topics.Connections) {
		if string(r.Key) != string(schemas.ConnectionIDOf(tenant)) {
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

// counting are the records of a table that count.
func (w *world) counting(topic string) (all []*kgo.Record) {
	w.Helper()
	greatest := uint64(0)
	for _, r := range w.Records(w.T, topic) {
		epoch := uint64(0)
		for _, h := range r.Headers {
			if h.Key == schemas.HeaderEpoch {
				if _, err := fmt.Sscan(string(h.Value), &epoch); err != nil {
					w.Fatal(err)
				}
			}
		}
		if epoch < greatest {
			continue
		}
		greatest = epoch
		if string(r.Key) != schemas.TermKey {
			all = append(all, r)
		}
	}
	return all
}

// mappings are the tenant's mappings as the processor sees them.
func (w *world) mappings(tenant schemas.Tenant) map[schemas.AgentID]schemas.Mapping {
	w.Helper()
	all := make(map[schemas.AgentID]schemas.Mapping)
	for _, r := range w.counting(w.topics.Mappings) {
		if r.Value == nil {
			w.Fatal("a mapping was deleted, and its history with it")
		}
		m, err := schemas.ParseMapping(r.Value)
		if err != nil {
			w.Fatal(err)
		}
		if m.Tenant == tenant {
			all[m.Agent] = m
		}
	}
	return all
}

// changes is the tenant's audit trail, each entry in some words.
func (w *world) changes(tenant schemas.Tenant) (all []string) {
	w.Helper()
	for _, r := range w.Records(w.T, w.topics.Changes) {
		c, err := schemas.ParseChange(r.Value)
		if err != nil {
			w.Fatal(err)
		}
		if c.Tenant != tenant {
			continue
		}
		words := []string{c.By, string(c.Change)}
		if c.Agent != 0 {
			words = append(words, fmt.Sprint(c.Agent))
		}
		for _, word := range []string{string(c.User), c.State, c.Problem} {
			if word != "" {
				words = append(words, word)
			}
		}
		if c.Result != "ok" {
			words = append(words, c.Result)
		}
		all = append(all, strings.Join(words, " "))
	}
	return all
}

func (w *world) credentials(n int) control.Credentials {
	return control.Credentials{TenantURL: w.urls[n], ClientID: clientID, ClientSecret: clientSecret.Reveal()}
}

// connect connects a tenant to the Halo n and returns the answer.
func (in *instance) connect(tenant schemas.Tenant, n int) control.Connection {
	in.w.Helper()
	conn, _, err := in.Connect(context.Background(), tenant, operator, in.w.credentials(n))
	if err != nil {
		in.w.Fatalf("connect: %v\n%s", err, in.w.log)
	}
	return conn
}

func (in *instance) connection(tenant schemas.Tenant) control.Connection {
	in.w.Helper()
	conn, err := in.Connection(context.Background(), tenant)
	if err != nil {
		in.w.Fatal(err)
	}
	return conn
}

func codes(c control.Connection) (codes []string) {
	for _, p := range c.Problems {
		codes = append(codes, p.Code)
	}
	return codes
}

func (in *instance) refresh(tenant schemas.Tenant) control.Connection {
	in.w.Helper()
	conn, err := in.Refresh(context.Background(), tenant, operator)
	if err != nil {
		in.w.Fatal(err)
	}
	return conn
}

func (in *instance) reconnect(tenant schemas.Tenant) control.Connection {
	in.w.Helper()
	conn, err := in.Reconnect(context.Background(), tenant, operator)
	if err != nil {
		in.w.Fatal(err)
	}
	return conn
}

func (in *instance) disconnect(tenant schemas.Tenant) {
	in.w.Helper()
	if err := in.Disconnect(context.Background(), tenant, operator); err != nil {
		in.w.Fatal(err)
	}
}

// users replaces the tenant's directory: ids and e-mails in turn.
func (in *instance) users(tenant schemas.Tenant, users ...string) (ended int) {
	in.w.Helper()
	c := control.UsersChange{Replace: true, Ends: -1}
	for i := 0; i < len(users); i += 2 {
		c.Set = append(c.Set, control.User{ID: schemas.UserID(users[i]), Email: users[i+1]})
	}
	_, ended, err := in.ChangeUsers(context.Background(), tenant, operator, c)
	if err != nil {
		in.w.Fatal(err)
	}
	return ended
}

// hand says something of an agent: a user, or with "=" a word.
func (in *instance) hand(tenant schemas.Tenant, agent schemas.AgentID, what string) control.Assigned {
	in.w.Helper()
	a := control.Assignment{Agent: agent, User: schemas.UserID(what)}
	if word, found := strings.CutPrefix(what, "="); found {
		a.User, a.Set = "", word
	}
	results, err := in.Assign(context.Background(), tenant, operator, []control.Assignment{a})
	if err != nil {
		in.w.Fatal(err)
	}
	return results[0]
}

func (in *instance) agent(tenant schemas.Tenant, id schemas.AgentID) (control.Agent, bool) {
	in.w.Helper()
	agents, err := in.Agents(context.Background(), tenant)
	if err != nil {
		in.w.Fatal(err)
	}
	i := slices.IndexFunc(agents, func(a control.Agent) bool { return a.ID == id })
	if i < 0 {
		return control.Agent{}, false
	}
	return agents[i], true
}

// standings wants each agent to stand as is said, in one word or two.
func (in *instance) standings(tenant schemas.Tenant, want map[schemas.AgentID]string) {
	in.w.Helper()
	for id, standing := range want {
		is := "absent"
		if a, there := in.agent(tenant, id); there {
			is = a.State
			if a.UserID != nil {
				is += " " + string(*a.UserID)
			}
		}
		if is != standing {
			in.w.Errorf("agent %d is %q, want %q", id, is, standing)
		}
	}
}

// refused wants an error that the API answers with status and code.
func (w *world) refused(err error, status int, code string) {
	w.Helper()
	var r *control.Refusal
	if !errors.As(err, &r) || r.Status != status || r.Code != code {
		w.Errorf("got %v, want %d %s", err, status, code)
	}
}
