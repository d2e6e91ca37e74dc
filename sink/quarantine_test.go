//go:build synctests

package sink_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

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

// A table that refuses is not what it should be: somebody added a constraint,
// or changed a column. No row is at fault, none is given up, however many are
// refused, and a person is told which code it is.
func TestATableThatRefusesIsWaitedForAndNothingIsGivenUp(t *testing.T) {
	for name, refuses := range map[string]func(n int) bool{
		"every row":  func(int) bool { return true },
		"one of all": func(n int) bool { return n == 33 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				var healed atomic.Bool
				var asked atomic.Int32
				ids := make(map[schemas.ID]bool)
				for n := range 1000 {
					ids[activity(n).ID] = refuses(n)
				}
				p := w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
					asked.Add(1)
					if !healed.Load() && slices.ContainsFunc(rows, func(o sink.Outcome) bool { return ids[o.ID] }) {
						return fmt.Errorf("append: %w", clickhouse.Redact(&ch.Exception{Code: 469, Name: "VIOLATED_CONSTRAINT", Message: "Constraint `small` for table worksights.outcomes_log is violated"}))
					}
					keep(rows)
					return nil
				})
				time.Sleep(after)
				w.produce(0, 1000)
				time.Sleep(time.Hour)
				if dead := w.Records(t, w.topics.Dead); len(dead) != 0 {
					t.Errorf("%d dead letters for a fault of the table", len(dead))
				}
				if n := w.uncommitted(); n == 0 {
					t.Error("what the table refused is committed")
				}
				if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "VIOLATED_CONSTRAINT") {
					t.Errorf("while the table refuses: %v", err)
				}
				if n := asked.Load(); n < 100 || n > 500 {
					t.Errorf("asked %d times in an hour", n)
				}
				healed.Store(true)
				time.Sleep(after)
				w.settled()
				if err := p.Ready(); err != nil {
					t.Errorf("after the table was put right: %v", err)
				}
			})
		})
	}
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
