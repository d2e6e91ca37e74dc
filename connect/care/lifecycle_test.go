//go:build synctests

package care_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func TestAConnectRegistersOneWebhookWithItsFourEvents(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 7, Name: "Ada Example", Email: "Ada@desk.example"})
		in := w.active()
		in.users("acme", "u-ada", "ada@DESK.example ")
		began := time.Now()
		c, created, err := in.Connect(context.Background(), "acme", operator, w.credentials(0))
		if err != nil || !created {
			w.Fatalf("created %v, %v\n%s", created, err, w.log)
		}
		hooks := w.live(0)
		if len(hooks) != 1 {
			w.Fatalf("%d webhooks", len(hooks))
		}
		hook, id := hooks[0], schemas.ConnectionIDOf("acme")
		url := "https://hooks.worksights.example/v1/webhooks/halo/" + string(id)
		if hook.Name != "WorkSights AI Connector" || hook.URL != url || !hook.Active || hook.Username != string(id) || len(hook.Password) < 32 {
			t.Errorf("registered %+v", hook)
		}
		if want := []int64{3, 19, 42, 76}; !slices.Equal(hook.Events, want) || w.sims[0].Notifications() != 4 {
			t.Errorf("bound to %v", hook.Events)
		}
		if c.State != control.Active || len(c.Problems) != 0 || c.Tenant != "acme" || c.Connection != id || c.TenantURL != w.urls[0] ||
			c.Webhook.ID != hook.ID || c.Webhook.Name != hook.Name || c.Webhook.URL != url || !c.Webhook.Active || len(c.Webhook.Events) != 4 ||
			c.Agents.Total != 1 || c.Agents.Matched != 1 || c.LastDeliveryAt != nil || c.ConnectedAt.Before(began.Truncate(time.Millisecond)) {
			t.Errorf("answered %+v", c)
		}
		conn, ok := w.published("acme")
		if !ok || conn.WebhookID != hook.ID || len(conn.Notifications) != 4 || len(conn.Verifiers) != 1 || !conn.Verify(hook.Password, time.Now()) {
			t.Errorf("the edge knows %+v", conn)
		}
		if user, ok := w.mappings("acme")[7].At(time.Now()); !ok || user != "u-ada" {
			t.Errorf("agent 7 is mapped to %q", user)
		}
		want := []string{"operator users", "operator connect", "operator state active", "operator map 7 u-ada"}
		if got := w.changes("acme"); !slices.Equal(got, want) {
			t.Errorf("said %q, want %q", got, want)
		}
	}, halotest.Config{})
}

func TestTheCredentialsThatItHasChangeNothingOfAHealthyConnection(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 7})
		in := w.active()
		before := in.connect("acme", 0)
		said, records := len(w.changes("acme")), len(w.Records(w.T, w.topics.Vault))+len(w.Records(w.T, w.topics.Connections))
		posted := w.sims[0].Counters().Requests["Notification"]
		c, created, err := in.Connect(context.Background(), "acme", operator, control.Credentials{
			TenantURL: w.urls[0] + "/login?x=1", ClientID: " " + clientID + "\n", ClientSecret: "\t" + clientSecret.Reveal(),
		})
		if err != nil || created || c.Webhook.ID != before.Webhook.ID || !c.ConnectedAt.Equal(*before.ConnectedAt) {
			t.Errorf("created %v, %v: %+v", created, err, c)
		}
		if n := len(w.Records(w.T, w.topics.Vault)) + len(w.Records(w.T, w.topics.Connections)); n != records || len(w.changes("acme")) != said {
			t.Errorf("%d records more, and %q", n-records, w.changes("acme")[said:])
		}
		if n := w.sims[0].Counters().Requests["Notification"]; n != posted {
			t.Errorf("%d calls about notifications", n-posted)
		}
		// Where something is wrong with it, it is made anew.
		for name, spoil := range map[string]func(){
			"switched off":   func() { w.change(func(h *halotest.Webhook) { h.Disabled = true }) },
			"deleted":        func() { w.change(func(h *halotest.Webhook) { h.Deleted = true }) },
			"elsewhere":      func() { w.change(func(h *halotest.Webhook) { h.URL = "https://x.example" }) },
			"an event short": func() { w.sims[0].Unbind(w.live(0)[0].ID, 3) },
		} {
			time.Sleep(2 * time.Minute) // for the tenant's allowance of requests
			old := in.connection("acme").Webhook.ID
			spoil()
			if c := in.connect("acme", 0); c.State != "active" || c.Webhook.ID == old {
				t.Errorf("%s: %s, the old webhook: %v", name, c.State, c.Webhook.ID == old)
			}
		}
	}, halotest.Config{})
}

// A Halo that was away is no reason for another webhook.
func TestTheSameCredentialsSayThatHaloIsBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 7})
		in := w.active()
		hook := in.connect("acme", 0).Webhook.ID
		w.sims[0].Inject("", -1, halotest.Page(503))
		time.Sleep(3 * lookTime)
		if c := in.connection("acme"); c.State != "unreachable" {
			t.Fatalf("%s: this proves nothing", c.State)
		}
		w.sims[0].Heal()
		c := in.connect("acme", 0)
		if c.State != "active" || len(c.Problems) != 0 || c.Webhook.ID != hook {
			t.Errorf("%+v", c)
		}
		said := w.changes("acme")
		if n := len(said); !slices.Equal(said[n-3:], []string{"operator connect", "operator problem_closed halo_error", "operator state active"}) {
			t.Errorf("said %q", said)
		}
	}, halotest.Config{})
}

func TestAnotherHaloIsRefusedUntilTheTenantIsDisconnected(t *testing.T) {
	inWorld(t, func(w *world) {
		for n := range w.sims {
			w.sims[n].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
		}
		in := w.active()
		in.connect("acme", 0)
		_, _, err := in.Connect(context.Background(), "acme", operator, w.credentials(1))
		w.refused(err, 409, "connected_elsewhere")
		if n := w.sims[1].Counters().Total(); n > 0 {
			t.Errorf("the other Halo was asked %d times", n)
		}
		if c := in.connection("acme"); c.TenantURL != w.urls[0] || c.State != "active" {
			t.Errorf("%+v", c)
		}
		in.disconnect("acme")
		if c := in.connect("acme", 1); c.TenantURL != w.urls[1] || len(w.live(0)) != 0 || len(w.live(1)) != 1 {
			t.Errorf("%+v, %d webhooks are left", c, len(w.live(0)))
		}
	}, halotest.Config{}, halotest.Config{})
}

func TestAnAgentOfAnotherHaloInheritsNobodysUser(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 3, Email: "ben@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 4, Email: "cat@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 5, Email: "dan@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 6, Name: "Eve", Email: "eve@x.example"})
		w.sims[1].AddAgent(halotest.Agent{ID: 2, Email: ""}) // somebody else
		w.sims[1].AddAgent(halotest.Agent{ID: 3, Email: "stranger@x.example"})
		w.sims[1].AddAgent(halotest.Agent{ID: 4, Email: "cat@x.example"})
		w.sims[1].AddAgent(halotest.Agent{ID: 6, Name: "Eve", Email: "eve@x.example"}) // the same person
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-cat", "cat@x.example", "u-dan", "dan@x.example", "u-hand", "")
		in.connect("acme", 0)
		in.hand("acme", 3, "u-hand")
		in.hand("acme", 6, "u-dan")
		in.standings("acme", map[schemas.AgentID]string{2: "matched u-ada", 3: "matched u-hand"})
		in.disconnect("acme")
		in.connect("acme", 1)
		moved := map[schemas.AgentID]string{2: "unmatched", 3: "unmatched", 4: "matched u-cat", 5: "absent", 6: "matched u-dan"}
		in.standings("acme", moved)
		now := time.Now()
		for _, agent := range []schemas.AgentID{2, 3, 5} {
			if user, ok := w.mappings("acme")[agent].At(now); ok {
				t.Errorf("agent %d is %s's", agent, user)
			}
		}
		in.refresh("acme")
		in.standings("acme", moved)
		in.stop()
		w.active().standings("acme", moved)
	}, halotest.Config{}, halotest.Config{})
}
