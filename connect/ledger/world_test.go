//go:build synctests

package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// world is Kafka and a keyset, in virtual time.
type world struct {
	*testing.T
	*kafkatest.Cluster
	topics schemas.Topics
	keyset string
	log    *logged
}

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

func inWorld(t *testing.T, f func(w *world), opts ...kfake.Opt) {
	t.Helper()
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	if err := vault.NewKeyset(keyset); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, Cluster: kafkatest.NewVirtual(t, opts...), topics: schemas.NewTopics("halo."), keyset: keyset, log: &logged{}}
		w.CreateTopics(t, w.topics, 1)
		f(w)
	})
}

// instance is a ledger that acts as long as nobody stops it, one term after the
// other.
type instance struct {
	*ledger.Ledger
	w    *world
	stop func()
	last error // why its last term ended; read it after stop
}

// idle is a ledger that nobody has elected.
func (w *world) idle(edits ...func(*ledger.Config)) *ledger.Ledger {
	w.Helper()
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	sealer, err := vault.Open(w.keyset, fresh.Options{Log: log})
	if err != nil {
		w.Fatal(err)
	}
	cfg := ledger.Config{Kafka: w.Config, KafkaOptions: w.Opts, Topics: w.topics, Instance: "test", Sealer: sealer, Log: log}
	for _, edit := range edits {
		edit(&cfg)
	}
	l, err := ledger.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return l
}

// start starts an instance that is elected from now on, as long as it is not
// deposed.
func (w *world) start(edits ...func(*ledger.Config)) *instance {
	w.Helper()
	return w.elect(w.idle(edits...), func(ended error) bool { return !errors.Is(ended, ledger.ErrDeposed) })
}

// elect has a ledger act, and again as long as again says so.
func (w *world) elect(l *ledger.Ledger, again func(ended error) bool) *instance {
	in := &instance{Ledger: l, w: w}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			in.last = l.Act(ctx, func(ctx context.Context, ready func()) error {
				ready()
				<-ctx.Done()
				return nil
			})
			if !again(in.last) {
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
func (w *world) active(edits ...func(*ledger.Config)) *instance {
	w.Helper()
	in := w.start(edits...)
	in.await()
	return in
}

func (in *instance) await() time.Duration {
	in.w.Helper()
	began := time.Now()
	for in.Ready() != nil {
		if time.Since(began) > time.Minute {
			in.w.Fatalf("not active after a minute: %v\n%s", in.Ready(), in.w.log)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

// try applies a change to a tenant.
func (in *instance) try(id schemas.Tenant, change func(*ledger.Snapshot) ledger.Change) (*ledger.Snapshot, error) {
	turn, err := in.Take(context.Background(), id)
	if err != nil {
		return nil, err
	}
	defer turn.Back()
	return turn.Apply(change(turn.Snapshot()))
}

func (in *instance) apply(id schemas.Tenant, change func(*ledger.Snapshot) ledger.Change) *ledger.Snapshot {
	in.w.Helper()
	snap, err := in.try(id, change)
	if err != nil {
		in.w.Fatalf("%v\n%s", err, in.w.log)
	}
	return snap
}

func (in *instance) see(id schemas.Tenant) *ledger.Snapshot {
	in.w.Helper()
	snap, err := in.Snapshot(id)
	if err != nil {
		in.w.Fatal(err)
	}
	return snap
}

// assign is the change that maps an agent.
func assign(agent schemas.AgentID, user schemas.UserID) func(*ledger.Snapshot) ledger.Change {
	return func(s *ledger.Snapshot) ledger.Change {
		return ledger.Change{Map: func(at time.Time) []schemas.Mapping {
			m, ok := s.Mappings[agent]
			if !ok {
				m = schemas.Mapping{Tenant: s.Tenant, Agent: agent}
			}
			if user == "" {
				return []schemas.Mapping{m.Close(at)}
			}
			return []schemas.Mapping{m.Assign(user, at, "test")}
		}}
	}
}

// connect is the change that makes a connection.
func connect(hook string) func(*ledger.Snapshot) ledger.Change {
	return func(s *ledger.Snapshot) ledger.Change {
		next := s.State
		next.Credentials = &ledger.Credentials{TenantURL: "https://acme.example", ClientID: "id", ClientSecret: "the-secret"}
		next.TenantURL, next.WebhookID = "https://acme.example", hook
		next.Verifiers = []schemas.Verifier{schemas.NewVerifier(schemas.ConnectionIDOf(s.Tenant), schemas.Secret(hook))}
		conn := next.Connection(s.Tenant)
		return ledger.Change{State: &next, Publish: &conn}
	}
}

// users is the change that replaces the directory.
func users(ids ...schemas.UserID) func(*ledger.Snapshot) ledger.Change {
	return func(s *ledger.Snapshot) ledger.Change {
		next := s.State
		next.Users = []ledger.User{}
		for _, id := range ids {
			next.Users = append(next.Users, ledger.User{ID: id, Email: string(id) + "@x.example"})
		}
		return ledger.Change{State: &next}
	}
}

// held is what a topic holds to whoever reads it now, by key.
func (w *world) held(topic string) map[string]*kgo.Record {
	w.Helper()
	rows, epoch := make(map[string]*kgo.Record), uint64(0)
	for _, r := range w.Records(w.T, topic) {
		own := table.EpochOf(r)
		epoch = max(epoch, own)
		switch {
		case own < epoch, kafka.Schema(r) == schemas.TermSchema:
		case r.Value == nil:
			delete(rows, string(r.Key))
		default:
			rows[string(r.Key)] = r
		}
	}
	return rows
}

// history is an agent's mapping as the processor sees it.
func (w *world) history(id schemas.Tenant, agent schemas.AgentID) schemas.Mapping {
	w.Helper()
	r := w.held(w.topics.Mappings)[schemas.Mapping{Tenant: id, Agent: agent}.Key()]
	if r == nil {
		return schemas.Mapping{}
	}
	m, err := schemas.ParseMapping(r.Value)
	if err != nil {
		w.Fatal(err)
	}
	return m
}

// stamped is a record of a table as an instance of the epoch writes it.
func stamped(topic, key, schema string, value []byte, epoch uint64) *kgo.Record {
	return table.Stamp(kafka.Record(topic, key, schema, value), epoch)
}
