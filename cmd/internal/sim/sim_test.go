//go:build synctests

package sim

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

var (
	seeds = flag.Int("seeds", 20, "how many seeds to run, from -first on")
	first = flag.Uint64("first", 1, "the first seed")
	steps = flag.Int("steps", 120, "how many things happen in a run")
	story = flag.Bool("story", false, "tell the story of each run")
	rare  = flag.Bool("sometimes", false, "fail where a rare state was never met")
)

func TestFivePromisesHoldUnderAnySchedule(t *testing.T) {
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	if err := vault.NewKeyset(keyset); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	sum := make(map[string]int)
	began := time.Now()
	t.Run("seeds", func(t *testing.T) {
		for n := range *seeds {
			seed := *first + uint64(n)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				run(t, seed, keyset, func(met map[string]int) {
					mu.Lock()
					defer mu.Unlock()
					for what, n := range met {
						sum[what] += n
					}
				})
			})
		}
	})
	t.Logf("%d seeds in %v", *seeds, time.Since(began).Round(time.Second))
	for _, what := range slices.Sorted(maps.Keys(sum)) {
		t.Logf("%8d  %s", sum[what], what)
	}
	if *rare {
		for _, what := range rareStates() {
			if sum[what] == 0 {
				t.Errorf("never met: %s; the run proves nothing of it", what)
			}
		}
	}
}

// run is one seed.
func run(t *testing.T, seed uint64, keyset string, done func(map[string]int)) {
	logs := io.Discard
	if *story {
		logs = os.Stderr
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, keyset, logs)
		defer w.end()
		for range *steps {
			w.step()
			time.Sleep(between(w.rng, 0, 400*time.Millisecond))
			w.due(time.Now())
			rows, err := w.store.Folded(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range w.notes.step(rows) {
				t.Error(v)
			}
		}
		w.heal()
		for _, v := range w.settle() {
			t.Error(v)
		}
		if t.Failed() || *story {
			t.Logf("the story of seed %d; again with: make sim SEED=%d\n%s", seed, seed, w.told.String())
		}
		w.met("a run")
		done(w.sometimes)
	})
}

// step is one thing that happens.
func (w *world) step() {
	tn := one(w.rng, w.tenants)
	switch dice := w.rng.IntN(100); {
	case dice < 45:
		w.send(one(w.rng, w.edges), w.happen(tn, 1+w.rng.IntN(3)))
	case dice < 58:
		if len(tn.sent) > 0 {
			w.send(one(w.rng, w.edges), one(w.rng, tn.sent))
			w.met("a delivery was sent again")
		}
	case dice < 70:
		p := w.acting()
		if p == nil {
			w.met("no control plane acted")
			return
		}
		agent, user := one(w.rng, tn.agents), one(w.rng, []schemas.UserID{"", "ada", "ben", "cleo"})
		w.tell("map %s/%d to %q by %s", tn.id, agent, user, p)
		w.assign(p, tn, agent, user)
	case dice < 72:
		w.tell("reconnect %s", tn.id)
		w.calls.Go(func() { w.reconnect(tn) })
	case dice < 78:
		w.strike()
	case dice < 83:
		w.freeze()
	case dice < 86:
		w.ShufflePartitionLeaders()
		w.met("the leaders moved")
		w.tell("all leaders move")
	case dice < 88:
		w.RehashCoordinators()
		w.met("the coordinators moved")
		w.tell("the groups' coordinators move")
	case dice < 94:
		w.hinder()
	case dice < 98:
		w.trouble()
	}
}

// strike kills a process; another life of it begins some time later.
func (w *world) strike() {
	p := one(w.rng, w.all)
	if !p.up() {
		return
	}
	w.tell("kill %s", p)
	w.kill(p)
	w.met("killed: " + p.name[:len(p.name)-2])
	w.later(between(w.rng, 0, 12*time.Second), func() {
		if !p.up() {
			w.tell("start %s", p.name)
			w.start(p)
		}
	})
}

// freeze stops a process for longer than others wait for it, or for shorter.
func (w *world) freeze() {
	p := one(w.rng, w.all)
	if !p.up() || p.frozen {
		return
	}
	span := between(w.rng, 300*time.Millisecond, 20*time.Second)
	w.tell("freeze %s for %v", p, span.Round(time.Millisecond))
	p.link.Freeze()
	p.frozen = true
	w.met("frozen: " + p.name[:len(p.name)-2])
	l := p.life
	w.later(span, func() {
		if p.life == l {
			w.tell("thaw %s", p.name)
			l.link.Thaw()
			p.frozen = false
		}
	})
}

// hinder makes Kafka answer one kind of request badly for a while.
func (w *world) hinder() {
	what := one(w.rng, []struct {
		said string
		key  kmsg.Key
		err  *kerr.Error
	}{
		{"too few replicas for a write", kmsg.Produce, kerr.NotEnoughReplicas},
		{"a write that the broker has and denies", kmsg.Produce, kerr.NotEnoughReplicasAfterAppend},
		{"a write times out", kmsg.Produce, kerr.RequestTimedOut},
		{"nobody leads", kmsg.Produce, kerr.NotLeaderForPartition},
		{"a disk fails under reads", kmsg.Fetch, kerr.KafkaStorageError},
		{"a commit is refused", kmsg.OffsetCommit, kerr.CoordinatorLoadInProgress},
		{"the end of a partition cannot be told", kmsg.ListOffsets, kerr.NotLeaderForPartition},
		{"a heartbeat meets a rebalance", kmsg.Heartbeat, kerr.RebalanceInProgress},
	})
	if w.faults[what.said] != nil {
		return
	}
	span := between(w.rng, 50*time.Millisecond, 6*time.Second)
	w.tell("for %v: %s", span.Round(time.Millisecond), what.said)
	handle := w.Fault(kfake.Fault{Keys: []kmsg.Key{what.key}, Err: what.err, Count: -1})
	w.faults[what.said] = handle
	w.later(span, func() {
		handle.Remove()
		if handle.Hits() > 0 {
			w.met("Kafka: " + what.said)
		}
		delete(w.faults, what.said)
	})
}

// trouble is the store's.
func (w *world) trouble() {
	switch w.rng.IntN(3) {
	case 0:
		span := between(w.rng, time.Second, 15*time.Second)
		w.tell("the store is away for %v", span.Round(time.Millisecond))
		w.store.set(func(s *store) { s.away = true })
		w.met("the store was away")
		w.later(span, func() { w.store.set(func(s *store) { s.away = false }) })
	case 1:
		w.tell("the store keeps the next append and denies it")
		w.store.set(func(s *store) { s.lies++ })
	case 2:
		span := between(w.rng, 100*time.Millisecond, 3*time.Second)
		w.tell("the store takes %v", span.Round(time.Millisecond))
		w.store.set(func(s *store) { s.slow = span })
		w.later(5*time.Second, func() { w.store.set(func(s *store) { s.slow = 0 }) })
	}
}

// later does something after a while, unless all is healed before.
func (w *world) later(after time.Duration, do func()) {
	w.plans = append(w.plans, plan{time.Now().Add(after), do})
}

// plan is something that will be done.
type plan struct {
	at time.Time
	do func()
}

// supervise starts what ended by itself again.
func (w *world) supervise() {
	w.ghosts.Mind()
	for _, p := range w.all {
		if !p.up() {
			continue
		}
		p.mu.Lock()
		broke := p.broke
		p.mu.Unlock()
		if broke {
			w.tell("%s ended by itself, and is started again", p)
			w.met("a process ended by itself")
			w.kill(p)
			w.start(p)
		}
	}
}

// due does what is planned for until now.
func (w *world) due(now time.Time) {
	w.supervise()
	var left []plan
	for _, p := range w.plans {
		if p.at.After(now) {
			left = append(left, p)
		} else {
			p.do()
		}
	}
	w.plans = left
}

// heal undoes all that was done.
func (w *world) heal() {
	w.tell("all is healed")
	w.due(time.Now().Add(time.Hour))
	for _, p := range w.all {
		if !p.up() {
			w.start(p)
		}
	}
}

// settle waits until nothing moves any more and has the reference judge.
func (w *world) settle() []string {
	w.calls.Wait()
	const patience = 15 * time.Minute // many times the longest backoff
	var violations []string
	for began := time.Now(); time.Since(began) < patience; time.Sleep(5 * time.Second) {
		w.supervise()
		if violations = w.judge(); len(violations) == 0 {
			break
		}
	}
	if w.store.lied > 0 {
		w.met("the store kept an append and denied it")
	}
	for id := range w.notes.notKept {
		if !w.notes.answered200[id] {
			if _, there := w.notes.rows[id]; there {
				w.met("what was not answered 200 came all the same")
			}
		}
	}
	return violations
}

// judge hands the reference what is left.
func (w *world) judge() []string {
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{ctx: ctx, kafka: w.Config, opts: w.Opts, log: w.log, reg: prometheus.NewRegistry()}
	mappings, err := follow(l, w.topics.Mappings, processor.ParseHistory)
	if err != nil {
		w.t.Fatal(err)
	}
	ended := l.running(mappings.Run)
	defer func() { cancel(); ended() }()
	if err := mappings.CatchUp(ctx); err != nil {
		w.t.Fatal(err)
	}
	var log, everything []*kgo.Record
	for _, spec := range w.topics.Specs() {
		records := w.Records(w.t, spec.Name)
		if everything = append(everything, records...); spec.Name == w.topics.Events {
			log = records
		}
	}
	rows, err := w.store.Folded(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	w.notes.mu.Lock()
	defer w.notes.mu.Unlock()
	return w.notes.judge(log, everything, mappings, rows)
}

// rareStates are those without which a long run would prove little.
func rareStates() []string {
	return []string{
		"a delivery was sent again", "a delivery was answered 503", "a mapping was not answered", "a reconnect was not answered",
		"an edge died before its answer was seen", "no control plane acted", "two control planes thought that they act",
		"nobody listened", "the coordinators moved", "the leaders moved", "the store kept an append and denied it", "the store was away",
		"what was not answered 200 came all the same",
		"killed: ingest", "killed: processor", "killed: sink", "killed: connect",
		"frozen: ingest", "frozen: processor", "frozen: sink", "frozen: connect",
		"Kafka: too few replicas for a write", "Kafka: a write that the broker has and denies", "Kafka: a write times out", "Kafka: nobody leads",
		"Kafka: a disk fails under reads", "Kafka: a commit is refused", "Kafka: the end of a partition cannot be told", "Kafka: a heartbeat meets a rebalance",
	}
}
