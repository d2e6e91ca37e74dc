//go:build synctests

package sink_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

// table refuses rows as ClickHouse does: the whole insert, for one of them.
type table struct {
	refuses func(sink.Outcome) bool
	healed  atomic.Bool
	takes   time.Duration
	asked   atomic.Int32
}

func (x *table) append(ctx context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
	x.asked.Add(1)
	select {
	case <-time.After(x.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if !x.healed.Load() && slices.ContainsFunc(rows, x.refuses) {
		return fmt.Errorf("append %d rows: %w", len(rows), sink.ErrRefused)
	}
	keep(rows)
	return nil
}

func every(sink.Outcome) bool { return true }

// poison makes a table refuse the rows of events.
func poison(events ...int) func(sink.Outcome) bool {
	ids := make(map[schemas.ID]bool)
	for _, n := range events {
		ids[activity(n).ID] = true
	}
	return func(o sink.Outcome) bool { return ids[o.ID] }
}

// lettersFor fails unless the dead letters are about exactly these records,
// once each, and name reason.
func (w *world) lettersFor(reason string, records ...*kgo.Record) {
	w.t.Helper()
	dead := w.Records(w.t, w.topics.Dead)
	if len(dead) != len(records) {
		w.t.Errorf("%d dead letters, want %d", len(dead), len(records))
	}
	for _, r := range records {
		i := slices.IndexFunc(dead, func(d *kgo.Record) bool { return bytes.Equal(d.Value, r.Value) })
		if i < 0 {
			w.t.Errorf("no dead letter has the value of %s/%d at %d", r.Topic, r.Partition, r.Offset)
			continue
		}
		want := map[string]string{
			"reason": reason, "topic": r.Topic, "partition": strconv.Itoa(int(r.Partition)), "offset": strconv.Itoa(int(r.Offset)),
			"schema": kafka.Schema(r),
		}
		for name, value := range want {
			if got := header(dead[i], name); got != value {
				w.t.Errorf("header %s = %q, want %q", name, got, value)
			}
		}
		if !bytes.Equal(dead[i].Key, r.Key) {
			w.t.Errorf("key %q, want %q", dead[i].Key, r.Key)
		}
	}
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// lost takes the rows of events out of what ought to be kept, and gives the
// records that they came in.
func (w *world) lost(events ...int) (records []*kgo.Record) {
	all := slices.Concat(w.Records(w.t, w.topics.Activities), w.Records(w.t, w.topics.Skipped))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range events {
		id := activity(n).ID
		at := w.places[id]
		w.want = slices.DeleteFunc(w.want, func(o sink.Outcome) bool { return o.ID == id })
		for _, r := range all {
			if (place{r.Topic, r.Partition, r.Offset}) == at {
				records = append(records, r)
			}
		}
	}
	return records
}

// excuse lets a commit cover events that the table refuses: whether they are
// dead letters by then is asked at the end.
func (w *world) excuse(events ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range events {
		w.excused = append(w.excused, activity(n).ID)
	}
}

func TestARefusedRowIsFoundAndItsSiblingsAreKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		bad := []int{0, 33, 34, 512, 999}
		w.excuse(bad...)
		x := &table{refuses: poison(bad...)}
		p := w.start(x.append)
		time.Sleep(after)
		w.produce(0, 1000)
		time.Sleep(after)
		records := w.lost(bad...)
		w.settled()
		w.lettersFor("refused_by_store", records...)
		// Two appends per level and row, of the ten levels of a thousand rows.
		if n := x.asked.Load(); n > 1+2*10*int32(len(bad)) {
			t.Errorf("%d appends to find %d rows", n, len(bad))
		}
		if n := counter(t, p, "halo_dead_records_total", "sink"); n != 5 {
			t.Errorf("halo_dead_records_total = %v, want 5", n)
		}
		if n := counter(t, p, "halo_sink_rows_total", "outcomes_log"); n != 995 {
			t.Errorf("halo_sink_rows_total = %v, want the 995 that are kept", n)
		}
	})
}

// However slow the table is: an attempt to find many rows may last minutes.
func TestManyRefusedRowsAreFoundInASlowTable(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var bad []int
		for n := range 100 {
			bad = append(bad, n*10)
		}
		w.excuse(bad...)
		x := &table{refuses: poison(bad...), takes: time.Second}
		w.start(x.append)
		time.Sleep(after)
		w.produce(0, 1000)
		time.Sleep(time.Hour)
		records := w.lost(bad...)
		w.settled()
		w.lettersFor("refused_by_store", records...)
		if n := x.asked.Load(); n < 100 {
			t.Errorf("%d appends of a second each: this proves nothing", n)
		}
	})
}

func TestATableThatRefusesTooMuchIsNotQuarantined(t *testing.T) {
	var all []int
	for n := range 101 {
		all = append(all, n*9)
	}
	for name, tt := range map[string]struct {
		events  int
		refuses func(sink.Outcome) bool
	}{
		"every row of many":         {1000, every},
		"every row of two":          {2, every},
		"the only row":              {1, every},
		"a hundred and one of many": {1000, poison(all...)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				x := &table{refuses: tt.refuses}
				p := w.start(x.append)
				time.Sleep(after)
				w.produce(0, tt.events)
				time.Sleep(time.Hour)
				if dead := w.Records(t, w.topics.Dead); len(dead) != 0 {
					t.Errorf("%d dead letters for a fault of the table", len(dead))
				}
				if n := w.uncommitted(); n != int64(tt.events) {
					t.Errorf("%d records uncommitted, want all %d", n, tt.events)
				}
				if p.Ready() == nil {
					t.Error("ready while the table refuses everything")
				}
				if x.asked.Load() < 100 {
					t.Errorf("asked %d times in an hour: this proves nothing", x.asked.Load())
				}
				x.healed.Store(true)
				time.Sleep(after)
				w.settled()
				if p.Ready() != nil {
					t.Error("not ready after the table was put right")
				}
			})
		})
	}
}

// In a quiet hour rows come one at a time, and each alone looks refused for
// its own sake. None may be given up for a fault of the table.
func TestALoneRowIsNotGivenUpBeforeAnotherIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		x := &table{refuses: every}
		w.start(x.append)
		time.Sleep(after)
		for n := range 10 {
			w.produce(n, n+1)
			time.Sleep(after)
		}
		if n := w.uncommitted(); n != 10 || len(w.Records(t, w.topics.Dead)) != 0 {
			t.Errorf("%d records uncommitted and %d dead letters, want 10 and none", n, len(w.Records(t, w.topics.Dead)))
		}
		x.healed.Store(true)
		time.Sleep(after)
		w.settled()
	})
	t.Run("and is given up once another is", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			w.excuse(0)
			x := &table{refuses: poison(0)}
			w.start(x.append)
			time.Sleep(after)
			w.produce(0, 1)
			time.Sleep(time.Hour)
			if n := w.uncommitted(); n != 1 {
				t.Errorf("%d records uncommitted, want the one", n)
			}
			w.produce(1, 2)
			time.Sleep(after)
			records := w.lost(0)
			w.settled()
			w.lettersFor("refused_by_store", records...)
		})
	})
}

func TestARecordThatDoesNotParseBecomesADeadLetter(t *testing.T) {
	good := activity(77)
	tomorrow := bytes.Replace(good.AppendJSON(nil), []byte(`"kind":`), []byte(`"kind":"praised","was":`), 1)
	for _, tt := range []struct {
		name, schema, reason string
		value                []byte
	}{
		{"a schema of tomorrow", "halo.activity/2", "unknown_schema", good.AppendJSON(nil)},
		{"no schema", "", "unknown_schema", good.AppendJSON(nil)},
		{"another stage's schema", schemas.EventSchema, "unknown_schema", good.AppendJSON(nil)},
		{"a word of tomorrow", schemas.ActivitySchema, "malformed", tomorrow},
		{"a skip that says it is an activity", schemas.ActivitySchema, "malformed", skip(77).AppendJSON(nil)},
		{"cut short", schemas.SkipSchema, "malformed", []byte(`{"id":"`)},
		{"a tombstone", schemas.ActivitySchema, "malformed", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				p := w.start(kept)
				time.Sleep(after)
				w.produce(0, 50)
				r := kafka.Record(w.topics.Activities, string(good.Tenant), tt.schema, tt.value)
				if tt.schema == "" {
					r.Headers = nil
				}
				w.write([]*kgo.Record{r}, nil)
				w.produce(50, 100)
				time.Sleep(after)
				w.settled()
				w.lettersFor(tt.reason, r)
				if n := counter(t, p, "halo_dead_records_total", "sink"); n != 1 {
					t.Errorf("halo_dead_records_total = %v, want 1", n)
				}
			})
		})
	}
}

// A record is either kept or a dead letter before its offset is committed.
func TestNothingIsCommittedBeforeTheDeadLetterIsAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := w.start(kept)
		time.Sleep(after)
		down := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.topics.Dead, Err: kerr.NotEnoughReplicas, Count: -1})
		bad := kafka.Record(w.topics.Skipped, "tenant-1", "halo.skip/9", []byte("{}"))
		w.write([]*kgo.Record{bad}, nil)
		w.produce(0, 100)
		time.Sleep(10 * time.Minute)
		if n := w.uncommitted(); n != 101 {
			t.Errorf("%d records uncommitted, want all 101", n)
		}
		if p.Ready() == nil {
			t.Error("ready while dead letters cannot be written")
		}
		if down.Hits() == 0 {
			t.Error("no dead letter was refused: this proves nothing")
		}
		down.Remove()
		time.Sleep(after)
		w.settled()
		if dead := w.Records(t, w.topics.Dead); len(dead) == 0 {
			t.Error("no dead letter")
		}
	})
}
