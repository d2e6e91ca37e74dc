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
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/processor"
)

var (
	seeds = flag.Int("seeds", 20, "how many seeds to run, from -first on")
	first = flag.Uint64("first", 1, "the first seed")
	steps = flag.Int("steps", 120, "how many things happen in a run")
	story = flag.Bool("story", false, "tell the story of each run")
	logs  = flag.Bool("logs", false, "show what the processes log, from warnings on")
)

// enough seeds meet every rare state; where one was not met, something is wrong with
// the simulation.
const enough = 10_000

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
	if *seeds >= enough {
		for _, what := range rareStates() {
			if sum[what] == 0 {
				t.Errorf("never met: %s; the run proves nothing of it", what)
			}
		}
	}
}

// run is one seed.
func run(t *testing.T, seed uint64, keyset string, done func(map[string]int)) {
	out := io.Discard
	if *logs {
		out = os.Stderr
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, keyset, out)
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
		violations := w.settle()
		for _, v := range violations {
			t.Error(v)
		}
		w.tell("%s; promises broken: %d", w.notes.sum(), len(violations))
		if t.Failed() {
			w.stands()
		}
		if t.Failed() || *story {
			t.Logf(preface, seed, seed, w.told.String())
		}
		w.met("a schedule")
		w.count()
		done(w.sometimes)
	})
}

// preface is what a reader of a story must know.
const preface = `the story of seed %d

Two of each are at work: ingest, processor, sink, connect; on a Kafka of three
brokers and a store, for three tenants with three agents each. All the time Halo
sends deliveries, some of them again and some late. What else happens stands here,
with the second at which it does. "Kill" is kill -9, and "freeze" stops all that a
process sends until it thaws. At the end all is healed, and once nothing moves any
more the reference judges what lies in Kafka and in the store.
Again: make sim SEED=%d; with what the processes log: … -args -first N -seeds 1 -logs

%s`

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
	// Many times the longest backoff; and for what no row can mend that is still to
	// come, as long as nothing changes.
	const patience, still = 5 * time.Minute, 30 * time.Second
	var violations []string
	for began, changed := time.Now(), time.Now(); time.Since(began) < patience; time.Sleep(5 * time.Second) {
		w.supervise()
		before := violations
		if violations = w.judge(); len(violations) == 0 {
			break
		}
		if !slices.Equal(violations, before) {
			changed = time.Now()
		}
		comes := slices.ContainsFunc(violations, func(v string) bool { return strings.HasPrefix(v, "Kept: ") })
		if !comes && time.Since(changed) >= still {
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
	late := 0
	for _, spec := range w.topics.Specs() {
		records := w.Records(w.t, spec.Name)
		if everything = append(everything, records...); spec.Name == w.topics.Events {
			log = records
		}
		if spec.Name == w.topics.Mappings || spec.Name == w.topics.Vault {
			late += deposed(records)
		}
	}
	rows, err := w.store.Folded(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sometimes["a deposed instance wrote"] = late
	log = append(log, w.gone...)
	w.notes.mu.Lock()
	defer w.notes.mu.Unlock()
	return w.notes.judge(log, everything, mappings, rows)
}
