//go:build synctests

package care_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

// estateAgents are the agents of each tenant; all are mapped.
const estateAgents = 20

// estate is many tenants on one instance.
type estate struct {
	testing.TB
	tenants int
	cfg     ledger.Config

	mu      sync.Mutex
	checked map[schemas.Tenant]bool
	done    func() // called once every tenant was checked
}

func (e *estate) tenant(n int) schemas.Tenant { return schemas.Tenant(fmt.Sprintf("tenant-%05d", n)) }

// calmDesk is a Halo in good order that answers after a tenth of a second.
type calmDesk struct {
	care.Halo
	tenant schemas.Tenant
	estate *estate
}

func (d calmDesk) BaseURL() string { return "https://acme.example" }
func (d calmDesk) Left() int       { return 300 }
func (d calmDesk) Close()          {}

func (d calmDesk) Authenticate(context.Context) error {
	time.Sleep(100 * time.Millisecond)
	return nil
}

func (d calmDesk) Webhook(_ context.Context, id string) (halopsa.Webhook, error) {
	time.Sleep(100 * time.Millisecond)
	d.estate.mu.Lock()
	defer d.estate.mu.Unlock()
	if d.estate.checked[d.tenant] = true; len(d.estate.checked) == d.estate.tenants {
		d.estate.done()
	}
	hook := halopsa.Webhook{ID: id, Name: care.WebhookName, URL: ingestURL + care.WebhookPath + string(schemas.ConnectionIDOf(d.tenant)), Active: true}
	for n := range schemas.Kinds() {
		hook.Events = append(hook.Events, halopsa.Notification{ID: int64(n + 1), WebhookID: id})
	}
	return hook, nil
}

// newEstate writes the tenants into the cluster.
func newEstate(b testing.TB, c *kafkatest.Cluster, tenants int) *estate {
	b.Helper()
	topics := schemas.NewTopics("halo.")
	c.CreateTopics(b, topics, 1)
	keyset := filepath.Join(b.TempDir(), "keyset.json")
	if err := vault.NewKeyset(keyset); err != nil {
		b.Fatal(err)
	}
	sealer, err := vault.Open(keyset, fresh.Options{})
	if err != nil {
		b.Fatal(err)
	}
	e := &estate{TB: b, tenants: tenants, cfg: ledger.Config{Kafka: c.Config, KafkaOptions: c.Opts, Topics: topics, Sealer: sealer, Log: slog.New(slog.DiscardHandler)}}
	l, stop := e.act(func(l *ledger.Ledger) func(context.Context, func()) error {
		return func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return nil }
	})
	defer stop()
	g := new(errgroup.Group)
	g.SetLimit(64) // each waits for its instant
	for n := range tenants {
		g.Go(func() error { return e.settle(l, n) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return e
}

// settle makes a tenant that is connected.
func (e *estate) settle(l *ledger.Ledger, n int) error {
	t, now := e.tenant(n), schemas.Truncate(time.Now())
	s := ledger.State{
		TenantURL: "https://acme.example", WebhookID: "hook", ConnectedAt: now, ListedAt: now,
		Credentials:   &ledger.Credentials{TenantURL: "https://acme.example", ClientID: "id", ClientSecret: "secret"},
		Verifiers:     []schemas.Verifier{schemas.NewVerifier(schemas.ConnectionIDOf(t), "secret")},
		Notifications: make(map[int64]schemas.Kind),
	}
	for n, kind := range schemas.Kinds() {
		s.Notifications[int64(n+1)] = kind
	}
	s.Findings = ledger.Findings{At: now, Events: schemas.Kinds()}
	for a := range estateAgents {
		who := fmt.Sprintf("person-%d-%d", n, a)
		s.Agents = append(s.Agents, ledger.Agent{ID: schemas.AgentID(a + 2), Name: who, Email: who + "@acme.example"})
		s.Users = append(s.Users, ledger.User{ID: schemas.UserID(who), Email: who + "@acme.example"})
	}
	turn, err := l.Take(e.Context(), t)
	if err != nil {
		return err
	}
	defer turn.Back()
	conn := s.Connection(t)
	_, err = turn.Apply(ledger.Change{State: &s, Publish: &conn, Map: func(at time.Time) (all []schemas.Mapping) {
		for a, u := range s.Users {
			all = append(all, schemas.Mapping{Tenant: t, Agent: schemas.AgentID(a + 2)}.Assign(u.ID, at, schemas.ByConnector))
		}
		return all
	}})
	return err
}

// act begins a term and returns when it is ready. stop ends it.
func (e *estate) act(run func(*ledger.Ledger) func(context.Context, func()) error) (l *ledger.Ledger, stop func()) {
	e.Helper()
	l, err := ledger.New(e.cfg)
	if err != nil {
		e.Fatal(err)
	}
	ctx, cancel := context.WithCancel(e.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	act := run(l)
	go func() {
		ended <- l.Act(ctx, func(ctx context.Context, up func()) error {
			return act(ctx, func() { up(); close(ready) })
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		e.Fatalf("the term ended: %v", err)
	}
	return l, func() {
		cancel()
		if err := <-ended; err != nil {
			e.Error(err)
		}
	}
}

// care looks after the estate.
func (e *estate) care(every time.Duration) (c *care.Care, l *ledger.Ledger, stop func()) {
	e.Helper()
	e.checked = make(map[schemas.Tenant]bool, e.tenants)
	l, stop = e.act(func(l *ledger.Ledger) func(context.Context, func()) error {
		var err error
		c, err = care.New(care.Config{
			Ledger: l, Outcomes: &outcomes{}, Eraser: &eraser{}, Topics: e.cfg.Topics, IngestURL: ingestURL, HealthInterval: every, Log: e.cfg.Log,
			Dial: func(t schemas.Tenant, _ ledger.Credentials) (care.Halo, error) {
				return calmDesk{tenant: t, estate: e}, nil
			},
		})
		if err != nil {
			e.Fatal(err)
		}
		return c.Run
	})
	return c, l, stop
}

// As many checks are made as are due, and not as many as one scan finds places for.
func TestEveryTenantOfAnEstateIsCheckedWithinTwoIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tenants, every = 1_000, time.Minute
		e := newEstate(t, kafkatest.NewVirtual(t), tenants)
		e.done = func() {}
		_, _, stop := e.care(every)
		defer stop()
		time.Sleep(2 * every)
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.checked) != tenants {
			t.Errorf("%d of %d were checked", len(e.checked), tenants)
		}
	})
}

// processor is the processor's time that this process has used, the broker's in it
// included. Unlike the clock's, it says the same on a busy machine.
func (e *estate) processor() time.Duration {
	e.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		e.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func (e *estate) held() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

// percentile of times in milliseconds.
func percentile(all []time.Duration, n int) float64 {
	slices.Sort(all)
	return float64(all[len(all)*n/100].Microseconds()) / 1e3
}

// How long an instance takes to take over many tenants, what it holds of them, how
// soon it has checked each, and what a mapping takes meanwhile. The health interval is
// a fifth of the usual one, so that five times as many checks are made as usual.
func BenchmarkAnEstate(b *testing.B) {
	const every = time.Minute
	for _, tenants := range []int{3_000, 10_000} {
		b.Run(fmt.Sprint(tenants), func(b *testing.B) {
			e := newEstate(b, kafkatest.New(b), tenants)
			for b.Loop() {
				checking, done := context.WithCancel(b.Context())
				e.done = done
				before, began, spent := e.held(), time.Now(), e.processor()
				c, l, stop := e.care(every)
				b.ReportMetric(time.Since(began).Seconds(), "s/take-over")
				b.ReportMetric((e.processor() - spent).Seconds(), "cpu-s/take-over")
				b.ReportMetric(e.held()-before, "MB-held")

				began, spent = time.Now(), e.processor()
				mapped, written := e.work(checking, c, l)
				b.ReportMetric(time.Since(began).Seconds(), "s/all-checked")
				b.ReportMetric(100*(e.processor()-spent).Seconds()/time.Since(began).Seconds(), "%cpu/checks")
				b.ReportMetric(percentile(mapped, 99), "ms/mapping-p99")
				b.ReportMetric(percentile(written, 50), "ms/write-and-read-back-p50")
				b.ReportMetric(percentile(written, 99), "ms/write-and-read-back-p99")
				stop()
			}
		})
	}
}

// work maps agents of eight tenants, and writes a record of each, again and again
// until ctx ends.
func (e *estate) work(ctx context.Context, c *care.Care, l *ledger.Ledger) (mapped, written []time.Duration) {
	g := new(errgroup.Group)
	for n := range 8 {
		g.Go(func() error {
			t := e.tenant(n)
			for i := 0; ctx.Err() == nil; i++ {
				began := time.Now()
				user := schemas.UserID(fmt.Sprintf("person-%d-%d", n, i%2))
				results, err := c.Assign(e.Context(), t, operator, []control.Assignment{{Agent: 2, User: user}})
				if err != nil || results[0].Error != nil {
					return errors.Join(err, errors.New("an agent was not mapped"))
				}
				once := time.Since(began)
				turn, err := l.Take(e.Context(), t)
				if err != nil {
					return err
				}
				began = time.Now()
				conn := turn.Snapshot().Connection(t)
				_, err = turn.Apply(ledger.Change{Publish: &conn})
				turn.Back()
				if err != nil {
					return err
				}
				e.mu.Lock()
				mapped, written = append(mapped, once), append(written, time.Since(began))
				e.mu.Unlock()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		e.Fatal(err)
	}
	return mapped, written
}
