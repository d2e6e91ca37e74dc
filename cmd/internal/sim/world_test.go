//go:build synctests

package sim

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/embedded/broker"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

// world is one run: what lives in it, what was done to it, and what the
// reference noted of it.
type world struct {
	t *testing.T
	*kafkatest.Cluster
	rng    *rand.Rand
	topics schemas.Topics
	sealer *vault.Sealer
	log    *slog.Logger
	began  time.Time

	edges  []*edge
	planes []*plane
	all    []*process
	dead   []*life
	store  *store
	ghosts *broker.Ghosts

	tenants []*tenant
	notes   *notes
	faults  map[string]*kfake.FaultHandle
	plans   []plan
	gone    []*kgo.Record  // events that the retention deleted, some more than once
	calls   sync.WaitGroup // deliveries and requests under way

	mu        sync.Mutex
	told      strings.Builder
	sometimes map[string]int
}

// tenant is a customer and his Halo.
type tenant struct {
	id      schemas.Tenant
	agents  []schemas.AgentID
	turn    chan struct{} // one request of the control plane at a time; a mutex would hold up the bubble's clock
	mu      sync.Mutex
	secret  schemas.Secret
	webhook string
	sent    []delivery
}

func (tn *tenant) current() (schemas.Secret, string) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	return tn.secret, tn.webhook
}

// newWorld makes a world in which everything is up. Call it in a bubble.
func newWorld(t *testing.T, seed uint64, keyset string, logs io.Writer) *world {
	w := &world{
		t:       t,
		Cluster: kafkatest.NewVirtual(t, kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094)),
		rng:     rand.New(rand.NewPCG(seed, 0x51f0)),
		topics:  schemas.NewTopics("halo."),
		log:     slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelWarn})),
		began:   time.Now(), store: &store{}, notes: newNotes(),
		faults: make(map[string]*kfake.FaultHandle), sometimes: make(map[string]int),
	}
	var err error
	if w.sealer, err = vault.Open(keyset, fresh.Options{Log: w.log}); err != nil {
		t.Fatal(err)
	}
	w.ghosts = broker.WatchGroups(w.Cluster.Cluster, w.Client(t), w.log)
	w.CreateTopics(t, w.topics, 3)
	for n := 1; n <= 2; n++ {
		e, p := w.newEdge(fmt.Sprintf("ingest-%d", n)), w.newPlane(fmt.Sprintf("connect-%d", n))
		w.edges, w.planes = append(w.edges, e), append(w.planes, p)
		w.all = append(w.all, &e.process, &p.process, w.newProcessor(fmt.Sprintf("processor-%d", n)), w.newSink(fmt.Sprintf("sink-%d", n)))
	}
	for _, p := range w.all {
		w.start(p)
	}
	for n := range 3 {
		tn := &tenant{id: schemas.Tenant(fmt.Sprintf("tenant-%d", n)), agents: []schemas.AgentID{10, 11, 12}, turn: make(chan struct{}, 1)}
		w.tenants = append(w.tenants, tn)
		w.reconnect(tn, w.fork())
		if _, webhook := tn.current(); webhook == "" {
			t.Fatalf("%s could not be connected", tn.id)
		}
	}
	return w
}

// end stops everything, in order, and waits for it.
func (w *world) end() {
	w.calls.Wait()
	for _, p := range w.all {
		if p.up() {
			p.cancel()
		}
	}
	for _, p := range w.all {
		if p.up() {
			p.ended.Wait()
		}
	}
	for _, l := range w.dead {
		l.ended.Wait()
	}
}

// tell writes a line of the story.
func (w *world) tell(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.told, "%9.3fs  %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

// met counts a rare state that was met.
func (w *world) met(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sometimes[what]++
}

// fork is for what goes on beside the schedule, which it must not disturb.
func (w *world) fork() *rand.Rand { return rand.New(rand.NewPCG(w.rng.Uint64(), 0)) }

// one picks one of them.
func one[T any](rng *rand.Rand, all []T) T { return all[rng.IntN(len(all))] }

// between is a duration from low up to high.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)))
}
