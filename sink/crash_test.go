//go:build synctests

package sink_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/sink"
)

// The numbers are those of the package comment. At each of them the process
// is killed in its second batch, and another one takes over.
func TestKilledBetweenAnyTwoStepsNothingIsLost(t *testing.T) {
	const first, second = 100, 400
	for _, tt := range []struct {
		name     string
		do       step                                       // of the second batch
		onCommit func(p *process) (err error, handled bool) // of the second batch
		repeated int                                        // rows that are appended twice
		dead     int                                        // letters about one malformed record
	}{
		{
			name: "after 1, nothing is appended",
			do: func(_ context.Context, p *process, _ []sink.Outcome, _ func([]sink.Outcome)) error {
				p.kill()
				return errKilled
			},
			dead: 1,
		},
		{
			name: "in 2, some rows are appended",
			do: func(_ context.Context, p *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
				keep(rows[len(rows)/3:])
				p.kill()
				return errKilled
			},
			repeated: second - second/3,
			dead:     1,
		},
		{
			name: "in 2, all rows are appended and the answer is lost",
			do: func(_ context.Context, p *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
				keep(rows)
				p.kill()
				return errKilled
			},
			repeated: second,
			dead:     1,
		},
		{
			name: "after 2, the dead letter is not written",
			do: func(_ context.Context, p *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
				keep(rows)
				p.kill()
				return nil
			},
			repeated: second,
			dead:     1,
		},
		{
			name:     "after 3, nothing is committed",
			do:       kept,
			onCommit: func(p *process) (error, bool) { p.kill(); return errKilled, true },
			repeated: second,
			dead:     2,
		},
		{
			name:     "after 4, the commit is done and the answer is lost",
			do:       kept,
			onCommit: func(p *process) (error, bool) { go p.kill(); return nil, false },
			repeated: 0,
			dead:     1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				var armed atomic.Bool
				p := w.start(func(ctx context.Context, p *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
					if !armed.Load() {
						keep(rows)
						return nil
					}
					if len(rows) != second {
						t.Errorf("the second batch has %d rows, want %d: this proves nothing", len(rows), second)
					}
					return tt.do(ctx, p, rows, keep)
				})
				time.Sleep(after)
				w.produce(0, first-1)
				time.Sleep(after)
				w.produce(first-1, first) // at once; what comes within BatchWait of it is one batch
				time.Sleep(100 * time.Millisecond)
				if n := w.uncommitted(); n != 0 {
					t.Fatalf("%d records uncommitted: this proves nothing", n)
				}
				armed.Store(true)

				if tt.onCommit != nil {
					w.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
						w.DropControl()
						err, handled := tt.onCommit(p)
						return nil, err, handled
					})
				}
				w.write([]*kgo.Record{kafka.Record(w.topics.Skipped, "tenant-1", "halo.skip/1", []byte(`{"id":`))}, nil)
				w.produce(first, first+second)
				time.Sleep(after)
				if !p.killed() {
					t.Fatal("the process was not killed: this proves nothing")
				}
				if err := p.stop(); err != nil {
					t.Errorf("Run = %v", err)
				}
				before := w.memory.Appended()

				w.start(kept)
				time.Sleep(after)
				w.settled()
				if n := w.memory.Appended() - first - second; n != tt.repeated {
					t.Errorf("%d rows were appended twice, want %d (%d were appended before the kill)", n, tt.repeated, before)
				}
				if dead := w.Records(t, w.topics.Dead); len(dead) != tt.dead {
					t.Errorf("%d dead letters, want %d", len(dead), tt.dead)
				}
			})
		})
	}
}

func TestNothingIsCommittedWhileAnAppendIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var late atomic.Int32
		w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			w.mu.Lock()
			before := w.commits
			w.mu.Unlock()
			time.Sleep(3 * time.Second)
			w.mu.Lock()
			if w.commits != before {
				t.Error("a commit came while the rows were being appended")
			}
			w.mu.Unlock()
			late.Add(1)
			keep(rows)
			return nil
		}, func(c *setting) { c.BatchRows = 50 })
		w.produce(0, 300)
		time.Sleep(2 * after)
		w.settled()
		if late.Load() < 6 {
			t.Errorf("%d appends, want at least 6: this proves nothing", late.Load())
		}
	})
}

// A commit that is refused is tried again, traffic or not, and covers whatever
// was settled meanwhile.
func TestARefusedCommitIsOwedAndRepeatedWithoutTraffic(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := w.start(kept)
		time.Sleep(after)
		refused := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownServerError, Count: -1})
		w.produce(0, 100)
		time.Sleep(after)
		failures := counter(t, p, "halo_sink_failures_total", "commit")
		if n := w.uncommitted(); n != 100 || refused.Hits() < 5 || failures < 5 {
			t.Errorf("%d records uncommitted after %d refused commits, of which %v are counted", n, refused.Hits(), failures)
		}
		w.produce(100, 110) // on other partitions, settled and owed too
		time.Sleep(after)
		refused.Remove()
		time.Sleep(10 * time.Second)
		w.settled()
		if n := w.memory.Appended(); n != 110 {
			t.Errorf("%d rows appended, want each of 110 once", n)
		}
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// What is owed of a partition that was given to another is his to commit.
func TestACommitThatIsOwedIsForgottenWithItsPartition(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start(kept, named("first"))
		time.Sleep(after)
		refused := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownServerError, Count: -1})
		w.produce(0, 200)
		time.Sleep(after)
		w.start(kept, named("second"))
		time.Sleep(after)
		if len(w.owned("second")) == 0 || w.uncommitted() != 200 {
			t.Fatal("the second owns nothing, or something is committed: this proves nothing")
		}
		refused.Remove()
		time.Sleep(after)
		w.settled()
		before := w.memory.Appended()
		if before < 300 {
			t.Errorf("%d rows appended: those of the partitions that moved were not read again", before)
		}
		w.produce(200, 400)
		time.Sleep(after)
		w.settled()
	})
}
