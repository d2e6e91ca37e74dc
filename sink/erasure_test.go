//go:build synctests

package sink_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

// erase writes an erasure as connect does, of what arrived before at.
func (w *world) erase(tenant schemas.Tenant, user schemas.UserID, at time.Time) {
	w.t.Helper()
	e := schemas.Erasure{Tenant: tenant, User: user, At: at}
	w.Produce(w.t, kafka.Record(w.topics.Erasures, e.Key(), schemas.ErasureSchema, e.AppendJSON(nil)))
}

// arrivals are five activities of ada, bob and two tenants, and a skip.
func (w *world) arrivals() (all []*kgo.Record, outcomes map[string]sink.Outcome) {
	outcomes = make(map[string]sink.Outcome)
	n := 0
	add := func(name string, tenant schemas.Tenant, user schemas.UserID, minute int) {
		a := storetest.Activity(n)
		n++
		a.Tenant, a.User, a.ReceivedAt = tenant, user, noon.Add(time.Duration(minute)*time.Minute)
		all = append(all, kafka.Record(w.topics.Activities, string(tenant), schemas.ActivitySchema, a.AppendJSON(nil)))
		outcomes[name] = sink.OfActivity(a)
	}
	add("ada before", "acme", "ada", 0)
	add("ada after", "acme", "ada", 2)
	add("bob", "acme", "bob", 0)
	add("another tenant's ada", "globex", "ada", 0)
	add("initech", "initech", "ada", 0)
	s := storetest.Skip(n)
	s.Tenant, s.ReceivedAt = "initech", noon
	all = append(all, kafka.Record(w.topics.Skipped, "initech", schemas.SkipSchema, s.AppendJSON(nil)))
	outcomes["initech skip"] = sink.OfSkip(s)
	return all, outcomes
}

var noon = time.Date(2026, 10, 2, 12, 0, 0, 0, time.UTC)

// keep fails unless the store holds exactly these.
func (w *world) holds(want ...sink.Outcome) {
	w.t.Helper()
	got, err := w.memory.Folded(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	storetest.Same(w.t, got, want)
}

func TestRowsOfAnErasedPersonOrTenantAreNotWritten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.erase("acme", "ada", noon.Add(time.Minute))
		w.erase("initech", "", noon.Add(time.Minute))
		records, all := w.arrivals()
		w.Produce(t, records...)
		for range 2 { // the second reads every topic again, as a replay does
			p := w.start(kept)
			time.Sleep(after)
			w.holds(all["ada after"], all["bob"], all["another tenant's ada"])
			if n := w.uncommitted(); n != 0 {
				t.Errorf("%d records uncommitted", n)
			}
			fate := func(f string) float64 {
				return metrictest.Series(t, p.Registry, "halo_records_out_total", f, "sink")
			}
			in := metrictest.Series(t, p.Registry, "halo_records_in_total", "sink")
			if in != 6 || fate("out") != 3 || fate("skipped") != 0 || fate("erased") != 3 {
				t.Errorf("in %v = out %v + skipped %v + erased %v; want 6 = 3 + 0 + 3", in, fate("out"), fate("skipped"), fate("erased"))
			}
			if err := p.stop(); err != nil {
				t.Error(err)
			}
			w.forget()
		}
	})
}

// In an outage rows may be in hand for hours. Somebody who is erased meanwhile
// must not come back with the database.
func TestWhoIsErasedWhileRowsAreInHandIsNotWritten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var down atomic.Bool
		down.Store(true)
		w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			if down.Load() {
				return errAway
			}
			keep(rows)
			return nil
		})
		time.Sleep(after)
		records, all := w.arrivals()
		w.Produce(t, records...)
		time.Sleep(after)
		w.erase("acme", "ada", noon.Add(time.Minute))
		w.erase("initech", "", noon.Add(time.Minute))
		down.Store(false)
		time.Sleep(after)
		w.holds(all["ada after"], all["bob"], all["another tenant's ada"])
	})
}

// Nothing is appended by a table of erasures that may be behind.
func TestWithoutTheErasuresNothingIsAppended(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := w.start(kept)
		time.Sleep(after)
		lost := w.hideErasures()
		w.produce(0, 50)
		time.Sleep(after)
		if n := w.memory.Appended(); n != 0 || lost.Hits() == 0 {
			t.Errorf("%d rows appended after %d questions without an answer", n, lost.Hits())
		}
		if p.Ready() == nil {
			t.Error("ready although nobody knows who was erased")
		}
		lost.Remove()
		time.Sleep(after)
		w.settled()
	})
}

// The store keeps rows for 25 months. A delivery that is sent again later must
// not come back as something new.
func TestARepeatOfWhatTheRetentionRemovedIsNotWritten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := w.start(kept)
		time.Sleep(after)
		var records []*kgo.Record
		var want []sink.Outcome
		for n, c := range []struct {
			event  time.Time
			months int // from then to the arrival
			kept   bool
		}{
			{noon, 0, true},
			{noon, retentionMonths, false}, // to the minute: the first may be gone
			{noon, retentionMonths + 7, false},
			{noon.AddDate(0, 0, 1), retentionMonths, false},
			{noon, retentionMonths - 1, true},
			{schemas.Epoch, 12 * 60, true},                            // Halo gave no time
			{time.Date(2019, 12, 31, 0, 0, 0, 0, time.UTC), 84, true}, // a clock that was never set
		} {
			a := storetest.Activity(n)
			a.EventTime = c.event
			a.ReceivedAt = c.event.AddDate(0, c.months, 0).Add(time.Second)
			a.OccurredAt = schemas.OccurredAt(a.EventTime, a.ReceivedAt)
			records = append(records, kafka.Record(w.topics.Activities, string(a.Tenant), schemas.ActivitySchema, a.AppendJSON(nil)))
			if c.kept {
				want = append(want, sink.OfActivity(a))
			}
		}
		w.Produce(t, records...)
		time.Sleep(after)
		w.holds(want...)
		if n := w.uncommitted(); n != 0 {
			t.Errorf("%d records uncommitted", n)
		}
		if n := metrictest.Series(t, p.Registry, "halo_records_out_total", "expired", "sink"); n != 3 {
			t.Errorf("%v expired, want 3", n)
		}
	})
}
