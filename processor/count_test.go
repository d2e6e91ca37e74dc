//go:build synctests

package processor_test

import (
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/schemas"
)

// counted gives the values of a metric of the stage by the value of one label.
func (s *stage) counted(t *testing.T, name, label string) map[string]float64 {
	t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label {
					values[l.GetValue()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return values
}

func TestWhatBecameOfTheEventsIsCounted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.start(setting{})
		w.live()
		w.committed("processor")
		time.Sleep(time.Minute)

		want := map[string]float64{"activity": 0, "erased": 0, "dead": float64(w.buried)}
		for _, r := range schemas.Reasons() {
			want[string(r)] = 0
		}
		for _, e := range w.sent {
			o := w.expected(w.topics, e)
			if o.topic == w.topics.Activities {
				want["activity"]++
				continue
			}
			skip, err := schemas.ParseSkip([]byte(o.value))
			if err != nil {
				t.Fatal(err)
			}
			want[string(skip.Reason)]++
		}
		if got := s.counted(t, "halo_processor_events_total", "outcome"); !maps.Equal(got, want) {
			t.Errorf("counted %v, want %v", got, want)
		}
		// Of junk nobody can say what is in it; all else is as promised.
		if got, want := s.counted(t, "halo_promise_breaches_total", "promise"), map[string]float64{
			"kept": 0, "content_free": float64(w.buried), "as_of_arrival": 0, "apart": 0,
		}; !maps.Equal(got, want) {
			t.Errorf("breaches %v, want %v", got, want)
		}
	})
}

// A processor that is stuck in a batch polls nothing; its lag is what waits.
func TestTheLagOfAProcessorThatIsStuckIsSeen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.start(setting{})
		w.live()
		w.committed("processor")
		lag := func() float64 {
			time.Sleep(time.Minute)
			return s.counted(t, "halo_consumer_lag_records", "topic")[w.topics.Events]
		}
		if n := lag(); n != 0 {
			t.Errorf("a lag of %v with nothing to do", n)
		}
		done := len(w.sent) + w.buried
		outage := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: w.topics.Mappings, Err: kerr.KafkaStorageError, Count: -1})
		w.live()
		if n, want := lag(), float64(len(w.sent)+w.buried-done); n != want {
			t.Errorf("a lag of %v, want %v", n, want)
		}
		if n := s.counted(t, "halo_processor_failures_total", "step"); n["produce"]+n["commit"] != 0 {
			t.Errorf("failures %v of a processor whose barrier waits", n)
		}
		outage.Remove()
		w.committed("processor")
		if n := lag(); n != 0 {
			t.Errorf("a lag of %v after the outage", n)
		}
		w.balance(t, w.topics)
	})
}
