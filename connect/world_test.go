//go:build synctests

package connect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

const (
	clientID     = "c7e1a9d2-3f40-4b1e-9a55-0d6f7c2b8e11"
	clientSecret = schemas.Secret("8f3b2c1d-secret-of-the-application-6a5e")
)

// world is Kafka, the files that an instance reads, and the Halos that it may call.
// They listen on loopback, outside of the bubble: while a call is under way
// the bubble's clock stands still.
type world struct {
	*testing.T
	*kafkatest.Cluster
	topics schemas.Topics
	sims   []*halotest.Sim
	urls   []string
	keyset string
	tokens string
	token  schemas.Secret // covers all tenants
	log    *logged
	takes  atomic.Int64 // how long Halo takes for an answer
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

// inWorld runs f in a bubble, beside as many Halos as configs are given, and one where
// none is. What f makes for the time of a test belongs to w.T, the test inside of the
// bubble.
func inWorld(t *testing.T, f func(w *world), configs ...halotest.Config) {
	t.Helper()
	w := &world{topics: schemas.NewTopics("halo."), log: &logged{}}
	if len(configs) == 0 {
		configs = make([]halotest.Config, 1)
	}
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
	synctest.Test(t, func(t *testing.T) {
		w.T = t
		w.Cluster = kafkatest.NewVirtual(t)
		w.CreateTopics(t, w.topics, 1)
		f(w)
	})
}

// loopback is where the simulated Halo is.
func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// instance is one process of the control plane.
type instance struct {
	*connect.Connect
	w    *world
	link *kafkatest.Link
	reg  *prometheus.Registry
	stop func() // ends it in good order; may be called again
}

// start starts an instance. It ends with the test.
func (w *world) start(edits ...func(*connect.Config)) *instance {
	w.Helper()
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	in := &instance{w: w, link: w.Link(), reg: prometheus.NewRegistry()}
	sealer, err := vault.Open(w.keyset, fresh.Options{Log: log})
	if err != nil {
		w.Fatal(err)
	}
	tokens, err := access.Open(w.tokens, fresh.Options{Log: log})
	if err != nil {
		w.Fatal(err)
	}
	limits := new(halopsa.Limits)
	cfg := connect.Config{
		Kafka: w.Config, KafkaOptions: slices.Concat(w.Opts, []kgo.Opt{in.link.Opt()}), Topics: w.topics, Group: "halo.connect",
		IngestURL: "https://hooks.worksights.example/", Sealer: sealer, Tokens: tokens,
		Outcomes: nothing{}, Eraser: nothing{}, Reads: reads{}, Log: log, Registry: in.reg,
		Dial: func(t schemas.Tenant, cred ledger.Credentials) (care.Halo, error) {
			client, err := halopsa.New(halopsa.Config{
				TenantURL: cred.TenantURL, ClientID: cred.ClientID, ClientSecret: cred.ClientSecret, CABundle: cred.CABundle,
				AllowNets: loopback(), Budget: limits.Of(t), Log: log,
			})
			if err != nil {
				return nil, err
			}
			return &halo{client, func() time.Duration { return time.Duration(w.takes.Load()) }}, nil
		},
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

// call makes a request and returns its status and body.
func (in *instance) call(method, path, body string) (int, []byte) {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+in.w.token.Reveal())
	rec := httptest.NewRecorder()
	in.Handler().ServeHTTP(rec, r)
	return rec.Code, rec.Body.Bytes()
}

// want makes a request that succeeds, and reads its answer into out.
func (in *instance) want(method, path, body string, out any) {
	in.w.Helper()
	status, answer := in.call(method, path, body)
	if status/100 != 2 {
		in.w.Fatalf("%s %s: %d %s\n%s", method, path, status, answer, in.w.log)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			in.w.Fatal(err)
		}
	}
}

func at(tenant, rest string) string { return "/v1/tenants/" + tenant + rest }

func (in *instance) users(tenant string, users ...string) {
	in.w.Helper()
	var list []string
	for i := 0; i < len(users); i += 2 {
		list = append(list, fmt.Sprintf(`{"user_id":%q,"email":%q}`, users[i], users[i+1]))
	}
	in.want(http.MethodPut, at(tenant, "/users"), "["+strings.Join(list, ",")+"]", nil)
}

// credentials open the Halo n.
func (w *world) credentials(n int) string {
	return fmt.Sprintf(`{"tenant_url":%q,"client_id":%q,"client_secret":%q}`, w.urls[n], clientID, clientSecret.Reveal())
}

// connect connects a tenant to the Halo 0.
func (in *instance) connect(tenant string) (c control.Connection) {
	in.w.Helper()
	in.want(http.MethodPut, at(tenant, "/connection"), in.w.credentials(0), &c)
	return c
}

func (in *instance) connection(tenant string) (c control.Connection) {
	in.w.Helper()
	in.want(http.MethodGet, at(tenant, "/connection"), "", &c)
	return c
}

func (in *instance) agents(tenant string) []control.Agent {
	in.w.Helper()
	var body control.Agents
	in.want(http.MethodGet, at(tenant, "/agents"), "", &body)
	return body.Agents
}

// standing says how an agent stands, in one word or two.
func (in *instance) standing(tenant string, agent schemas.AgentID) string {
	in.w.Helper()
	for _, a := range in.agents(tenant) {
		if a.ID == agent {
			if a.UserID == nil {
				return a.State
			}
			return a.State + " " + string(*a.UserID)
		}
	}
	return "absent"
}

// live are the webhooks of the Halo n that were not deleted.
func (w *world) live(n int) []halotest.Webhook {
	return slices.DeleteFunc(w.sims[n].Webhooks(), func(h halotest.Webhook) bool { return h.Deleted })
}

// nothing ever arrived, and nothing is to be erased.
type nothing struct{}

func (nothing) LastDelivery(context.Context, schemas.Tenant) (at time.Time, err error) { return }

func (nothing) LastDeliveries(context.Context, time.Time) (all map[schemas.Tenant]time.Time, err error) {
	return
}
func (nothing) LastReached(context.Context, schemas.Tenant) (at time.Time, err error) { return }
func (nothing) Arrivals(context.Context, schemas.Tenant, time.Time) (all []time.Time, err error) {
	return
}

func (nothing) Tally(context.Context, schemas.Tenant, time.Time) (t care.Tally, err error) { return }

func (nothing) Unmapped(context.Context, time.Time) (all map[schemas.Tenant][]care.AgentCount, err error) {
	return
}

func (nothing) Refused(context.Context, time.Time) (all map[schemas.Tenant]care.Refusals, err error) {
	return
}

func (nothing) Erase(context.Context, schemas.Tenant, schemas.UserID, time.Time) (rows uint64, err error) {
	return
}

// reads is a read model that nobody asks here.
type reads struct{ api.Reads }
