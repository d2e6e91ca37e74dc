//go:build synctests

package connect_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func TestAConnectRegistersOneWebhookWithItsFourEvents(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 7, Name: "Ada Example", Email: "Ada@desk.example"})
		in := w.active()
		in.users("acme", "u-ada", "ada@DESK.example ")
		var c connectionBody
		began := time.Now()
		in.want(http.StatusCreated, "PUT", at("acme", "/connection"), credentials(w.urls[0]), &c)
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
		if c.State != connect.Active || len(c.Problems) != 0 || c.Tenant != "acme" || c.Connection != string(id) || c.TenantURL != w.urls[0] ||
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
		in.want(http.StatusOK, "PUT", at("acme", "/connection"), credentials(w.urls[0]), &c)
		if len(w.live(0)) != 1 || w.sims[0].Notifications() != 4 {
			t.Errorf("connected again, there are %d webhooks and %d notifications", len(w.live(0)), w.sims[0].Notifications())
		}
	}, halotest.Config{})
}
