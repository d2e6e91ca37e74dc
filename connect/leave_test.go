//go:build synctests

package connect_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// sluggish makes every call to Halo take d.
func (w *world) sluggish(d time.Duration) {
	w.fault = func(ctx context.Context, _ schemas.Tenant, _ string) (moment, error) {
		answers := time.NewTimer(d)
		defer answers.Stop()
		select {
		case <-answers.C:
			return never, nil
		case <-ctx.Done():
			return before, &halopsa.Error{Cause: halopsa.Unreachable, Message: "Halo did not answer in time.", Action: "Try again."}
		}
	}
}

// botch has a connect to the Halo n fail late, and Halo refuse whatever would take
// it back: a webhook is left.
func (in *instance) botch(tenant string, n int) {
	sim := in.w.sims[n]
	sim.Inject("GET Webhook", -1, halotest.Page(http.StatusBadGateway)) // the list, and the look at the one that was made
	sim.Inject("DELETE Webhook", -1, halotest.Page(http.StatusBadGateway))
	in.refused(http.StatusBadGateway, "halo_error", "PUT", at(tenant, "/connection"), credentials(in.w.urls[n]))
	if len(in.w.live(n)) == 0 {
		in.w.Fatal("nothing is left: this proves nothing")
	}
}

func TestWhatAFailedConnectLeavesInASlowHaloIsRemovedByTheHealthChecks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		w.sluggish(6 * time.Second)
		began := time.Now()
		in.refused(http.StatusBadGateway, "unreachable", "PUT", at("acme", "/connection"), credentials(w.urls[0]))
		if took := time.Since(began); took > time.Minute {
			t.Errorf("answered after %v", took)
		}
		if len(w.live(0)) != 1 || w.sims[0].Notifications() == 0 {
			w.Fatalf("%d webhooks and %d notifications are left: this proves nothing", len(w.live(0)), w.sims[0].Notifications())
		}
		time.Sleep(30 * time.Minute)
		if len(w.live(0)) != 0 || w.sims[0].Notifications() != 0 {
			t.Errorf("%d webhooks and %d notifications are left", len(w.live(0)), w.sims[0].Notifications())
		}
		// Nothing is saved of credentials with which no connection came about.
		if n := len(w.Records(w.T, w.topics.Vault)); n != 0 {
			t.Errorf("%d records were saved", n)
		}
		in.refused(http.StatusNotFound, "not_connected", "GET", at("acme", "/connection"), "")
		calls := w.sims[0].Counters().Total()
		time.Sleep(2 * lookTime)
		if n := w.sims[0].Counters().Total() - calls; n > 0 {
			t.Errorf("the Halo is still asked: %d calls", n)
		}
	}, halotest.Config{})
}

func TestWhatAFailedReconnectLeavesIsRemovedAndTheConnectionKept(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		hook := in.connect("acme", 0).Webhook.ID
		w.sims[0].Inject("POST Notification", 1, halotest.Page(http.StatusBadGateway))
		w.sims[0].Inject("DELETE Webhook", 1, halotest.Page(http.StatusBadGateway))
		in.refused(http.StatusBadGateway, "halo_error", "POST", at("acme", "/connection/reconnect"), "")
		if len(w.live(0)) != 2 {
			w.Fatalf("%d webhooks: this proves nothing", len(w.live(0)))
		}
		time.Sleep(lookTime)
		if hooks := w.live(0); len(hooks) != 1 || hooks[0].ID != hook || w.sims[0].Notifications() != 4 {
			t.Errorf("%d webhooks, %d notifications", len(hooks), w.sims[0].Notifications())
		}
	}, halotest.Config{})
}

// The webhook delivers, what is bound to it does not: the one is removed even
// where the others are not shown, or stay.
func TestAHaloThatGuardsItsNotificationsKeepsNoWebhook(t *testing.T) {
	for _, refused := range []string{"GET Notification", "DELETE Notification"} {
		t.Run(refused, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				in := w.active()
				w.sims[0].Inject("GET Webhook", 1, halotest.Page(http.StatusBadGateway))
				w.sims[0].Inject(refused, -1, halotest.Answer(http.StatusForbidden, "application/json", `{"Message":"no"}`))
				in.refused(http.StatusBadGateway, "halo_error", "PUT", at("acme", "/connection"), credentials(w.urls[0]))
				if len(w.live(0)) != 0 || w.sims[0].Notifications() != 4 {
					t.Errorf("%d webhooks and %d notifications are left", len(w.live(0)), w.sims[0].Notifications())
				}
				w.sims[0].Heal()
				time.Sleep(lookTime)
				if n := w.sims[0].Notifications(); n != 0 {
					t.Errorf("%d notifications are left", n)
				}
			}, halotest.Config{})
		})
	}
}

// A Halo that took no webhook has none, and its refusal is no reason to keep the
// credentials even in memory.
func TestNothingRemainsWhereTheWebhookWasRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		w.sims[0].Inject("Webhook", -1, halotest.Answer(http.StatusForbidden, "application/json", `{"Message":"no"}`))
		in.refused(http.StatusUnprocessableEntity, "webhook_refused", "PUT", at("acme", "/connection"), credentials(w.urls[0]))
		calls := w.sims[0].Counters().Total()
		time.Sleep(2 * lookTime)
		if n := w.sims[0].Counters().Total() - calls; n > 0 {
			t.Errorf("the Halo is still asked: %d calls", n)
		}
	}, halotest.Config{})
}

func TestTheRepeatOfAFailedConnectRemovesItsRemains(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		w.sims[0].Inject("GET Notification", -1, halotest.Page(http.StatusBadGateway))
		w.sims[0].Inject("GET Webhook", 1, halotest.Page(http.StatusBadGateway))
		in.refused(http.StatusBadGateway, "halo_error", "PUT", at("acme", "/connection"), credentials(w.urls[0]))
		if w.sims[0].Notifications() == 0 {
			w.Fatal("nothing is left: this proves nothing")
		}
		w.sims[0].Heal()
		signed := w.sims[0].Counters().Requests["token"]
		if in.connect("acme", 0); len(w.live(0)) != 1 || w.sims[0].Notifications() != 4 {
			t.Errorf("%d webhooks, %d notifications", len(w.live(0)), w.sims[0].Notifications())
		}
		if n := w.sims[0].Counters().Requests["token"] - signed; n != 1 {
			t.Errorf("what was removed is looked for again: signed in %d times", n)
		}
	}, halotest.Config{})
}

func TestTheRemainsOfAFailedConnectAreForgottenAfterAnHour(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.botch("acme", 0)
		asked := func(span time.Duration) int {
			calls := w.sims[0].Counters().Total()
			time.Sleep(span)
			return w.sims[0].Counters().Total() - calls
		}
		if time.Sleep(40 * time.Minute); asked(2*lookTime) < 2 {
			t.Fatal("within the hour it is asked no more")
		}
		if time.Sleep(20 * time.Minute); asked(2*lookTime) > 0 {
			t.Error("after more than an hour the Halo is still asked")
		}
	}, halotest.Config{})
}

func TestADisconnectRemovesTheRemainsOfAFailedConnectElsewhere(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		w.sims[1].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 0)
		in.botch("acme", 1)
		if c := in.connection("acme"); c.TenantURL != w.urls[0] || c.State != "active" || len(w.live(0)) != 1 {
			t.Errorf("the connection that stands: %+v", c)
		}
		w.sims[1].Heal()
		in.want(http.StatusNoContent, "DELETE", at("acme", "/connection"), "", nil)
		if len(w.live(0))+len(w.live(1)) != 0 {
			t.Errorf("disconnected, with %d and %d webhooks", len(w.live(0)), len(w.live(1)))
		}
		calls := w.sims[1].Counters().Total()
		time.Sleep(2 * lookTime)
		if n := w.sims[1].Counters().Total() - calls; n > 0 {
			t.Errorf("disconnected, and still asked: %d calls", n)
		}
	}, halotest.Config{}, halotest.Config{})
}
