//go:build synctests

package ledger_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/schemas"
)

// erase is the change that forgets a user, or with "" the tenant.
func erase(user schemas.UserID) func(*ledger.Snapshot) ledger.Change {
	return func(s *ledger.Snapshot) ledger.Change {
		return ledger.Change{Erase: func(at time.Time) schemas.Erasure {
			e := s.Erasures[schemas.ErasureKey(s.Tenant, user)]
			e.Tenant, e.User, e.At = s.Tenant, user, at
			e.Receipts = append(e.Receipts, schemas.NewReceipt(s.Tenant, user, at))
			return e
		}}
	}
}

// done is the change that ends the last receipt.
func done(user schemas.UserID) func(*ledger.Snapshot) ledger.Change {
	return func(s *ledger.Snapshot) ledger.Change {
		return ledger.Change{Erase: func(at time.Time) schemas.Erasure {
			e := s.Erasures[schemas.ErasureKey(s.Tenant, user)]
			e.Receipts = append([]schemas.Receipt(nil), e.Receipts...)
			e.Receipts[len(e.Receipts)-1].Done = at
			return e
		}}
	}
}

// names says where a user's id still stands, but for the erasures.
func (w *world) names(in *instance, user schemas.UserID) (where []string) {
	s := in.see("acme")
	if s.User(user) {
		where = append(where, "directory")
	}
	for agent, u := range s.Hand {
		if u == user {
			where = append(where, fmt.Sprint("hand ", agent))
		}
	}
	for key, r := range w.held(w.topics.Mappings) {
		if strings.HasPrefix(key, "acme/") && strings.Contains(string(r.Value), `"`+string(user)+`"`) {
			where = append(where, string(r.Key))
		}
	}
	return where
}

func withHand(in *instance) {
	furnished(in, "acme")
	furnished(in, "other")
	in.apply("acme", func(s *ledger.Snapshot) ledger.Change {
		next := s.State
		next.Hand = map[schemas.AgentID]schemas.UserID{7: "u-1", 8: ""}
		return ledger.Change{State: &next}
	})
}

func TestAnErasedUserIsNamedNowhereAndMayComeBack(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		withHand(in)
		began := time.Now()
		s := in.apply("acme", erase("u-1"))
		if where := w.names(in, "u-1"); len(where) != 0 {
			t.Errorf("he is named in %v", where)
		}
		e := s.Erasures["acme/u-1"]
		m := s.Mappings[7]
		if len(m.Intervals) != 1 || m.Intervals[0].User != "" || !m.Intervals[0].Until.Equal(e.At) || e.At.Before(began) || time.Now().Before(e.At) {
			t.Errorf("history %+v, erased at %v", m.Intervals, e.At)
		}
		if !s.User("u-2") || s.Hand[8] != "" || len(s.Hand) != 1 || len(s.Mappings[8].Intervals) != 1 || s.Mappings[8].Intervals[0].User != "u-2" {
			t.Errorf("others are gone with him: %+v", s)
		}
		in.apply("acme", done("u-1"))
		// He comes back, and a term later he is there still.
		in.apply("acme", users("u-1", "u-2"))
		in.apply("acme", assign(7, "u-1"))
		in.stop()
		s = w.active().see("acme")
		if iv, _ := s.Mapped(7); iv.User != "u-1" || !s.User("u-1") || len(s.Mappings[7].Intervals) != 2 {
			t.Errorf("he came back, and is %+v", s)
		}
	})
}

// Who comes back before the last row is gone is not taken out again.
func TestWhoComesBackWhileAnErasureRunsStays(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		withHand(in)
		in.apply("acme", erase("u-1"))
		in.apply("acme", users("u-1", "u-2"))
		in.apply("acme", assign(7, "u-1"))
		in.apply("other", erase(""))
		in.apply("other", connect("again"))
		in.stop()
		in = w.active()
		s := in.see("acme")
		if iv, _ := s.Mapped(7); iv.User != "u-1" || !s.User("u-1") {
			t.Errorf("%+v", s)
		}
		if s := in.see("other"); !s.Connected() || s.WebhookID != "again" || len(s.Mappings) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOfAnErasedTenantOnlyItsErasureIsLeft(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		withHand(in)
		in.apply("acme", erase(""))
		check := func(in *instance) {
			s := in.see("acme")
			if s.Known() || s.Published != nil || len(s.Mappings) != 0 || s.Users != nil || len(s.Erasures["acme"].Receipts) != 1 {
				t.Errorf("%+v", s)
			}
			if rest := w.counted(); strings.Count(rest, `"acme"`) != 1 || !strings.Contains(rest, "halo.erasures acme ") {
				t.Errorf("the tables hold\n%s", rest)
			}
			if s := in.see("other"); !s.Connected() || len(s.Mappings) != 2 {
				t.Errorf("another tenant is %+v", s)
			}
		}
		check(in)
		in.stop()
		check(w.active())
	})
}

func TestAnErasureThatIsKilledAnywhereIsFinishedByTheNextTerm(t *testing.T) {
	for _, user := range []schemas.UserID{"u-1", ""} {
		steps := 0
		for n := int64(1); ; n++ {
			whole := false
			inWorld(t, func(w *world) {
				link := w.Link()
				var count atomic.Int64
				var armed atomic.Bool
				link.At = func(key kmsg.Key) {
					if armed.Load() && key == kmsg.Produce && count.Add(1) == n {
						link.Cut()
					}
				}
				in := w.elect(w.idle(on(link)), func(error) bool { return false })
				in.await()
				withHand(in)
				armed.Store(true)
				_, err := in.try("acme", erase(user))
				whole = err == nil
				link.Cut()
				in.stop()

				heir := w.active()
				begun := len(heir.see("acme").Erasures) == 1
				if whole && !begun {
					w.Errorf("step %d: it was answered, and is not there", n)
				}
				if !begun {
					return // nothing happened
				}
				steps++
				if user != "" {
					if where := w.names(heir, user); len(where) != 0 {
						w.Errorf("step %d: he is named in %v", n, where)
					}
				} else if s := heir.see("acme"); s.Sealed != nil || s.Known() || len(s.Mappings) != 0 || s.Published != nil {
					w.Errorf("step %d: it is %+v", n, s)
				}
				w.same(heir, "acme", "other")
			})
			if whole || t.Failed() {
				break
			}
		}
		if steps < 3 {
			t.Errorf("erasing %q was killed in %d places: this proves nothing", user, steps)
		}
	}
}
