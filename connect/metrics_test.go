//go:build synctests

package connect_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
)

func TestTheMetricsAreThoseThatWereAgreed(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		in.users("acme", "u-ada", "ada@desk.example")
		in.connect("acme", 0)
		time.Sleep(15 * time.Minute)
		tenant := map[string]metrictest.Values{"tenant": nil}
		metrictest.Hold(t, in.reg, map[string]metrictest.Family{
			"halo_connect_active": {Type: metrictest.Gauge},
			"halo_connect_connections": {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{
				"state": {"active", "degraded", "unauthorized", "unreachable", "disconnected"},
			}},
			"halo_connect_webhook_active":            {Type: metrictest.Gauge, Labels: tenant},
			"halo_connect_checked_timestamp_seconds": {Type: metrictest.Gauge, Labels: tenant},
			"halo_connect_silent":                    {Type: metrictest.Gauge, Labels: tenant},
			"halo_connect_sealed_tenants":            {Type: metrictest.Gauge},
			"halo_connect_health_checks_total":       {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"cause": nil}},
			"halo_connect_operations_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
				"operation": {"users", "connect", "disconnect", "refresh", "reconnect", "map", "unmap"}, "result": nil,
			}},
			"halo_promise_breaches_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
				"stage": {"connect"}, "promise": {"as_of_arrival"},
			}},
		})
	}, halotest.Config{})
}

func TestTheMetricsSayWhenAWebhookIsSwitchedOffAndWhenItIsSilent(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		in.connect("acme", 0)
		// Every hour of ten days, and then nothing for five.
		w.outcomes.set(func(o *outcomes) {
			for h := range 10 * 24 {
				o.arrivals["acme"] = append(o.arrivals["acme"], time.Now().Add(time.Duration(h-14*24)*time.Hour))
			}
		})
		get := func(name string, values ...string) float64 {
			t.Helper()
			return metrictest.Series(t, in.reg, name, values...)
		}
		if get("halo_connect_webhook_active", "acme") != 1 || get("halo_connect_silent", "acme") != 0 {
			t.Error("not active, or silent, right after the connect")
		}
		time.Sleep(15 * time.Minute)
		if get("halo_connect_silent", "acme") != 1 {
			t.Error("not silent after four days without a delivery")
		}
		w.sims[0].ChangeWebhook(w.live(0)[0].ID, func(h *halotest.Webhook) { h.Disabled = true })
		time.Sleep(15 * time.Minute)
		if get("halo_connect_webhook_active", "acme") != 0 || get("halo_connect_connections", "degraded") != 1 {
			t.Error("the webhook counts as active although it is switched off")
		}
		if get("halo_connect_health_checks_total", "ok") < 2 {
			t.Error("no health check was counted: this proves nothing")
		}
	}, halotest.Config{})
}

// The instant from which a mapping holds lies 100 ms ahead of its write. An ack
// that takes longer leaves events that were judged without it.
func TestAMappingAcknowledgedTooLateIsABreach(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		w.sims[0].AddAgent(halotest.Agent{ID: 7, Name: "Ada Example", Email: "ada@desk.example"})
		in.users("acme", "u-ada", "ada@desk.example", "u-bob", "bob@desk.example")
		in.connect("acme", 0)
		breaches := func() float64 {
			return metrictest.Series(t, in.reg, "halo_promise_breaches_total", "as_of_arrival", "connect")
		}
		in.want(200, "PUT", at("acme", "/agents/7/user"), `{"user_id":"u-bob"}`, nil)
		if n := breaches(); n != 0 {
			t.Errorf("%v breaches with a Kafka that is well", n)
		}
		w.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.KeepControl()
			w.SleepControl(func() { time.Sleep(200 * time.Millisecond) })
			return nil, nil, false
		})
		in.want(200, "PUT", at("acme", "/agents/7/user"), `{"user_id":"u-ada"}`, nil)
		if n := breaches(); n != 1 {
			t.Errorf("%v breaches, want 1", n)
		}
	}, halotest.Config{})
}

func TestAStandbyShowsThatItIsOneAndNothingElse(t *testing.T) {
	inWorld(t, func(w *world) {
		first := w.active()
		first.connect("acme", 0)
		second := w.start()
		time.Sleep(time.Minute)
		instances := map[bool]*instance{first.Ready() == nil: first, second.Ready() == nil: second}
		if metrictest.Series(t, instances[true].reg, "halo_connect_active") != 1 || metrictest.Series(t, instances[false].reg, "halo_connect_active") != 0 {
			t.Error("not exactly one instance is active")
		}
		families, err := instances[false].reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "halo_connect_connections" || f.GetName() == "halo_connect_webhook_active" {
				t.Errorf("a standby shows %s", f.GetName())
			}
		}
	}, halotest.Config{})
}
