//go:build synctests

package connect_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// lookTime is longer than any connection goes unlooked at: five minutes, a
// fifth, and the scan.
const lookTime = 6*time.Minute + 10*time.Second

func TestWhatChangesInHaloIsFoundAndSaidInPlainWords(t *testing.T) {
	edit := func(change func(*halotest.Webhook)) func(*world, string) {
		return func(w *world, hook string) { w.sims[0].ChangeWebhook(hook, change) }
	}
	inject := func(f halotest.Fault) func(*world, string) {
		return func(w *world, _ string) { w.sims[0].Inject("", -1, f) }
	}
	heal := func(w *world, _ string) { w.sims[0].Heal() }
	for name, test := range map[string]struct {
		spoil, mend func(*world, string)
		state, code string
		message     string // with HOST
		action      string // begins with
		active      bool   // the webhook, as it is shown
	}{
		"webhook deleted": {
			edit(func(h *halotest.Webhook) { h.Deleted = true }), edit(func(h *halotest.Webhook) { h.Deleted = false }),
			"degraded", "webhook_missing", "The webhook WorkSights AI Connector was deleted in Halo: no events arrive.", "Reconnect the connection", false,
		},
		"webhook switched off": {
			edit(func(h *halotest.Webhook) { h.Disabled = true }), edit(func(h *halotest.Webhook) { h.Disabled = false }),
			"degraded", "webhook_disabled", "The webhook WorkSights AI Connector is switched off in Halo: no events arrive.", "Switch it on in Halo", false,
		},
		"webhook inactive": {
			edit(func(h *halotest.Webhook) { h.Active = false }), edit(func(h *halotest.Webhook) { h.Active = true }),
			"degraded", "webhook_disabled", "The webhook WorkSights AI Connector is switched off in Halo: no events arrive.", "Switch it on in Halo", false,
		},
		"webhook pointed elsewhere": {
			edit(func(h *halotest.Webhook) { h.URL = "https://elsewhere.example/" }),
			edit(func(h *halotest.Webhook) {
				h.URL = ingestURL + "v1/webhooks/halo/" + string(schemas.ConnectionIDOf("acme"))
			}),
			"degraded", "webhook_url_changed", "The webhook WorkSights AI Connector posts to another address than ours.", "Reconnect the connection", false,
		},
		"event unbound": {
			func(w *world, hook string) { w.sims[0].Unbind(hook, 76) }, nil,
			"degraded", "webhook_events_missing", "The webhook is not bound to: status_changed. Such events do not arrive.", "Add the events", true,
		},
		"secret rotated": {
			func(w *world, _ string) { w.sims[0].RotateSecret("another") }, func(w *world, _ string) { w.sims[0].RotateSecret(clientSecret) },
			"unauthorized", "secret_wrong", "HOST does not accept this Client ID and Client Secret.", "Copy the Client ID and a new Client Secret", true,
		},
		"scope unticked": {
			func(w *world, _ string) { w.sims[0].Untick("admin:webhooks") }, func(w *world, _ string) { w.sims[0].Tick("admin:webhooks") },
			"unauthorized", "scope_missing", "The API application in Halo lacks the scope admin:webhooks.", "In Halo, open the API application, tick admin:webhooks", true,
		},
		"Halo fails":             {inject(halotest.Page(http.StatusBadGateway)), heal, "unreachable", "halo_error", "HOST answered in a way that cannot be used.", "Try again", true},
		"something else answers": {inject(halotest.Page(http.StatusNotFound)), heal, "unreachable", "not_halo", "What answers at HOST is not a Halo instance.", "Check the tenant URL", true},
		"Halo redirects": {
			inject(halotest.Redirect("https://elsewhere.example/")), heal,
			"unreachable", "redirect_refused", "HOST redirects to another address, and redirects are not followed.", "Enter the address", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				in := w.active()
				hook := in.connect("acme", 0).Webhook.ID
				time.Sleep(lookTime)
				if c := in.connection("acme"); c.State != "active" || c.Webhook.CheckedAt.Before(time.Now().Add(-lookTime)) {
					t.Errorf("in good order: %+v", c)
				}
				test.spoil(w, hook)
				time.Sleep(lookTime)
				judged := func(c connectionBody) {
					t.Helper()
					message := strings.ReplaceAll(test.message, "HOST", strings.TrimPrefix(w.urls[0], "http://"))
					if c.State != test.state || len(c.Problems) != 1 || c.Problems[0].Code != test.code || c.Problems[0].Message != message ||
						!strings.HasPrefix(c.Problems[0].Action, test.action) || c.Webhook.Active != test.active {
						t.Errorf("judged %s, webhook active %v, %q", c.State, c.Webhook.Active, c.Problems)
					}
				}
				judged(in.connection("acme"))
				if a := in.call("GET", "/v1/tenants", ""); !strings.Contains(string(a.body), `"state":"`+test.state+`"`) {
					t.Errorf("listed as %s", a.body)
				}
				// Whoever takes over knows it without a look.
				calls := w.sims[0].Counters().Total()
				in.stop()
				in = w.active()
				judged(in.connection("acme"))
				if now := w.sims[0].Counters().Total(); now != calls {
					t.Errorf("%d calls were made: this proves nothing", now-calls)
				}
				if test.mend != nil {
					test.mend(w, hook)
				} else {
					in.want(http.StatusOK, "POST", at("acme", "/connection/reconnect"), "", nil)
				}
				time.Sleep(lookTime)
				if c := in.connection("acme"); c.State != "active" || len(c.Problems) != 0 {
					t.Errorf("mended: %s, %q", c.State, c.Problems)
				}
			}, halotest.Config{})
		})
	}
}

func TestAHookThatHaloSwitchedOffAfterFailuresIsSaidToBeSo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		hook := in.connect("acme", 0).Webhook.ID
		w.sims[0].ChangeWebhook(hook, func(h *halotest.Webhook) { h.URL = w.urls[0] + "/nobody" })
		w.sims[0].NewTicket(context.Background(), 2)
		w.sims[0].ChangeWebhook(hook, func(h *halotest.Webhook) {
			h.URL = ingestURL + "v1/webhooks/halo/" + string(schemas.ConnectionIDOf("acme"))
		})
		time.Sleep(lookTime)
		c := in.connection("acme")
		if c.State != "degraded" || !slices.Equal(c.codes(), []string{"webhook_disabled"}) ||
			!strings.HasPrefix(c.Problems[0].Message, "Halo switched the webhook WorkSights AI Connector off after failed deliveries, on ") {
			t.Errorf("%s, %q", c.State, c.Problems)
		}
	}, halotest.Config{AutoDisable: 1, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
}

func TestAFailureThatTeachesNothingChangesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 0)
		w.fault = func(context.Context, schemas.Tenant, string) (moment, error) { return before, rateLimited }
		in.stop()
		in = w.active()
		time.Sleep(lookTime)
		if c := in.connection("acme"); c.State != "active" {
			t.Errorf("%s, %q", c.State, c.Problems)
		}
	}, halotest.Config{})
}

func TestASilenceBeyondTheConnectionsOwnRhythmIsSaid(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 0)
		// Working hours for nine days, and nothing since yesterday.
		first := time.Now().Truncate(10 * time.Minute).Add(2*time.Hour - 9*24*time.Hour)
		var arrivals []time.Time
		for day := range 9 {
			for span := range 48 {
				arrivals = append(arrivals, first.Add(time.Duration(day)*24*time.Hour+time.Duration(span)*10*time.Minute))
			}
		}
		last := arrivals[len(arrivals)-1].Add(10 * time.Minute)
		w.outcomes.set(func(o *outcomes) { o.arrivals["acme"], o.last["acme"] = arrivals, last })
		time.Sleep(time.Until(last.Add(20 * time.Hour))) // a night of sixteen hours, and some
		if c := in.connection("acme"); c.State != "active" || len(c.Problems) != 0 || !c.LastDeliveryAt.Equal(last) {
			t.Errorf("in its rhythm: %s, %q, last %v", c.State, c.Problems, c.LastDeliveryAt)
		}
		time.Sleep(6 * time.Hour)
		c := in.connection("acme")
		if c.State != "active" || !slices.Equal(c.codes(), []string{"silent"}) ||
			c.Problems[0].Message != "Nothing has arrived since "+last.Format("2 January 2006 15:04 MST")+", longer than at any time in the two weeks before." {
			t.Errorf("beyond it: %s, %q", c.State, c.Problems)
		}
		w.outcomes.set(func(o *outcomes) { o.err = errors.New("away") })
		time.Sleep(2 * time.Hour)
		if c := in.connection("acme"); !slices.Equal(c.codes(), []string{"silent"}) {
			t.Errorf("when the rhythm cannot be read: %q", c.Problems)
		}
		w.outcomes.set(func(o *outcomes) {
			o.err = nil
			o.arrivals["acme"] = append(o.arrivals["acme"], time.Now().Add(-time.Minute))
		})
		time.Sleep(45 * time.Minute)
		if c := in.connection("acme"); len(c.Problems) != 0 {
			t.Errorf("after a delivery: %q", c.Problems)
		}
	}, halotest.Config{})
}

func TestLooksAreSpreadAndTakeTurns(t *testing.T) {
	const tenants = 60
	inWorld(t, func(w *world) {
		var mu sync.Mutex
		var looks []time.Time
		last := make(map[schemas.Tenant]time.Time)
		in := w.active()
		for n := range tenants {
			in.connect("t"+string(rune('a'+n%26))+string(rune('a'+n/26)), 0)
		}
		in.stop()
		w.fault = func(_ context.Context, tenant schemas.Tenant, name string) (moment, error) {
			if name != "authenticate" {
				return never, nil
			}
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			if before, ok := last[tenant]; ok {
				if gap := now.Sub(before); gap < 4*time.Minute-time.Second || gap > lookTime {
					t.Errorf("two looks at one tenant %v apart", gap)
				}
			}
			last[tenant], looks = now, append(looks, now)
			return before, errors.New("no more is needed")
		}
		in = w.active()
		began := time.Now()
		time.Sleep(20 * time.Minute)
		in.stop()
		if len(looks) < 3*tenants {
			t.Errorf("%d looks in twenty minutes", len(looks))
		}
		// A take-over must not ask all tenants' Halos at once.
		first := 0
		for _, at := range looks {
			if at.Sub(began) < 30*time.Second {
				first++
			}
		}
		if first > tenants/3 {
			t.Errorf("%d of %d tenants were looked at in the first half minute", first, tenants)
		}
	}, halotest.Config{})
}

func TestMetricsShowTheConnectionsOfTheOneThatActs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in, standby := w.active(), w.start()
		time.Sleep(10 * time.Second)
		if in.Ready() != nil {
			in, standby = standby, in
		}
		in.connect("acme", 0)
		in.connect("other", 0)
		in.want(http.StatusNoContent, "DELETE", at("other", "/connection"), "", nil)
		time.Sleep(lookTime)
		for name, want := range map[string]float64{
			"halo_connect_active": 1, `halo_connect_connections{active}`: 1, `halo_connect_connections{disconnected}`: 1,
			`halo_connect_connections{degraded}`: 0, `halo_connect_webhook_active{acme}`: 1,
		} {
			if is := gauges(t, in.reg)[name]; is != want {
				t.Errorf("%s is %v, want %v", name, is, want)
			}
		}
		if g := gauges(t, standby.reg); g["halo_connect_active"] != 0 || len(g) != 1 {
			t.Errorf("on standby: %v", g)
		}
		for _, state := range connect.States() {
			if _, ok := gauges(t, in.reg)["halo_connect_connections{"+state+"}"]; !ok {
				t.Errorf("no connections in state %s, not even zero", state)
			}
		}
	}, halotest.Config{})
}

// gauges are the gauges of connect by name and label.
func gauges(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "halo_connect_") {
			continue
		}
		for _, m := range f.GetMetric() {
			name := f.GetName()
			if len(m.GetLabel()) > 0 {
				name += "{" + m.GetLabel()[0].GetValue() + "}"
			}
			if m.GetGauge() != nil {
				all[name] = m.GetGauge().GetValue()
			}
		}
	}
	return all
}
