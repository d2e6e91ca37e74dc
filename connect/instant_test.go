//go:build synctests

package connect_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/internal/halotest"
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
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		var mu sync.Mutex
		var written []time.Time // when each write of a mapping was on its way
		w.step = func(name string) moment {
			if name == "produce" {
				mu.Lock()
				written = append(written, time.Now())
				mu.Unlock()
			}
			return never
		}
		in := w.active()
		in.connect("acme", 0)
		type span struct{ asked, answered time.Time }
		var spans []span
		var users []string
		var acked []time.Time
		for n, user := range []string{"u-a", "u-b", "", "u-a", "u-a", "", "", "u-c"} {
			asked := time.Now()
			if user == "" {
				in.want(http.StatusNoContent, "DELETE", at("acme", "/agents/2/user"), "", nil)
			} else {
				var a agentBody
				in.want(http.StatusOK, "PUT", at("acme", "/agents/2/user"), `{"user_id":"`+user+`"}`, &a)
				if a.UserID != user || a.State != "matched" || a.Since == nil {
					t.Errorf("answered %+v", a)
				}
			}
			spans, users = append(spans, span{asked, time.Now()}), append(users, user)
			if n == 0 || users[n-1] != user {
				mu.Lock()
				acked = append(acked, written[len(written)-1])
				mu.Unlock()
			}
			time.Sleep(time.Duration(n) * 7 * time.Millisecond)
		}
		all := w.versions("acme/2")
		final := all[len(all)-1]
		if len(all) != len(acked) {
			t.Fatalf("%d records for %d changes", len(all), len(acked))
		}
		for n, s := range spans {
			if user, _ := final.At(s.answered); string(user) != users[n] {
				t.Errorf("change %d to %q: an event after the answer is %q's", n, users[n], user)
			}
			before := ""
			if n > 0 {
				before = users[n-1]
			}
			if user, _ := final.At(s.asked); string(user) != before {
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
	}, halotest.Config{})
}

func TestALateAcknowledgementIsSaidAndTheAnswerStillWaits(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		slow := false
		w.step = func(name string) moment {
			if name == "produce" && slow {
				time.Sleep(150 * time.Millisecond)
			}
			return never
		}
		in := w.active()
		in.connect("acme", 0)
		slow = true
		in.want(http.StatusOK, "PUT", at("acme", "/agents/2/user"), `{"user_id":"u"}`, nil)
		if user, ok := w.mappings("acme")[2].At(time.Now()); !ok || user != "u" {
			t.Errorf("at the answer the agent is %q's", user)
		}
		if !strings.Contains(w.log.String(), "acknowledged after the instant") {
			t.Error("nobody was told that the mapping was late")
		}
	}, halotest.Config{})
}

// Proofs of ownership are shared, and a write may wait for another's. However
// long that takes, the instant is chosen after it.
func TestALateProofOfOwnershipMakesNoMappingLate(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 0)
		proofs := 0
		w.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.KeepControl()
			proofs++
			w.SleepControl(func() { time.Sleep(time.Second) })
			return nil, nil, false
		})
		began := time.Now()
		in.want(http.StatusOK, "PUT", at("acme", "/agents/2/user"), `{"user_id":"u"}`, nil)
		if took := time.Since(began); proofs == 0 || took < time.Second {
			t.Fatalf("%d proofs, answered after %v: this proves nothing", proofs, took)
		}
		if strings.Contains(w.log.String(), "acknowledged after the instant") {
			t.Error("the mapping holds from before its proof of ownership")
		}
		if user, ok := w.mappings("acme")[2].At(began.Add(time.Second)); ok {
			t.Errorf("while the proof was waited for the agent is %q's", user)
		}
		if user, ok := w.mappings("acme")[2].At(time.Now()); !ok || user != "u" {
			t.Errorf("at the answer the agent is %q's", user)
		}
	}, halotest.Config{})
}

func TestAClockThatStepsBackKeepsTheHistoryInOrder(t *testing.T) {
	for name, step := range map[string]time.Duration{"a little": 5 * time.Second, "far": time.Hour} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				back := time.Duration(0)
				in := w.active(func(c *connect.Config) { c.Now = func() time.Time { return time.Now().Add(-back) } })
				in.connect("acme", 0)
				in.want(http.StatusOK, "PUT", at("acme", "/agents/2/user"), `{"user_id":"u-a"}`, nil)
				in.want(http.StatusNoContent, "DELETE", at("acme", "/agents/2/user"), "", nil)
				back = step
				a := in.call("PUT", at("acme", "/agents/2/user"), `{"user_id":"u-b"}`)
				if step < time.Minute && a.status != http.StatusOK || step > time.Minute && a.code() != "log_unavailable" {
					t.Errorf("%d %s", a.status, a.body)
				}
				m := w.mappings("acme")[2] // which parses: it is in order
				if len(m.Intervals) != 2 || m.Intervals[1].From.Before(m.Intervals[0].Until) {
					t.Errorf("%+v", m.Intervals)
				}
				if user, ok := m.At(time.Now().Add(-back)); step < time.Minute && (!ok || user != "u-b") {
					t.Errorf("at the answer, by our clock, the agent is %q's", user)
				}
			}, halotest.Config{})
		})
	}
}
