//go:build synctests

package sink_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/sink"
)

func TestABatchIsAppendedWhenItIsFull(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		full := 0
		w.produce(0, 5000)
		w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			if len(rows) > 300 {
				t.Errorf("a batch of %d rows, want 300 at most", len(rows))
			}
			if len(rows) == 300 {
				full++
			}
			keep(rows)
			return nil
		}, func(c *setting) { c.BatchRows, c.BatchWait = 300, time.Hour })
		time.Sleep(after)
		if n := w.memory.Appended(); full < 16 || n != 300*full {
			t.Errorf("%d full batches and %d rows within a minute, want 16 batches: a full batch waited", full, n)
		}
		time.Sleep(time.Hour)
		w.settled()
	})
}

func TestALoneRowIsAppendedAtOnceAndManyAreNoMoreInserts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var at []time.Time
		w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			at = append(at, time.Now())
			time.Sleep(20 * time.Millisecond)
			keep(rows)
			return nil
		})
		time.Sleep(after)
		for n := range 20 {
			began := time.Now()
			w.produce(n, n+1)
			time.Sleep(after)
			synctest.Wait()
			if len(at) != n+1 {
				t.Fatalf("%d appends after %d rows", len(at), n+1)
			}
			if d := at[n].Sub(began); d > 20*time.Millisecond {
				t.Errorf("a lone row was appended after %v", d)
			}
		}
		alone := len(at)
		for n := 20; n < 1020; n++ {
			w.produce(n, n+1)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(after)
		w.settled()
		for i := alone + 1; i < len(at); i++ {
			if d := at[i].Sub(at[i-1]); d < batchWait {
				t.Errorf("an insert began %v after the one before", d)
			}
		}
		if n := len(at) - alone; n < 15 {
			t.Errorf("%d inserts in ten seconds: this proves nothing", n)
		}
	})
}

// While one batch is being appended the next is taken from Kafka, so that it is
// ready with the answer.
func TestTheNextBatchIsCollectedWhileOneIsBeingAppended(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var sizes []int
		w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			sizes = append(sizes, len(rows))
			time.Sleep(3 * time.Second)
			keep(rows)
			return nil
		})
		time.Sleep(after)
		w.produce(0, 1)
		time.Sleep(time.Second)
		fetched := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1, Observe: true})
		for n := 1; n < 51; n++ {
			w.produce(n, n+1)
			time.Sleep(10 * time.Millisecond)
		}
		if fetched.Hits() < 5 {
			t.Errorf("%d fetches while a batch was being appended", fetched.Hits())
		}
		time.Sleep(after)
		if len(sizes) != 2 || sizes[1] != 50 {
			t.Errorf("inserts of %v rows, want one of all that came meanwhile", sizes)
		}
		w.settled()
	})
}

func TestShutdownAppendsAndCommitsWhatIsInHand(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			time.Sleep(4 * time.Second)
			keep(rows)
			return nil
		})
		time.Sleep(after)
		w.produce(0, 100)
		time.Sleep(2 * time.Second) // the append is under way
		began := time.Now()
		if n := w.memory.Appended(); n != 0 {
			t.Fatalf("%d rows appended: this proves nothing", n)
		}
		if err := p.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("shut down after %v, want as soon as the append is done", d)
		}
		w.settled()
		if g := w.GroupInfo(group); len(g.Members) != 0 {
			t.Error("still a member of the group: the others wait for its session to end")
		}
		if p.Ready() == nil {
			t.Error("ready after the end")
		}
	})
}

func TestShutdownDoesNotWaitLongerThanToldTo(t *testing.T) {
	for name, store := range map[string]func(context.Context) error{
		"the store refuses connections": func(context.Context) error { return errAway },
		"the store swallows packets":    func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				p := w.start(func(ctx context.Context, _ *process, _ []sink.Outcome, _ func([]sink.Outcome)) error {
					return store(ctx)
				}, func(c *setting) { c.Drain = 7 * time.Second })
				time.Sleep(after)
				w.produce(0, 100)
				time.Sleep(after)
				began := time.Now()
				if err := p.stop(); err != nil {
					t.Errorf("Run = %v", err)
				}
				if d := time.Since(began); d < 6*time.Second || d > 8*time.Second {
					t.Errorf("shut down after %v, want the 7s of Drain", d)
				}
				if n := w.uncommitted(); n != 100 {
					t.Errorf("%d records uncommitted, want all 100", n)
				}
				w.start(kept)
				time.Sleep(after)
				w.settled()
			})
		})
	}
}

func TestAShutdownWhileKafkaHangsEndsBeforeItsProgramGivesItUp(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := w.start(func(_ context.Context, p *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			keep(rows)
			p.hang() // so that the commit, and then the group, get no answer
			return nil
		})
		time.Sleep(after)
		w.produce(0, 100)
		time.Sleep(batchWait + 100*time.Millisecond)
		if n := w.uncommitted(); n != 100 {
			t.Fatalf("%d of 100 records uncommitted: this proves nothing", n)
		}
		began := time.Now()
		if err := p.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
		if d := time.Since(began); d >= daemon.DefaultDrain {
			t.Errorf("shut down after %v; the program gives up after %v and ends as failed", d, daemon.DefaultDrain)
		}
		w.start(kept)
		time.Sleep(after)
		w.settled()
	})
}
