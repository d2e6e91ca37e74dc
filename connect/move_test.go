//go:build synctests

package connect_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// A self-hosted Halo, or one with a custom host, answers under several names.
// What is removed from "the Halo of before" must not be what was just made.
func TestTheSameHaloUnderAnotherNameKeepsItsWebhook(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 0)
		url := strings.Replace(w.urls[0], "127.0.0.1", "[::ffff:127.0.0.1]", 1) // a name would have to be looked up, which no bubble can
		var c connectionBody
		in.want(http.StatusOK, "PUT", at("acme", "/connection"), credentials(url), &c)
		hooks := w.live(0)
		if len(hooks) != 1 || w.sims[0].Notifications() != 4 || c.Webhook.ID != hooks[0].ID || c.TenantURL != url {
			w.Fatalf("%d webhooks, %d notifications, the connection is %+v", len(hooks), w.sims[0].Notifications(), c)
		}
		time.Sleep(lookTime)
		if c := in.connection("acme"); c.State != "active" || len(w.live(0)) != 1 {
			t.Errorf("after a health check: %+v", c)
		}
		// A registration that fails under the one name leaves that of the other.
		w.sims[0].Inject("POST Webhook", 1, halotest.Page(http.StatusBadGateway))
		if a := in.call("PUT", at("acme", "/connection"), credentials(w.urls[0])); a.status != http.StatusBadGateway {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if len(w.live(0)) != 1 || w.sims[0].Notifications() != 4 {
			t.Errorf("after a failure: %d webhooks, %d notifications", len(w.live(0)), w.sims[0].Notifications())
		}
	}, halotest.Config{})
}

// Whether it is the same Halo nobody says. Who is the same person in both is
// seen, and keeps what was decided for him by hand.
func TestWhatWasMappedByHandHoldsForThoseWhomTheNewNameListsToo(t *testing.T) {
	alias := func(w *world) string { return strings.Replace(w.urls[0], "127.0.0.1", "[::ffff:127.0.0.1]", 1) }
	another := func(w *world) string { return w.urls[1] }
	for name, test := range map[string]struct {
		url  func(*world) string
		want map[schemas.AgentID]string
	}{
		"the same under another name": {alias, map[schemas.AgentID]string{2: "matched u-hand", 3: "unmatched", 4: "unmatched", 5: "matched u-dan", 6: "matched u-hand"}},
		"another":                     {another, map[schemas.AgentID]string{2: "unmatched", 3: "matched u-ben", 4: "unmatched", 5: "matched u-dan", 6: "unmatched"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				for _, a := range []halotest.Agent{
					{ID: 2, Name: "Ada", Email: "ada@private.example"},
					{ID: 3, Name: "Ben", Email: "ben@x.example"},
					{ID: 4, Name: "Cat"},
					{ID: 5, Name: "Dan", Email: "dan@x.example"},
					{ID: 6, Name: "Eva", Email: "desk@x.example"},
				} {
					w.sims[0].AddAgent(a)
				}
				for _, a := range []halotest.Agent{
					{ID: 2, Name: "Ada", Email: "other@x.example"},
					{ID: 3, Name: "Bert", Email: "ben@x.example"},
					{ID: 4, Name: "Cat"},
					{ID: 5, Name: "Dan", Email: "dan@x.example"},
					{ID: 6, Name: "Finn", Email: "desk@x.example"},
				} {
					w.sims[1].AddAgent(a)
				}
				in := w.active()
				in.users("acme", "u-ben", "ben@x.example", "u-dan", "dan@x.example", "u-hand", "")
				in.connect("acme", 0)
				for _, agent := range []string{"2", "4", "6"} {
					in.want(http.StatusOK, "PUT", at("acme", "/agents/"+agent+"/user"), `{"user_id":"u-hand"}`, nil)
				}
				in.want(http.StatusNoContent, "DELETE", at("acme", "/agents/3/user"), "", nil)
				in.want(http.StatusOK, "PUT", at("acme", "/connection"), credentials(test.url(w)), nil)
				in.standings("acme", test.want)
				if m := w.mappings("acme")[2]; len(m.Intervals) != 1 || m.Intervals[0].Until.IsZero() != (name != "another") {
					t.Errorf("agent 2 is mapped %+v", m.Intervals)
				}
				in.stop()
				in = w.active()
				in.want(http.StatusOK, "POST", at("acme", "/connection/refresh"), "", nil)
				in.standings("acme", test.want)
			}, halotest.Config{}, halotest.Config{})
		})
	}
}

func TestAHaloThatIsDownWhenTheTenantMovesAwayIsLeftOnceItIsBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		w.sims[1].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 1)
		w.sims[1].Inject("", -1, halotest.Page(http.StatusBadGateway))
		if c := in.connect("acme", 0); c.State != "active" || len(w.live(1)) != 1 {
			t.Fatalf("%d webhooks in the former Halo, the connection is %+v", len(w.live(1)), c)
		}
		in.stop()
		in = w.active()
		time.Sleep(lookTime)
		w.sims[1].Heal()
		time.Sleep(lookTime)
		if len(w.live(1)) != 0 || w.sims[1].Notifications() != 0 {
			t.Errorf("%d webhooks and %d notifications are left in the former Halo", len(w.live(1)), w.sims[1].Notifications())
		}
		if c := in.connection("acme"); c.State != "active" || len(w.live(0)) != 1 || w.sims[0].Notifications() != 4 {
			t.Errorf("the connection is %+v", c)
		}
		calls := w.sims[1].Counters().Total()
		time.Sleep(lookTime)
		if n := w.sims[1].Counters().Total() - calls; n > 0 {
			t.Errorf("the former Halo is still asked: %d calls", n)
		}
	}, halotest.Config{}, halotest.Config{})
}

func TestAFormerHaloThatNeverComesBackIsForgottenAfterAWeek(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		w.sims[1].AddAgent(halotest.Agent{ID: 2})
		var later atomic.Int64 // the instance's clock; a week of the bubble's takes half a minute
		in := w.active(func(c *connect.Config) {
			c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		})
		in.connect("acme", 1)
		w.sims[1].Inject("", -1, halotest.Page(http.StatusBadGateway))
		in.connect("acme", 0)
		asked := func(span time.Duration) int {
			calls := w.sims[1].Counters().Total()
			time.Sleep(span)
			return w.sims[1].Counters().Total() - calls
		}
		later.Store(int64(6 * 24 * time.Hour))
		if asked(2*lookTime) < 2 {
			t.Fatal("within the week it is asked no more")
		}
		later.Store(int64(8 * 24 * time.Hour))
		time.Sleep(2 * lookTime)
		if n := asked(2 * lookTime); n > 0 {
			t.Errorf("after more than a week the former Halo is still asked: %d calls", n)
		}
	}, halotest.Config{}, halotest.Config{})
}

// A tenant that goes back removes what it left there like any other stray, and
// nothing of what it has there now.
func TestATenantThatMovesBackKeepsWhatItHasThere(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		w.sims[1].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 0)
		w.sims[0].Inject("DELETE Webhook", -1, halotest.Page(http.StatusBadGateway))
		in.connect("acme", 1)
		w.sims[0].Heal()
		in.connect("acme", 0)
		time.Sleep(lookTime)
		if c := in.connection("acme"); c.State != "active" || len(w.live(0)) != 1 || w.sims[0].Notifications() != 4 || len(w.live(1)) != 0 {
			t.Errorf("%d and %d webhooks, %d notifications, %+v", len(w.live(0)), len(w.live(1)), w.sims[0].Notifications(), c)
		}
		// A disconnect leaves all of them.
		w.sims[0].Inject("DELETE Webhook", 1, halotest.Page(http.StatusBadGateway))
		in.connect("acme", 1)
		in.want(http.StatusNoContent, "DELETE", at("acme", "/connection"), "", nil)
		if len(w.live(0))+len(w.live(1)) != 0 {
			t.Errorf("disconnected, with %d and %d webhooks", len(w.live(0)), len(w.live(1)))
		}
	}, halotest.Config{}, halotest.Config{})
}
