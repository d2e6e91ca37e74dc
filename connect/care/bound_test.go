//go:build synctests

package care_test

import (
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// "Add the events to the webhook in Halo" is what the problem says to do.
func TestAnEventThatIsBoundAgainInHaloCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		hook := in.connect("acme", 0).Webhook.ID
		w.sims[0].Unbind(hook, 76)
		time.Sleep(lookTime)
		if c := in.connection("acme"); c.State != "degraded" {
			t.Fatalf("%+v: this proves nothing", c)
		}
		id := w.sims[0].Bind(hook, 76)
		w.sims[0].Bind(hook, 5) // an event that is none of ours
		time.Sleep(lookTime)
		if c := in.connection("acme"); c.State != "active" || len(c.Webhook.Events) != 4 || len(c.Problems) != 0 {
			t.Errorf("bound again: %+v", c)
		}
		// The edge knows the new notification, whatever the tenant calls it.
		conn, _ := w.published("acme")
		if conn.Notifications[id] != schemas.StatusChanged || len(conn.Notifications) != 5 {
			t.Errorf("the edge knows %v", conn.Notifications)
		}
		records := len(w.Records(w.T, w.topics.Connections))
		time.Sleep(2 * lookTime)
		if n := len(w.Records(w.T, w.topics.Connections)) - records; n > 0 {
			t.Errorf("the edge was told %d times more", n)
		}
		// Whoever takes over knows it too.
		in.stop()
		in = w.active()
		time.Sleep(lookTime)
		if c := in.connection("acme"); c.State != "active" {
			t.Errorf("after a take-over: %+v", c)
		}
	}, halotest.Config{})
}

func TestAWebhookWhoseEventsComeWithoutIdsIsWhole(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		c := in.connect("acme", 0)
		if c.State != "active" || len(c.Webhook.Events) != 4 {
			t.Errorf("%+v", c)
		}
		w.sims[0].Unbind(c.Webhook.ID, 3)
		time.Sleep(lookTime)
		if c := in.connection("acme"); c.State != "degraded" || len(c.Webhook.Events) != 3 {
			t.Errorf("one event less: %+v", c)
		}
	}, halotest.Config{BareEvents: true})
}

func TestAdministratorsWhoKeepBindingEventsDoNotFillTheRecord(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		hook := in.connect("acme", 0).Webhook.ID
		for range 100 {
			w.sims[0].Bind(hook, 76)
		}
		time.Sleep(lookTime)
		if conn, _ := w.published("acme"); len(conn.Notifications) != 32 {
			t.Errorf("the edge knows %d notifications", len(conn.Notifications))
		}
		if c := in.connection("acme"); c.State != "active" {
			t.Errorf("%+v", c)
		}
	}, halotest.Config{})
}
