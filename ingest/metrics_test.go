package ingest_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
	"github.com/worksights/halo-connector/schemas"
)

const wellFormed = `{"webhook_id":"` + demoWebhook + `","notification_id":57,"escmsg_id":"e1","event":"ticket status changed","object_id":1337,"agent_id":3,"timestamp":"2026-10-02T14:03:27.441Z"}`

// deliver posts a body as the demo connection, and returns the status.
func (b *bench) deliver(body string) int {
	id := string(schemas.ConnectionIDOf("demo"))
	r := httptest.NewRequest("POST", "/v1/webhooks/halo/"+id, strings.NewReader(body))
	r.SetBasicAuth(id, demoSecret)
	w := httptest.NewRecorder()
	b.edge.ServeHTTP(w, r)
	return w.Code
}

func TestTheMetricsAreThoseThatWereAgreed(t *testing.T) {
	now := time.Now()
	b := newBench(t, ingest.Config{RateLimit: 1, Now: func() time.Time { return now }})
	if code := b.deliver(wellFormed); code != 200 {
		t.Fatalf("answered %d", code)
	}
	for _, want := range []int{200, 429} {
		if code := b.deliver(`{"test":true}`); code != want {
			t.Fatalf("answered %d, want %d", code, want)
		}
	}
	stage := metrictest.Values{"ingest"}
	metrictest.Hold(t, b.reg, map[string]metrictest.Family{
		"halo_ingest_deliveries_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
			"result": {"accepted", "test", "malformed", "unauthorized", "too_large", "rate_limited", "unavailable", "not_found"},
		}},
		"halo_ingest_events_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
			"kind": {"ticket_logged", "status_changed", "updated_by_agent", "updated_by_user", "refused"},
		}},
		"halo_ingest_ack_seconds":                     {Type: metrictest.Histogram},
		"halo_ingest_body_bytes":                      {Type: metrictest.Histogram},
		"halo_ingest_last_test_timestamp_seconds":     {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"tenant": nil}},
		"halo_ingest_throttled_total":                 {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"tenant": nil}},
		"halo_ingest_last_delivery_timestamp_seconds": {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"tenant": nil}},
		"halo_freshness_seconds":                      {Type: metrictest.Histogram, Labels: map[string]metrictest.Values{"stage": stage}},
		"halo_records_in_total":                       {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"stage": stage}},
		"halo_records_out_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
			"stage": stage, "fate": {"out", "skipped", "dead", "erased", "expired"},
		}},
	})
}

func TestTheEdgeKeepsBooksAndTheTimeOfTheLastDelivery(t *testing.T) {
	at := time.Date(2026, 10, 2, 14, 3, 28, 0, time.UTC)
	b := newBench(t, ingest.Config{Now: func() time.Time { return at }})
	last := func() float64 {
		return metrictest.Series(t, b.reg, "halo_ingest_last_delivery_timestamp_seconds", "demo")
	}
	b.deliver(`[` + wellFormed + `,` + strings.Replace(wellFormed, "e1", "e2", 1) + `,{"nothing":"known"}]`)
	if got, want := last(), float64(at.Unix()); got != want {
		t.Errorf("last delivery at %v, want %v", got, want)
	}
	arrived := last()

	at = at.Add(time.Hour)
	b.deliver(`not JSON`)
	b.log.append = func(context.Context) error { return ingest.ErrUnavailable }
	if code := b.deliver(wellFormed); code != 503 {
		t.Fatalf("answered %d", code)
	}
	if last() != arrived {
		t.Error("a delivery that was not accepted counts as the last")
	}
	fate := func(fate string) float64 {
		return metrictest.Series(t, b.reg, "halo_records_out_total", fate, "ingest")
	}
	in := metrictest.Series(t, b.reg, "halo_records_in_total", "ingest")
	if in != 3 || fate("out") != 2 || fate("skipped") != 1 || fate("dead") != 0 {
		t.Errorf("in %v = out %v + skipped %v + dead %v; want 3 = 2 + 1 + 0", in, fate("out"), fate("skipped"), fate("dead"))
	}
}
