//go:build synctests

package care_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

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
		asked       bool // Halo could be asked, and the first look counts
		state, code string
		message     string // with HOST
		action      string // begins with
		active      bool   // the webhook, as it is shown
	}{
		"webhook deleted": {
			edit(func(h *halotest.Webhook) { h.Deleted = true }), edit(func(h *halotest.Webhook) { h.Deleted = false }), true,
			"degraded", "webhook_missing", "The webhook WorkSights AI Connector was deleted in Halo: no events arrive.", "Reconnect the connection", false,
		},
		"webhook switched off": {
			edit(func(h *halotest.Webhook) { h.Disabled = true }), edit(func(h *halotest.Webhook) { h.Disabled = false }), true,
			"degraded", "webhook_disabled", "The webhook WorkSights AI Connector is switched off in Halo: no events arrive.", "Switch it on in Halo", false,
		},
		"webhook inactive": {
			edit(func(h *halotest.Webhook) { h.Active = false }), edit(func(h *halotest.Webhook) { h.Active = true }), true,
			"degraded", "webhook_disabled", "The webhook WorkSights AI Connector is switched off in Halo: no events arrive.", "Switch it on in Halo", false,
		},
		"webhook pointed elsewhere": {
			edit(func(h *halotest.Webhook) { h.URL = "https://elsewhere.example/" }),
			edit(func(h *halotest.Webhook) {
				h.URL = ingestURL + "/v1/webhooks/halo/" + string(schemas.ConnectionIDOf("acme"))
			}), true,
			"degraded", "webhook_url_changed", "The webhook WorkSights AI Connector posts to another address than ours.", "Reconnect the connection", false,
		},
		"event unbound": {
			func(w *world, hook string) { w.sims[0].Unbind(hook, 76) }, nil, true,
			"degraded", "webhook_events_missing", "The webhook is not bound to: status_changed. Such events do not arrive.", "Add the events", true,
		},
		"secret rotated": {
			func(w *world, _ string) { w.sims[0].RotateSecret("another") }, func(w *world, _ string) { w.sims[0].RotateSecret(clientSecret) }, false,
			"unauthorized", "secret_wrong", "HOST does not accept this Client ID and Client Secret.", "Copy the Client ID and a new Client Secret", true,
		},
		"scope unticked": {
			func(w *world, _ string) { w.sims[0].Untick("admin:webhooks") }, func(w *world, _ string) { w.sims[0].Tick("admin:webhooks") }, false,
			"unauthorized", "scope_missing", "The API application in Halo lacks the scope admin:webhooks.", "In Halo, open the API application, tick admin:webhooks", true,
		},
		"Halo fails":             {inject(halotest.Page(http.StatusBadGateway)), heal, false, "unreachable", "halo_error", "HOST answered in a way that cannot be used.", "Try again", true},
		"something else answers": {inject(halotest.Page(http.StatusNotFound)), heal, false, "unreachable", "not_halo", "What answers at HOST is not a Halo instance.", "Check the tenant URL", true},
		"Halo redirects": {
			inject(halotest.Redirect("https://elsewhere.example/")), heal, false,
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
				spoilt := time.Now()
				for in.connection("acme").Problems == nil || len(in.connection("acme").Problems) == 0 {
					if time.Sleep(time.Second); time.Since(spoilt) > lookTime {
						t.Fatal("nothing is said after a look")
					}
				}
				if c := in.connection("acme"); (c.State == test.state) != test.asked || !test.asked && c.State != "active" {
					t.Errorf("after one look it is %s", c.State)
				}
				time.Sleep(lookTime)
				since := time.Time{}
				judged := func() {
					t.Helper()
					c := in.connection("acme")
					message := strings.ReplaceAll(test.message, "HOST", strings.TrimPrefix(w.urls[0], "http://"))
					if c.State != test.state || len(c.Problems) != 1 || c.Problems[0].Code != test.code || c.Problems[0].Message != message ||
						!strings.HasPrefix(c.Problems[0].Action, test.action) || c.Webhook.Active != test.active || c.Problems[0].Severity != "error" {
						t.Errorf("judged %s, webhook active %v, %+v", c.State, c.Webhook.Active, c.Problems)
						return
					}
					if since.IsZero() {
						since = c.Problems[0].Since
					}
					if is := c.Problems[0].Since; !is.Equal(since) || is.Before(spoilt.Truncate(time.Millisecond)) || is.After(spoilt.Add(lookTime)) {
						t.Errorf("since %v, before that %v, spoilt at %v", is, since, spoilt)
					}
				}
				judged()
				rows, err := in.Care.All(context.Background())
				if err != nil || len(rows) != 1 || rows[0].State != test.state || !slices.Equal(rows[0].Problems, []string{test.code}) {
					t.Errorf("listed as %+v, %v", rows, err)
				}
				// Whoever takes over knows it without a look.
				calls := w.sims[0].Counters().Total()
				in.stop()
				in = w.active()
				judged()
				if now := w.sims[0].Counters().Total(); now != calls {
					t.Errorf("%d calls were made: this proves nothing", now-calls)
				}
				if test.mend != nil {
					test.mend(w, hook)
				} else {
					in.reconnect("acme")
				}
				time.Sleep(lookTime)
				if c := in.connection("acme"); c.State != "active" || len(c.Problems) != 0 {
					t.Errorf("mended: %s, %+v", c.State, c.Problems)
				}
				said := w.changes("acme")
				for _, want := range []string{"connector problem_opened " + test.code, "connector state " + test.state} {
					if n := len(slices.DeleteFunc(slices.Clone(said), func(s string) bool { return s != want })); n != 1 {
						t.Errorf("%q is said %d times in %q", want, n, said)
					}
				}
			}, halotest.Config{})
		})
	}
}

func TestAFailureThatTeachesNothingChangesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 0)
		w.fault = func(context.Context, schemas.Tenant, string) (moment, error) { return before, rateLimited }
		in.stop()
		in = w.active()
		time.Sleep(3 * lookTime)
		if c := in.connection("acme"); c.State != "active" || len(c.Problems) != 0 {
			t.Errorf("%s, %+v", c.State, c.Problems)
		}
	}, halotest.Config{})
}

func TestADiagnosisCountsAsNoCheck(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 0)
		w.sims[0].RotateSecret("another")
		records := len(w.Records(w.T, w.topics.Vault))
		for range 3 {
			time.Sleep(31 * time.Second)
			d, err := in.Diagnosis(context.Background(), "acme")
			if err != nil || !strings.Contains(d.Questions[2].Finding, "does not accept this Client ID") {
				t.Errorf("%+v, %v", d, err)
			}
		}
		if c := in.connection("acme"); c.State != "active" {
			t.Errorf("%s", c.State)
		}
		if n := len(w.Records(w.T, w.topics.Vault)) - records; n > 1 { // a check may have come in between
			t.Errorf("three diagnoses wrote %d records", n)
		}
	}, halotest.Config{})
}

func TestWhatHaloSwitchedOffIsSwitchedOnAgainWithMeasure(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		hook := in.connect("acme", 0).Webhook.ID
		secret := w.live(0)[0].Password
		on := func() bool { return !w.live(0)[0].Disabled }
		time.Sleep(lookTime)
		off := func() { w.sims[0].AutoDisable(hook) }
		// The first at once, the second not before an hour, the third not before
		// four, and no more on that day.
		for n, pause := range []time.Duration{0, time.Hour, 4 * time.Hour} {
			off()
			if pause > 0 {
				w.skip(pause - 10*time.Minute)
				if c := in.connection("acme"); on() || c.State != "degraded" || !slices.Contains(codes(c), "webhook_disabled") ||
					!strings.HasPrefix(c.Problems[0].Action, "It is switched on again on ") {
					t.Errorf("repair %d comes too soon: %s, %+v", n, c.State, c.Problems)
				}
			}
			w.skip(10 * time.Minute)
			c := in.connection("acme")
			if !on() || c.State != "active" || !slices.Equal(codes(c), []string{"webhook_repaired"}) || c.Problems[0].Severity == "error" {
				t.Errorf("repair %d: %s, %+v", n, c.State, c.Problems)
			}
		}
		off()
		w.skip(12 * time.Hour)
		c := in.connection("acme")
		if on() || c.State != "degraded" || !slices.Contains(codes(c), "webhook_disabled") ||
			!strings.HasPrefix(c.Problems[0].Message, "Halo switched the webhook WorkSights AI Connector off after failed deliveries, on ") {
			t.Errorf("a fourth time on one day: %s, %+v", c.State, c.Problems)
		}
		if w.skip(7 * time.Hour); !on() {
			t.Error("it stays off on the next day")
		}
		if h := w.live(0)[0]; h.Password != secret || h.ID != hook || len(h.Events) != 4 {
			t.Errorf("it is another webhook: %+v", h)
		}
		said := w.changes("acme")
		if n := len(slices.DeleteFunc(said, func(s string) bool { return s != "connector repaired webhook_disabled" })); n != 4 {
			t.Errorf("said %d times", n)
		}
		if is := gauges(t, in.reg)["halo_connect_repairs_total{webhook}"]; is != 4 {
			t.Errorf("counted %v repairs", is)
		}
	}, halotest.Config{})
}

func TestDeliveriesFlowAgainWithinTwoChecksAfterHaloSwitchedTheWebhookOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		hook := in.connect("acme", 0).Webhook.ID
		ours := w.live(0)[0].URL
		// Deliveries fail for a while, and Halo gives up.
		w.sims[0].ChangeWebhook(hook, func(h *halotest.Webhook) { h.URL = w.urls[0] + "/nobody" })
		w.sims[0].NewTicket(context.Background(), 2)
		w.sims[0].ChangeWebhook(hook, func(h *halotest.Webhook) { h.URL = ours })
		if !w.live(0)[0].Disabled {
			t.Fatal("Halo did not give up: this proves nothing")
		}
		time.Sleep(2 * lookTime)
		if w.live(0)[0].Disabled {
			t.Error("it is still off")
		}
	}, halotest.Config{AutoDisable: 1, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
}

func TestWhatAPersonSwitchedOffStaysOff(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*care.Config)
		off  func(*halotest.Sim, string)
	}{
		"by a person":                 {nil, (*halotest.Sim).SwitchOff},
		"by a person, after Halo had": {nil, func(s *halotest.Sim, hook string) { s.AutoDisable(hook); time.Sleep(2 * lookTime); s.SwitchOff(hook) }},
		"by Halo, and only reported":  {func(c *care.Config) { c.ReportOnly = true }, (*halotest.Sim).AutoDisable},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				var edits []func(*care.Config)
				if test.edit != nil {
					edits = append(edits, test.edit)
				}
				in := w.active(edits...)
				hook := in.connect("acme", 0).Webhook.ID
				test.off(w.sims[0], hook)
				for range 6 {
					w.skip(5 * time.Hour)
				}
				c := in.connection("acme")
				c.Problems = slices.DeleteFunc(c.Problems, func(p control.Problem) bool { return p.Code == "webhook_repaired" })
				if h := w.live(0)[0]; !h.Disabled || c.State != "degraded" || !slices.Equal(codes(c), []string{"webhook_disabled"}) {
					t.Errorf("disabled %v, %s, %+v", h.Disabled, c.State, c.Problems)
				}
				if c := in.reconnect("acme"); c.State != "active" || len(c.Problems) != 0 {
					t.Errorf("reconnected: %s, %+v", c.State, c.Problems)
				}
			}, halotest.Config{})
		})
	}
}

func TestAnAddressThatHaloWritesInItsOwnWayIsPutRight(t *testing.T) {
	id := string(schemas.ConnectionIDOf("acme"))
	ours := ingestURL + "/v1/webhooks/halo/" + id
	for name, address := range map[string]string{
		"a slash at its end":    ours + "/",
		"the id in capitals":    ingestURL + "/v1/webhooks/halo/" + strings.ToUpper(id),
		"a letter as its code":  ingestURL + "/v1/webhooks/hal%6f/" + id,
		"all of it":             ingestURL + "/v1/webhooks/hal%6F/" + strings.ToUpper(id) + "/",
		"the host in capitals":  strings.Replace(ours, "hooks", "HOOKS", 1),
		"the port in words":     strings.Replace(ours, ".example", ".example:443", 1),
		"the scheme in letters": strings.Replace(ours, "https", "HTTPS", 1),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				in := w.active()
				in.connect("acme", 0)
				secret := w.live(0)[0].Password
				for n, look := range []func(){func() { in.refresh("acme") }, func() { w.skip(time.Hour) }} {
					w.change(func(h *halotest.Webhook) { h.URL = address })
					look()
					h := w.live(0)[0]
					same := strings.HasPrefix(name, "the host") || strings.HasPrefix(name, "the port") || strings.HasPrefix(name, "the scheme")
					if !same && h.URL != ours || h.Password != secret {
						t.Errorf("look %d: it posts to %s", n, h.URL)
					}
					if c := in.connection("acme"); c.State != "active" || len(c.Problems) != 0 || !c.Webhook.Active {
						t.Errorf("look %d: %s, %+v", n, c.State, c.Problems)
					}
					w.skip(25 * time.Hour)
				}
			}, halotest.Config{})
		})
	}
}

// A Halo that writes it so each time keeps it so: its deliveries are taken.
func TestAnAddressIsPutRightOnceADay(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		c := in.connect("acme", 0)
		if c.State != "active" || len(w.live(0)) != 1 || !strings.HasSuffix(w.live(0)[0].URL, "/") {
			t.Fatalf("connected as %+v, %d webhooks", c, len(w.live(0)))
		}
		posts := w.sims[0].Counters().Requests["Webhook"]
		const looks = 8
		for range looks {
			w.skip(time.Hour)
		}
		if n := w.sims[0].Counters().Requests["Webhook"] - posts; n > looks {
			t.Errorf("%d calls about webhooks in eight looks", n)
		}
		if c := in.connection("acme"); c.State != "active" || len(c.Problems) != 0 {
			t.Errorf("%s, %+v", c.State, c.Problems)
		}
	}, halotest.Config{SlashURLs: true})
}

func TestAnAgentWhomNobodyListedIsMatchedWithinMinutes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example", "u-new", "new@x.example", "u-late", "late@x.example")
		in.connect("acme", 0)
		time.Sleep(lookTime)
		listed := w.sims[0].Counters().Requests["Agent"]
		time.Sleep(2 * lookTime)
		if n := w.sims[0].Counters().Requests["Agent"] - listed; n > 0 {
			t.Errorf("agents were listed %d times without a reason", n)
		}
		w.sims[0].AddAgent(halotest.Agent{ID: 9, Email: "new@x.example"})
		skips := func(agent schemas.AgentID) {
			w.outcomes.set(func(o *outcomes) {
				o.unmapped["acme"] = []care.AgentCount{{Agent: agent, Events: 1, LastAt: w.now()}}
			})
		}
		skips(9)
		time.Sleep(lookTime + time.Minute)
		in.standings("acme", map[schemas.AgentID]string{9: "matched u-new"})
		said := w.changes("acme")
		if !slices.Contains(said, "connector map 9 u-new") {
			t.Errorf("said %q", said)
		}
		// One whom Halo does not list either does not cost a list each time.
		listed = w.sims[0].Counters().Requests["Agent"]
		skips(77)
		time.Sleep(30 * time.Minute)
		if n := w.sims[0].Counters().Requests["Agent"] - listed; n == 0 || n > 4 {
			t.Errorf("agents were listed %d times for one whom Halo does not list", n)
		}
		// And daily all the same.
		w.outcomes.set(func(o *outcomes) { clear(o.unmapped) })
		w.sims[0].AddAgent(halotest.Agent{ID: 10, Email: "late@x.example"})
		w.skip(25 * time.Hour)
		in.standings("acme", map[schemas.AgentID]string{10: "matched u-late"})
	}, halotest.Config{})
}

func TestProblemsSayWhatUnmatchedAgentsCostAndWhatWasRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, a := range []halotest.Agent{{ID: 2, Email: "ada@x.example"}, {ID: 3}, {ID: 4}, {ID: 5}} {
			w.sims[0].AddAgent(a)
		}
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example")
		if c := in.connect("acme", 0); len(c.Problems) != 0 {
			t.Errorf("agents without events are no problem: %+v", c.Problems)
		}
		in.hand("acme", 5, "=ignored")
		w.outcomes.set(func(o *outcomes) {
			o.unmapped["acme"] = []care.AgentCount{{Agent: 2, Events: 100}, {Agent: 3, Events: 40}, {Agent: 4, Events: 2}, {Agent: 5, Events: 7}}
		})
		time.Sleep(lookTime)
		c := in.connection("acme")
		if c.State != "active" || !slices.Equal(codes(c), []string{"agents_unmatched"}) || c.Problems[0].Severity != "warning" ||
			c.Problems[0].Message != "2 agents with events are mapped to no WorkSights user: 42 events of the last seven days made no activity." {
			t.Errorf("%s, %+v", c.State, c.Problems)
		}
		in.hand("acme", 3, "u-ada")
		in.hand("acme", 4, "=ignored")
		if c := in.connection("acme"); len(c.Problems) != 0 {
			t.Errorf("mapped and ignored: %+v", c.Problems)
		}
		w.outcomes.set(func(o *outcomes) {
			o.refused["acme"] = care.Refusals{Deliveries: 3, LastAt: time.Date(2000, 1, 1, 0, 30, 0, 0, time.UTC), LastResult: "unauthorized"}
		})
		time.Sleep(lookTime)
		c = in.connection("acme")
		if c.State != "active" || !slices.Equal(codes(c), []string{"deliveries_refused"}) || c.Problems[0].Severity != "warning" ||
			c.Problems[0].Message != "3 deliveries of the last day could not be taken; the last on 1 January 2000 00:30 UTC: its secret was wrong." {
			t.Errorf("%s, %+v", c.State, c.Problems)
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
		w.skip(time.Until(last.Add(20 * time.Hour))) // a night of sixteen hours, and some
		if c := in.connection("acme"); c.State != "active" || len(c.Problems) != 0 || !c.LastDeliveryAt.Equal(last) {
			t.Errorf("in its rhythm: %s, %+v, last %v", c.State, c.Problems, c.LastDeliveryAt)
		}
		w.skip(6 * time.Hour)
		c := in.connection("acme")
		if c.State != "active" || !slices.Equal(codes(c), []string{"silent"}) ||
			c.Problems[0].Message != "Nothing has arrived since "+last.Format("2 January 2006 15:04 MST")+", longer than at any time in the two weeks before." {
			t.Errorf("beyond it: %s, %+v", c.State, c.Problems)
		}
		w.outcomes.set(func(o *outcomes) { o.err = errors.New("away") })
		w.skip(2 * time.Hour)
		if c := in.connection("acme"); !slices.Equal(codes(c), []string{"silent"}) {
			t.Errorf("when the rhythm cannot be read: %+v", c.Problems)
		}
		w.outcomes.set(func(o *outcomes) {
			o.err = nil
			o.arrivals["acme"] = append(o.arrivals["acme"], w.now().Add(-time.Minute))
		})
		w.skip(45 * time.Minute)
		if c := in.connection("acme"); len(c.Problems) != 0 {
			t.Errorf("after a delivery: %+v", c.Problems)
		}
	}, halotest.Config{})
}

// gauges are the metrics of connect by name and label.
func gauges(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}
