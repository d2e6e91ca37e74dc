//go:build synctests

package care_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// lookTime is longer than any connection goes unlooked at: five minutes, a fifth,
// and the scan.
const lookTime = 6*time.Minute + 10*time.Second

// sluggish makes every call to Halo take d.
func (w *world) sluggish(d time.Duration) {
	w.fault = func(ctx context.Context, _ schemas.Tenant, _ string) (moment, error) {
		answers := time.NewTimer(d)
		defer answers.Stop()
		select {
		case <-answers.C:
			return never, nil
		case <-ctx.Done():
			return before, unanswered
		}
	}
}

// fails wants a connect to the Halo n to be refused.
func (in *instance) fails(tenant schemas.Tenant, n, status int, code string) {
	in.w.Helper()
	_, _, err := in.Connect(context.Background(), tenant, operator, in.w.credentials(n))
	in.w.refused(err, status, code)
}

// botch has a connect to the Halo n fail late, and Halo refuse whatever would take
// it back: a webhook is left.
func (in *instance) botch(tenant schemas.Tenant, n int) {
	in.w.Helper()
	sim := in.w.sims[n]
	sim.Inject("GET Webhook", -1, halotest.Page(http.StatusBadGateway)) // the list, and the look at the one that was made
	sim.Inject("DELETE Webhook", -1, halotest.Page(http.StatusBadGateway))
	in.fails(tenant, n, http.StatusBadGateway, "halo_error")
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
		in.fails("acme", 0, http.StatusBadGateway, "unreachable")
		if took := time.Since(began); took > time.Minute {
			t.Errorf("answered after %v", took)
		}
		if len(w.live(0)) != 1 {
			w.Fatalf("%d webhooks and %d notifications are left: this proves nothing", len(w.live(0)), w.sims[0].Notifications())
		}
		time.Sleep(30 * time.Minute)
		if len(w.live(0)) != 0 || w.sims[0].Notifications() != 0 {
			t.Errorf("%d webhooks and %d notifications are left", len(w.live(0)), w.sims[0].Notifications())
		}
		// Nothing is saved of credentials with which no connection came about.
		for _, r := range w.counting(w.topics.Vault) {
			if strings.Contains(string(r.Value), `"credentials"`) {
				t.Error("credentials were saved")
			}
		}
		_, err := in.Connection(context.Background(), "acme")
		w.refused(err, http.StatusNotFound, "not_connected")
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
		_, err := in.Reconnect(context.Background(), "acme", operator)
		w.refused(err, http.StatusBadGateway, "halo_error")
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
				in.fails("acme", 0, http.StatusBadGateway, "halo_error")
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
		in.fails("acme", 0, http.StatusUnprocessableEntity, "webhook_refused")
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
		in.fails("acme", 0, http.StatusBadGateway, "halo_error")
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

func TestADisconnectDestroysTheCredentialsAndKeepsTheRest(t *testing.T) {
	for name, away := range map[string]bool{"Halo there": false, "Halo away": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
				in := w.active()
				in.users("acme", "u-ada", "ada@x.example")
				in.connect("acme", 0)
				if away {
					w.sims[0].Inject("", -1, halotest.Page(503))
				}
				began := time.Now()
				in.disconnect("acme")
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("took %v", took)
				}
				if _, ok := w.published("acme"); ok {
					t.Error("the edge still has a verifier")
				}
				if hooks := len(w.live(0)); (hooks == 0) == away || (w.sims[0].Notifications() == 0) == away {
					t.Errorf("%d webhooks and %d notifications are left", hooks, w.sims[0].Notifications())
				}
				records := w.counting(w.topics.Vault)
				if last := string(records[len(records)-1].Value); strings.Contains(last, `"credentials"`) || !strings.Contains(last, `"directory"`) || w.leaving() != away {
					t.Errorf("the vault keeps %.80s", last)
				}
				for range 2 {
					c := in.connection("acme")
					if c.State != "disconnected" || c.Webhook.ID != "" || c.Webhook.Active || len(c.Webhook.Events) != 0 || c.ConnectedAt != nil {
						t.Errorf("shown as %+v", c)
					}
					if slices.Contains(codes(c), "left_in_halo") != away {
						t.Errorf("said: %+v", c.Problems)
					}
					ctx := context.Background()
					_, agents := in.Agents(ctx, "acme")
					_, diagnosis := in.Diagnosis(ctx, "acme")
					_, refresh := in.Refresh(ctx, "acme", operator)
					_, reconnect := in.Reconnect(ctx, "acme", operator)
					_, assign := in.Assign(ctx, "acme", operator, nil)
					for _, err := range []error{agents, diagnosis, refresh, reconnect, assign} {
						w.refused(err, http.StatusNotFound, "not_connected")
					}
					in.disconnect("acme") // again
					in.stop()
					in = w.active()
				}
				w.sims[0].Heal()
				if _, created, err := in.Connect(context.Background(), "acme", operator, w.credentials(0)); err != nil || !created {
					t.Errorf("connected again: created %v, %v", created, err)
				}
				if len(w.live(0)) != 1 || w.sims[0].Notifications() != 4 || len(codes(in.connection("acme"))) != 0 {
					t.Errorf("%d webhooks, %d notifications, %q", len(w.live(0)), w.sims[0].Notifications(), codes(in.connection("acme")))
				}
				in.standings("acme", map[schemas.AgentID]string{2: "matched u-ada"})
			}, halotest.Config{})
		})
	}
}

// What a disconnect left is removed by whoever acts later, or given up after a day;
// then the credentials for it are gone.
func TestWhatADisconnectLeftIsRemovedByTheNextInstance(t *testing.T) {
	for name, heals := range map[string]bool{"Halo comes back": true, "Halo stays away": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.quiet = true
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				in := w.active()
				in.connect("acme", 0)
				w.sims[0].Inject("", -1, halotest.Page(http.StatusServiceUnavailable))
				in.disconnect("acme")
				in.stop()
				if !w.leaving() {
					t.Error("nothing was kept to leave with")
				}
				if heals {
					w.sims[0].Heal()
				}
				in = w.active()
				if heals {
					time.Sleep(lookTime)
				} else {
					w.skip(25 * time.Hour)
					time.Sleep(lookTime)
				}
				if (len(w.live(0)) == 0) != heals || (w.sims[0].Notifications() == 0) != heals {
					t.Errorf("%d webhooks and %d notifications are left", len(w.live(0)), w.sims[0].Notifications())
				}
				if w.leaving() {
					t.Error("what it takes to leave was not destroyed")
				}
				c := in.connection("acme")
				if slices.Contains(codes(c), "left_in_halo") == heals {
					t.Errorf("said: %+v", c.Problems)
				}
				if !heals && strings.Contains(c.Problems[0].Action, "again") {
					t.Errorf("promised: %s", c.Problems[0].Action)
				}
			}, halotest.Config{})
		})
	}
}

// leaving says whether the vault holds what it takes to leave a Halo.
func (w *world) leaving() bool {
	w.Helper()
	records := w.counting(w.topics.Vault)
	return strings.Contains(string(records[len(records)-1].Value), `"leaving"`)
}

// A Halo that is away, or that asks us to wait until another century, lets us go
// at once; what is left there is said, and removed when it can be.
func TestADisconnectSaysWhatItLeftAndGoesOnTrying(t *testing.T) {
	for name, spoil := range map[string]halotest.Fault{
		"Halo away":           halotest.Page(http.StatusServiceUnavailable),
		"a 429 until 2199":    halotest.TooMany("Fri, 01 Jan 2199 00:00:00 GMT"),
		"a 429 with nonsense": halotest.TooMany("1790000000"),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.quiet = true
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				in := w.active()
				hook := in.connect("acme", 0).Webhook.ID
				w.sims[0].Inject("", -1, spoil)
				in.disconnect("acme")
				c := in.connection("acme")
				if !slices.Equal(codes(c), []string{"left_in_halo"}) || c.Problems[0].Severity != "warning" ||
					!strings.Contains(c.Problems[0].Message, hook) || !strings.Contains(c.Problems[0].Message, w.urls[0]) {
					t.Fatalf("said: %+v", c.Problems)
				}
				time.Sleep(2 * lookTime)
				if len(w.live(0)) != 1 {
					w.Fatal("it was removed: this proves nothing")
				}
				w.sims[0].Heal()
				time.Sleep(2 * lookTime)
				if len(w.live(0)) != 0 || w.sims[0].Notifications() != 0 {
					t.Errorf("%d webhooks and %d notifications are left", len(w.live(0)), w.sims[0].Notifications())
				}
				if c := in.connection("acme"); len(c.Problems) != 0 {
					t.Errorf("said: %+v", c.Problems)
				}
				said := w.changes("acme")
				if n := len(said); !slices.Equal(said[n-2:], []string{"operator problem_opened left_in_halo", "connector problem_closed left_in_halo"}) {
					t.Errorf("said %q", said)
				}
				calls := w.sims[0].Counters().Total()
				time.Sleep(2 * lookTime)
				if n := w.sims[0].Counters().Total() - calls; n > 0 {
					t.Errorf("the Halo is still asked: %d calls", n)
				}
			}, halotest.Config{})
		})
	}
}
