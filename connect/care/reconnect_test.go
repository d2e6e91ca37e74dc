//go:build synctests

package care_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func TestAReconnectLeavesTheOldSecretTenMinutes(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		before := in.connect("acme", 0)
		old := w.live(0)[0]
		c := in.reconnect("acme")
		answered := time.Now()
		fresh := w.live(0)[0]
		if len(w.live(0)) != 1 || w.sims[0].Notifications() != 4 || fresh.ID == old.ID || fresh.Password == old.Password {
			t.Errorf("%d webhooks, the new one like the old: %v", len(w.live(0)), fresh.ID == old.ID)
		}
		if c.Webhook.ID != fresh.ID || !c.ConnectedAt.Equal(*before.ConnectedAt) {
			t.Errorf("answered %+v", c)
		}
		conn, _ := w.published("acme")
		if conn.WebhookID != fresh.ID {
			t.Error("the edge takes the old webhook for the current one")
		}
		for _, v := range []struct {
			secret schemas.Secret
			after  time.Duration
			good   bool
		}{
			{fresh.Password, 0, true},
			{fresh.Password, 24 * time.Hour, true},
			{old.Password, 0, true},
			{old.Password, 9*time.Minute + 59*time.Second, true},
			{old.Password, 10 * time.Minute, false},
		} {
			if conn.Verify(v.secret, answered.Add(v.after)) != v.good {
				t.Errorf("new %v, %v later: good is not %v", v.secret == fresh.Password, v.after, v.good)
			}
		}
		// Whoever keeps pressing does not make the record grow, and the oldest
		// are the ones that go.
		for range 5 {
			time.Sleep(time.Minute) // for the tenant's allowance of requests
			in.reconnect("acme")
		}
		if conn, _ = w.published("acme"); len(conn.Verifiers) > 4 || !conn.Verify(w.live(0)[0].Password, time.Now()) {
			t.Errorf("%d verifiers", len(conn.Verifiers))
		}
		time.Sleep(11 * time.Minute)
		in.reconnect("acme")
		if conn, _ = w.published("acme"); len(conn.Verifiers) != 2 {
			t.Errorf("%d verifiers once the old ones had ended", len(conn.Verifiers))
		}
	}, halotest.Config{})
}

// The kind is a part of an event's identity: what the edge no longer knows the kind
// of would be another event when the former webhook sends it again.
func TestTheFormerWebhooksNotificationsKeepTheirKindsWhileItsSecretIsGood(t *testing.T) {
	inWorld(t, func(w *world) {
		knows := func(what string, notifications int) {
			w.Helper()
			conn, _ := w.published("acme")
			if w.knowsKinds(conn); len(conn.Notifications) != notifications {
				w.Errorf("%s: the edge knows %d notifications, want %d", what, len(conn.Notifications), notifications)
			}
		}
		in := w.active()
		in.connect("acme", 0)
		knows("connected", 4)

		// With the old webhook switched off the new one is the current one before its
		// events are bound, and what the old one sent may still be sent again.
		w.change(func(h *halotest.Webhook) { h.Disabled = true })
		current, early := w.live(0)[0], false
		w.fault = func(_ context.Context, _ schemas.Tenant, name string) (moment, error) {
			conn, _ := w.published("acme")
			if name != "create notification" || conn.WebhookID == current.ID {
				return never, nil
			}
			early = true
			for id := range current.Bound {
				if conn.Notifications[id] == "" {
					w.Errorf("while events are bound: the edge knows %v", conn.Notifications)
				}
			}
			return never, nil
		}
		in.reconnect("acme")
		w.fault = nil
		if !early {
			t.Error("the new webhook was never current before its events were bound: this proves nothing")
		}
		knows("reconnected", 8)
		in.stop()
		in = w.active()
		knows("after a restart", 8)
		w.skip(6 * time.Minute)
		in.reconnect("acme")
		knows("reconnected again", 12)
		w.skip(5 * time.Minute)
		in.reconnect("acme")
		knows("the first one's time is over", 12)

		// Whoever keeps pressing does not make the record grow, and a disconnect
		// ends them all.
		for range 3 {
			time.Sleep(time.Minute) // for the tenant's allowance of requests
			in.reconnect("acme")
		}
		knows("pressed again and again", 16)
		in.disconnect("acme")
		in.connect("acme", 0)
		knows("connected anew", 4)
	}, halotest.Config{})
}

func TestAReconnectRemovesStraysOfOursAndNothingElse(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		in.connect("acme", 0)
		admin, err := halopsa.New(halopsa.Config{TenantURL: w.urls[0], ClientID: clientID, ClientSecret: clientSecret, AllowNets: loopback()})
		if err != nil {
			w.Fatal(err)
		}
		var made []string
		ours := w.live(0)[0].URL
		for _, spec := range []halopsa.WebhookSpec{
			{Name: "WorkSights AI Connector", URL: ours},                             // a stray
			{Name: "WorkSights AI Connector", URL: ours + "/"},                       // as Halo may write it
			{Name: "WorkSights AI Connector", URL: "https://elsewhere.example/hook"}, // of another installation
			{Name: "Something else", URL: ours},                                      // by another hand
		} {
			id, err := admin.CreateWebhook(context.Background(), spec)
			if err != nil {
				w.Fatal(err)
			}
			if _, err := admin.CreateNotification(context.Background(), halopsa.Notification{Event: 3, WebhookID: id}); err != nil {
				w.Fatal(err)
			}
			made = append(made, id)
		}
		admin.Close()
		c := in.reconnect("acme")
		var left []string
		for _, hook := range w.live(0) {
			left = append(left, hook.ID)
		}
		want := []string{made[2], made[3], c.Webhook.ID}
		slices.Sort(left)
		if slices.Sort(want); !slices.Equal(left, want) || w.sims[0].Notifications() != 6 {
			t.Errorf("left %v, want %v; %d notifications", left, want, w.sims[0].Notifications())
		}
	}, halotest.Config{})
}

// The edge must take the first delivery of a webhook, and must not take two
// webhooks' deliveries of one event.
func TestTheEdgeKnowsASecretBeforeHaloDoes(t *testing.T) {
	inWorld(t, func(w *world) {
		var made *halotest.Webhook
		w.fault = func(_ context.Context, _ schemas.Tenant, name string) (moment, error) {
			hooks := w.live(0)
			if name != "create notification" || len(hooks) == 0 {
				return never, nil
			}
			made = &hooks[0]
			if conn, _ := w.published("acme"); conn.WebhookID != made.ID || !conn.Verify(made.Password, time.Now()) {
				t.Error("a webhook was bound to events that the edge would refuse")
			}
			return never, nil
		}
		in := w.active()
		in.connect("acme", 0)
		if made == nil {
			t.Error("no webhook was seen: this proves nothing")
		}
		current := w.live(0)[0].ID
		w.fault = func(_ context.Context, _ schemas.Tenant, name string) (moment, error) {
			if name != "create notification" {
				return never, nil
			}
			conn, _ := w.published("acme")
			if conn.WebhookID != current {
				t.Error("two webhooks deliver, and the incomplete one counts")
			}
			for _, hook := range w.live(0) {
				if !conn.Verify(hook.Password, time.Now()) {
					t.Error("a webhook was bound to events that the edge would refuse")
				}
			}
			return never, nil
		}
		in.stop() // the fault is taken up with the next client
		in = w.active()
		in.reconnect("acme")
	}, halotest.Config{})
}

func TestAWebhookThatHaloRefusesSavesNothing(t *testing.T) {
	refuse := halotest.Answer(http.StatusForbidden, "application/json", `{"ClassName":"System.Exception","Message":"You do not have permission to do this."}`)
	inWorld(t, func(w *world) {
		w.sims[0].Inject("POST Webhook", -1, refuse)
		in := w.active()
		in.fails("acme", 0, http.StatusUnprocessableEntity, "webhook_refused")
		if _, ok := w.published("acme"); ok || w.credentialsKept() || w.sims[0].Notifications() != 0 {
			t.Error("something was saved")
		}
		_, err := in.Connection(context.Background(), "acme")
		w.refused(err, http.StatusNotFound, "not_connected")
		// A connection that stands is left as it is.
		w.sims[0].Heal()
		in.connect("acme", 0)
		hook := w.live(0)[0]
		w.sims[0].Inject("POST Webhook", -1, refuse)
		_, err = in.Reconnect(context.Background(), "acme", operator)
		w.refused(err, http.StatusUnprocessableEntity, "webhook_refused")
		w.sims[0].Unbind(hook.ID, 3) // else there is nothing to do
		in.fails("acme", 0, http.StatusUnprocessableEntity, "webhook_refused")
		if conn, _ := w.published("acme"); conn.WebhookID != hook.ID || len(conn.Verifiers) != 1 || !conn.Verify(hook.Password, time.Now().Add(time.Hour)) {
			t.Errorf("the edge knows %+v", conn)
		}
	}, halotest.Config{})
}

func TestAWebhookWithFewerThanFourEventsIsDegraded(t *testing.T) {
	lookups := func(rows string) halotest.Fault { return halotest.Answer(http.StatusOK, "application/json", rows) }
	for name, test := range map[string]struct {
		spoil  func(*halotest.Sim)
		events []schemas.Kind
	}{
		"one is refused": {
			func(s *halotest.Sim) {
				s.Inject("POST Notification", 1, halotest.Answer(http.StatusBadRequest, "application/json", `{"Message":"The notification is not valid."}`))
			},
			[]schemas.Kind{"status_changed", "updated_by_agent", "updated_by_user"},
		},
		"the catalogue is closed": { // the usual numbers, and none is known for updated by agent
			func(s *halotest.Sim) {
				s.Inject("Lookup", -1, halotest.Answer(http.StatusForbidden, "application/json", `{"Message":"no"}`))
			},
			[]schemas.Kind{"ticket_logged", "status_changed", "updated_by_user"},
		},
		"the catalogue lacks one": {
			func(s *halotest.Sim) {
				s.Inject("Lookup", -1, lookups(`[{"id":3,"lookupid":64,"name":"New Ticket Logged - All"},{"id":76,"lookupid":64,"name":"Ticket Status Changed - All"},{"id":42,"lookupid":64,"name":"Ticket Updated by Agent - All"}]`))
			},
			[]schemas.Kind{"ticket_logged", "status_changed", "updated_by_agent"},
		},
		"the catalogue has the tenant's words": {
			func(s *halotest.Sim) {
				s.Inject("Lookup", -1, lookups(`[{"id":3,"lookupid":64,"name":"NEW INCIDENT LOGGED - All"},{"id":76,"lookupid":64,"name":"Incident Status Changed"},{"id":42,"lookupid":64,"name":"Incident Updated by Technician - All"},{"id":19,"lookupid":64,"name":"Incident Updated by End User - All"}]`))
			},
			[]schemas.Kind{"ticket_logged", "status_changed", "updated_by_agent", "updated_by_user"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				test.spoil(w.sims[0])
				c := w.active().connect("acme", 0)
				if !slices.Equal(c.Webhook.Events, test.events) {
					t.Errorf("events %v", c.Webhook.Events)
				}
				state, said := "degraded", []string{"webhook_events_missing"}
				if len(test.events) == 4 {
					state, said = "active", nil
				}
				if c.State != state || !slices.Equal(codes(c), said) {
					t.Errorf("%s, %v", c.State, c.Problems)
				}
			}, halotest.Config{})
		})
	}
}

// credentialsKept says whether the vault holds any.
func (w *world) credentialsKept() bool {
	return slices.ContainsFunc(w.counting(w.topics.Vault), func(r *kgo.Record) bool { return strings.Contains(string(r.Value), `"credentials"`) })
}
