//go:build synctests

package processor_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/worksights/halo-connector/internal/metric/metrictest"
)

func TestTheBooksOfARunningProcessorBalance(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var st *stage
		var longest float64
		get := func(name string, values ...string) float64 { return metrictest.Series(t, st.reg, name, values...) }
		st = w.start(setting{caughtUp: func() {
			time.Sleep(time.Minute)
			longest = max(longest, get("halo_consumer_lag_seconds", w.topics.Events))
		}})
		w.assign("acme", 5, "ada")
		for range 3 {
			w.send("acme", 5)
		}
		w.send("acme", 6)
		w.sendJunk("acme")
		w.committed("processor")
		time.Sleep(time.Minute)

		fate := func(fate string) float64 { return get("halo_records_out_total", fate, "processor") }
		if in := get("halo_records_in_total", "processor"); in != 5 || fate("out") != 3 || fate("skipped") != 1 || fate("dead") != 1 {
			t.Errorf("in %v = out %v + skipped %v + dead %v; want 5 = 3 + 1 + 1", in, fate("out"), fate("skipped"), fate("dead"))
		}
		if longest < 60 || longest > 200 {
			t.Errorf("the lag was %v s while up to three batches waited for a minute each", longest)
		}
		if s := get("halo_consumer_lag_seconds", w.topics.Events); s != 0 {
			t.Errorf("the lag is %v s with nothing in hand", s)
		}
	})
}

func TestEventsThatKafkaDeletedUnreadAreABreach(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.start(setting{})
		w.send("acme", 6)
		w.committed("processor")
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			w.send("acme", 6)
		}
		adm := kadm.NewClient(w.edge)
		ends, err := adm.ListEndOffsets(t.Context(), w.topics.Events)
		if err != nil {
			t.Fatal(err)
		}
		until := make(kadm.Offsets)
		ends.Each(func(end kadm.ListedOffset) {
			if end.Offset > 0 {
				until.AddOffset(w.topics.Events, end.Partition, end.Offset-1, -1) // all but the last
			}
		})
		if _, err := adm.DeleteRecords(t.Context(), until); err != nil {
			t.Fatal(err)
		}
		second := w.start(setting{})
		w.committed("processor")
		if n := metrictest.Series(t, second.reg, "halo_promise_breaches_total", "kept", "processor"); n != 2 {
			t.Errorf("%v breaches, want the 2 events that were deleted unread", n)
		}
		if n := metrictest.Series(t, first.reg, "halo_promise_breaches_total", "kept", "processor"); n != 0 {
			t.Errorf("%v breaches before anything was deleted", n)
		}
	})
}
