package ledger_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

const (
	benchTenants = 10_000
	benchAgents  = 20
)

// estate is a cluster that holds many tenants, and the ledger of an instance.
func estate(b *testing.B) *ledger.Ledger {
	b.Helper()
	c, topics := kafkatest.New(b), schemas.NewTopics("halo.")
	c.CreateTopics(b, topics, 1)
	keyset, log := filepath.Join(b.TempDir(), "keyset.json"), slog.New(slog.DiscardHandler)
	if err := vault.NewKeyset(keyset); err != nil {
		b.Fatal(err)
	}
	sealer, err := vault.Open(keyset, fresh.Options{})
	if err != nil {
		b.Fatal(err)
	}
	l, err := ledger.New(ledger.Config{Kafka: c.Config, Topics: topics, Sealer: sealer, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	records := make([]*kgo.Record, 0, benchTenants*(benchAgents+2))
	for n := range benchTenants {
		t := schemas.Tenant(fmt.Sprintf("tenant-%05d", n))
		s := ledger.State{TenantURL: "https://acme.example", WebhookID: "hook", Credentials: &ledger.Credentials{TenantURL: "https://acme.example", ClientSecret: "secret"}}
		s.Verifiers = []schemas.Verifier{schemas.NewVerifier(schemas.ConnectionIDOf(t), "secret")}
		for a := range benchAgents {
			who := fmt.Sprintf("person-%d-%d", n, a)
			s.Agents = append(s.Agents, ledger.Agent{ID: schemas.AgentID(a + 2), Name: who, Email: who + "@acme.example"})
			s.Users = append(s.Users, ledger.User{ID: schemas.UserID(who), Email: who + "@acme.example"})
			m := schemas.Mapping{Tenant: t, Agent: schemas.AgentID(a + 2)}.Assign(schemas.UserID(who), time.Now(), schemas.ByConnector)
			records = append(records, kafka.Record(topics.Mappings, m.Key(), schemas.MappingSchema, m.AppendJSON(nil)))
		}
		conn := s.Connection(t)
		value, err := ledger.Seal(sealer, t, s)
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, kafka.Record(topics.Vault, string(t), schemas.VaultSchema, value),
			kafka.Record(topics.Connections, string(conn.ID), schemas.ConnectionSchema, conn.AppendJSON(nil)))
	}
	cl := c.Client(b)
	for part := range slices.Chunk(records, 5000) {
		if err := cl.ProduceSync(b.Context(), part...).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

// A term of ten thousand tenants: how long it takes to begin, what it holds, and
// how long a mapping takes, its instant and its reading back included.
func BenchmarkATermOfTenThousandTenants(b *testing.B) {
	l := estate(b)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		ctx, stop := context.WithCancel(b.Context())
		ready, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- l.Act(ctx, func(ctx context.Context, up func()) error { up(); close(ready); <-ctx.Done(); return nil })
		}()
		<-ready
		b.ReportMetric(time.Since(began).Seconds(), "s/take-over")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-held")

		const writers, each = 8, 25
		var mu sync.Mutex
		var took, plain []time.Duration
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					id := schemas.Tenant(fmt.Sprintf("tenant-%05d", w*100+n))
					turn, err := l.Take(ctx, id)
					if err != nil {
						b.Error(err)
						return
					}
					asked := time.Now()
					_, err = turn.Apply(ledger.Change{Map: func(at time.Time) []schemas.Mapping {
						return []schemas.Mapping{turn.Snapshot().Mappings[2].Assign("another", at, "bench")}
					}})
					mapped := time.Since(asked)
					asked = time.Now()
					conn := turn.Snapshot().Connection(id)
					if err == nil {
						_, err = turn.Apply(ledger.Change{Publish: &conn})
					}
					turn.Back()
					if err != nil {
						b.Error(err)
						return
					}
					mu.Lock()
					took, plain = append(took, mapped), append(plain, time.Since(asked))
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(took)
		slices.Sort(plain)
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "ms/mapping-p99")
		b.ReportMetric(float64(plain[len(plain)/2].Microseconds())/1e3, "ms/write-and-read-back-p50")
		b.ReportMetric(float64(plain[len(plain)*99/100].Microseconds())/1e3, "ms/write-and-read-back-p99")
		stop()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
}
