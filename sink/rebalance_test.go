//go:build synctests

package sink_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/sink"
)

// owned are the partitions that the group gave to the process whose client
// has this id.
func (w *world) owned(client string) (all []place) {
	for _, m := range w.GroupInfo(group).Members {
		if m.ClientID != client {
			continue
		}
		for topic, numbers := range m.Assignment {
			for _, n := range numbers {
				all = append(all, place{topic: topic, partition: n})
			}
		}
	}
	return all
}

// strangers counts rows of partitions other than those owned.
func (w *world) strangers(rows []sink.Outcome, owned []place) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range rows {
		at := w.places[o.ID]
		if !slices.Contains(owned, place{topic: at.topic, partition: at.partition}) {
			n++
		}
	}
	return n
}

func named(id string) func(*setting) {
	return func(c *setting) { c.Kafka.ClientID = id }
}

// A second sink joins while the first is in the middle of an append, or
// between two attempts. The first lets go within the group's patience, keeps
// what stays its own, and puts the rest out of hand.
func TestARebalanceDuringAnAppendTakesRowsOutOfHandAndLosesNone(t *testing.T) {
	const rows = 400
	for name, away := range map[string]func(context.Context) error{
		"the append hangs":               func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"the append fails again":         func(context.Context) error { return errAway },
		"the append hangs, half is kept": nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				var ill, second atomic.Bool
				var least atomic.Int32
				least.Store(rows)
				w.start(func(ctx context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
					if second.Load() {
						if n := w.strangers(rows, w.owned("first")); n > 0 {
							t.Errorf("%d of %d rows belong to partitions that were taken away", n, len(rows))
						}
						least.Store(min(least.Load(), int32(len(rows))))
					}
					switch {
					case !ill.Load():
						keep(rows)
						return nil
					case away != nil:
						return away(ctx)
					}
					keep(rows[:len(rows)/2])
					<-ctx.Done()
					return ctx.Err()
				}, named("first"))
				time.Sleep(after)
				ill.Store(true)
				w.produce(0, rows)
				time.Sleep(2 * time.Second)
				w.start(kept, named("second"))
				began := time.Now()
				for len(w.owned("second")) == 0 {
					if time.Sleep(100 * time.Millisecond); time.Since(began) > after {
						t.Fatal("the second sink owns nothing after a minute")
					}
				}
				// 4 s to let go, one heartbeat to hear of it, twice where the
				// balancer is cooperative.
				if d := time.Since(began); d > 8*time.Second {
					t.Errorf("the second sink waited %v for its partitions", d)
				}
				time.Sleep(20 * time.Second) // the attempt that began before is over
				second.Store(true)
				time.Sleep(3 * after)
				if a, b := len(w.owned("first")), len(w.owned("second")); a == 0 || b == 0 || a+b != 2*partitions {
					t.Errorf("the first owns %d partitions and the second %d: the first was put out", a, b)
				}
				if n := least.Load(); n == 0 || n == rows {
					t.Errorf("the first has %d of %d rows in hand after the rebalance: this proves nothing", n, rows)
				}
				ill.Store(false)
				time.Sleep(2 * after)
				w.settled()
			})
		})
	}
}

// A member that the group takes for dead, as its heartbeats do not arrive,
// commits nothing any more; what it appended is appended again and folds.
func TestASinkThatWasPutOutOfItsGroupCommitsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		var hung atomic.Bool
		w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			if hung.CompareAndSwap(false, true) {
				<-release // deaf to its context: a process that was suspended
			}
			keep(rows)
			return nil
		}, named("first"))
		time.Sleep(after)
		mute := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Count: -1})
		w.produce(0, 200)
		time.Sleep(5 * time.Second)
		mute.Remove()
		if !hung.Load() {
			t.Fatal("no append is under way: this proves nothing")
		}
		w.start(kept, named("second"))
		time.Sleep(after)
		if n := w.memory.Appended(); n != 200 {
			t.Errorf("the second sink appended %d rows, want all 200", n)
		}
		w.produce(200, 300)
		time.Sleep(after)
		close(release)
		time.Sleep(after)
		if n := w.memory.Appended(); n < 500 {
			t.Errorf("%d rows appended in all: the first never went on, this proves nothing", n)
		}
		w.settled()
		w.produce(300, 600) // and both work
		time.Sleep(after)
		w.settled()
		if a, b := len(w.owned("first")), len(w.owned("second")); a == 0 || b == 0 {
			t.Errorf("the first owns %d partitions and the second %d", a, b)
		}
	})
}

func TestSinksThatComeAndGoUnderLoadLoseNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		slow := func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			time.Sleep(300 * time.Millisecond)
			keep(rows)
			return nil
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for n := 0; n < 12_000; n += 40 {
				w.produce(n, n+40)
				time.Sleep(200 * time.Millisecond)
			}
		}()
		w.start(slow, named("first"))
		for i := range 6 {
			time.Sleep(4 * time.Second)
			p := w.start(slow, named("guest"))
			time.Sleep(6 * time.Second)
			if i%2 == 0 {
				p.kill()
			}
			if err := p.stop(); err != nil {
				t.Errorf("Run = %v", err)
			}
		}
		<-ended
		time.Sleep(after)
		w.settled()
	})
}
