//go:build synctests

package ledger_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
	"github.com/worksights/halo-connector/schemas"
)

// versions are all records of an agent's mapping, in order.
func (w *world) versions(key string) (all []schemas.Mapping) {
	w.Helper()
	for _, r := range w.Records(w.T, w.topics.Mappings) {
		if string(r.Key) != key {
			continue
		}
		m, err := schemas.ParseMapping(r.Value)
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestAMappingHoldsFromBetweenItsRequestAndItsAnswer(t *testing.T) {
	inWorld(t, func(w *world) {
		link := w.Link()
		var written atomic.Pointer[time.Time] // when the last write was on its way
		link.At = func(key kmsg.Key) {
			if now := time.Now(); key == kmsg.Produce {
				written.Store(&now)
			}
		}
		in := w.active(on(link))
		in.apply("acme", connect("hook"))
		type span struct{ asked, answered time.Time }
		var spans []span
		var acked []time.Time
		users := []schemas.UserID{"u-a", "u-b", "", "u-a", "u-a", "", "", "u-c"}
		for n, user := range users {
			asked := time.Now()
			in.apply("acme", func(s *ledger.Snapshot) ledger.Change {
				if iv, _ := s.Mapped(2); iv.User == user {
					return ledger.Change{Map: func(time.Time) []schemas.Mapping { return nil }}
				}
				return assign(2, user)(s)
			})
			spans = append(spans, span{asked, time.Now()})
			if n == 0 || users[n-1] != user {
				acked = append(acked, *written.Load())
			}
			time.Sleep(time.Duration(n) * 7 * time.Millisecond)
		}
		all := w.versions("acme/2")
		final := all[len(all)-1]
		if len(all) != len(acked) {
			t.Fatalf("%d records for %d changes", len(all), len(acked))
		}
		for n, s := range spans {
			if user, _ := final.At(s.answered); user != users[n] {
				t.Errorf("change %d to %q: an event after the answer is %q's", n, users[n], user)
			}
			before := schemas.UserID("")
			if n > 0 {
				before = users[n-1]
			}
			if user, _ := final.At(s.asked); user != before {
				t.Errorf("change %d to %q: an event before the request is %q's, want %q", n, users[n], user, before)
			}
			if took := s.answered.Sub(s.asked); took > 150*time.Millisecond {
				t.Errorf("change %d took %v", n, took)
			}
		}
		// What a version says of the time up to the next one's write is what
		// the last one says: a replay judges as it was judged.
		for n, m := range all {
			until := time.Now()
			if n+1 < len(all) {
				until = acked[n+1]
			}
			for at := spans[0].asked.Add(-time.Second); at.Before(until); at = at.Add(time.Millisecond) {
				was, _ := m.At(at)
				is, _ := final.At(at)
				// Before this version's own write it was not there to be asked.
				if !at.Before(acked[n]) && was != is {
					t.Fatalf("version %d says %q of %v, the last one %q", n, was, at, is)
				}
			}
			if last := m.Intervals[len(m.Intervals)-1]; !last.Until.IsZero() && last.Until.Before(acked[n]) || last.Until.IsZero() && last.From.Before(acked[n]) {
				t.Errorf("version %d holds from before it was acknowledged", n)
			}
		}
		if len(final.Intervals) != 4 {
			t.Errorf("history %+v", final.Intervals)
		}
		if strings.Contains(w.log.String(), "acknowledged after the instant") {
			t.Error("a mapping was late in good conditions")
		}
	})
}

func TestALateAcknowledgementIsABreachAndTheAnswerStillWaits(t *testing.T) {
	inWorld(t, func(w *world) {
		link, reg := w.Link(), prometheus.NewRegistry()
		var slow atomic.Bool
		link.At = func(key kmsg.Key) {
			if key == kmsg.Produce && slow.Load() {
				time.Sleep(150 * time.Millisecond)
			}
		}
		in := w.active(on(link), func(c *ledger.Config) { c.Registry = reg })
		in.apply("acme", connect("hook"))
		slow.Store(true)
		in.apply("acme", assign(2, "u"))
		if user, ok := w.history("acme", 2).At(time.Now()); !ok || user != "u" {
			t.Errorf("at the answer the agent is %q's", user)
		}
		if n := metrictest.Series(t, reg, "halo_promise_breaches_total", "as_of_arrival", "connect"); n != 1 {
			t.Errorf("%v breaches were counted", n)
		}
		if !strings.Contains(w.log.String(), "acknowledged after the instant") {
			t.Error("nobody was told that the mapping was late")
		}
	})
}

// The parts before a mapping may take as long as they like: its instant is chosen
// when its turn has come.
func TestASlowSaveMakesNoMappingLate(t *testing.T) {
	inWorld(t, func(w *world) {
		link := w.Link()
		var slow atomic.Int32
		link.At = func(key kmsg.Key) {
			if key == kmsg.Produce && slow.Add(-1) == 0 {
				time.Sleep(time.Second)
			}
		}
		in := w.active(on(link))
		in.apply("acme", connect("hook"))
		began := time.Now()
		slow.Store(1) // the vault record
		in.apply("acme", func(s *ledger.Snapshot) ledger.Change {
			c := users("u")(s)
			c.Map = assign(2, "u")(s).Map
			return c
		})
		if took := time.Since(began); took < time.Second {
			t.Fatalf("answered after %v: this proves nothing", took)
		}
		if strings.Contains(w.log.String(), "acknowledged after the instant") {
			t.Error("the mapping holds from before it was written")
		}
		if user, ok := w.history("acme", 2).At(began.Add(time.Second)); ok {
			t.Errorf("while the save was waited for the agent is %q's", user)
		}
		if user, ok := w.history("acme", 2).At(time.Now()); !ok || user != "u" {
			t.Errorf("at the answer the agent is %q's", user)
		}
	})
}

func TestAClockThatStepsBackKeepsTheHistoryInOrder(t *testing.T) {
	for name, step := range map[string]time.Duration{"a little": 5 * time.Second, "far": time.Hour} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				back := time.Duration(0)
				in := w.active(func(c *ledger.Config) { c.Now = func() time.Time { return time.Now().Add(-back) } })
				in.apply("acme", connect("hook"))
				in.apply("acme", assign(2, "u-a"))
				in.apply("acme", assign(2, ""))
				back = step
				_, err := in.try("acme", assign(2, "u-b"))
				if step < time.Minute && err != nil || step > time.Minute && !errors.Is(err, ledger.ErrUnavailable) {
					t.Error(err)
				}
				m := w.history("acme", 2) // which parses: it is in order
				if len(m.Intervals) != 2 || m.Intervals[1].From.Before(m.Intervals[0].Until) {
					t.Errorf("%+v", m.Intervals)
				}
				if user, ok := m.At(time.Now().Add(-back)); step < time.Minute && (!ok || user != "u-b") {
					t.Errorf("at the answer, by our clock, the agent is %q's", user)
				}
			})
		})
	}
}

// A caller is answered 503 when Kafka does not show a write in time, and what
// became of it is known before the next one.
func TestAnOutageIsAnsweredInTimeAndSettledByTheNextTerm(t *testing.T) {
	inWorld(t, func(w *world) {
		link := w.Link()
		in := w.active(on(link))
		furnished(in, "acme")
		link.Freeze()
		began := time.Now()
		_, err := in.try("acme", assign(7, "u-2"))
		if !errors.Is(err, ledger.ErrUnavailable) || time.Since(began) > 6*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if _, err := in.try("acme", assign(7, "u-2")); !errors.Is(err, ledger.ErrStandby) {
			t.Errorf("in the outage: %v", err)
		}
		link.Thaw()
		in.await()
		held, _ := w.history("acme", 7).Current()
		if iv, _ := in.see("acme").Mapped(7); iv.User != held.User {
			t.Errorf("it holds %s, the topic %s", iv.User, held.User)
		}
		in.apply("acme", assign(7, "u-2"))
		w.same(in, "acme")
	})
}
