//go:build synctests

package sink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

func TestTheMetricsAreThoseThatWereAgreed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		stage, topics := metrictest.Values{"sink"}, metrictest.Values{"halo.activities", "halo.skipped"}
		p := w.start(kept)
		time.Sleep(after) // until the lag was looked at
		metrictest.Hold(t, p.Registry, map[string]metrictest.Family{
			"halo_sink_rows_total":      {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"table": {"outcomes_log"}}},
			"halo_sink_append_seconds":  {Type: metrictest.Histogram},
			"halo_sink_failures_total":  {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"step": {"append", "quarantine", "commit"}}},
			"halo_sink_repeats_total":   {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"verdict": {"same", "resent", "changed", "moved"}}},
			"halo_freshness_seconds":    {Type: metrictest.Histogram, Labels: map[string]metrictest.Values{"stage": stage}},
			"halo_consumer_lag_records": {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"topic": topics}},
			"halo_consumer_lag_seconds": {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"topic": topics}},
			"halo_dead_records_total":   {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"stage": stage}},
			"halo_records_in_total":     {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"stage": stage}},
			"halo_records_out_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
				"stage": stage, "fate": {"out", "skipped", "dead", "erased", "expired"},
			}},
			"halo_table_entries":           {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"topic": {"halo.erasures"}}},
			"halo_table_bad_records_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"topic": {"halo.erasures"}}},
			"halo_table_bad_keys":          {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"topic": {"halo.erasures"}}},
			"halo_promise_breaches_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
				"stage": stage, "promise": {"kept", "repeatable", "apart"},
			}},
		})
	})
}

func TestTheBooksBalanceWithSkipsAndDeadLetters(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := w.start(kept)
		w.produce(0, 100) // 20 of them skips
		time.Sleep(after)
		w.write([]*kgo.Record{kafka.Record(w.topics.Activities, "acme", schemas.ActivitySchema, []byte(`{`))}, nil)
		w.produce(100, 105)
		time.Sleep(after)
		w.settled()

		get := func(fate string) float64 {
			return metrictest.Series(t, p.Registry, "halo_records_out_total", fate, "sink")
		}
		in, out, skipped, dead := metrictest.Series(t, p.Registry, "halo_records_in_total", "sink"), get("out"), get("skipped"), get("dead")
		if in != 106 || out != 84 || skipped != 21 || dead != 1 {
			t.Errorf("in %v = out %v + skipped %v + dead %v; want 106 = 84 + 21 + 1", in, out, skipped, dead)
		}
	})
}

func TestTheLagInSecondsGrowsWhileTheStoreIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var down atomic.Bool
		down.Store(true)
		p := w.start(func(ctx context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			if down.Load() {
				<-ctx.Done() // until the attempt is given up, after a minute
				return errors.New("away")
			}
			keep(rows)
			return nil
		})
		time.Sleep(after)
		lag := func() float64 {
			return metrictest.Series(t, p.Registry, "halo_consumer_lag_seconds", "halo.activities")
		}
		if lag() != 0 {
			t.Errorf("%v s with nothing to do", lag())
		}
		w.produce(0, 4)
		time.Sleep(30 * time.Second)
		if s := lag(); s < 29 || s > 31 {
			t.Errorf("%v s after half a minute in the first attempt", s)
		}
		time.Sleep(10*time.Minute - 30*time.Second)
		if s := lag(); s < 595 || s > 605 {
			t.Errorf("%v s after ten minutes of outage", s)
		}
		if s := metrictest.Series(t, p.Registry, "halo_consumer_lag_seconds", "halo.skipped"); s != 0 {
			t.Errorf("%v s on a topic without records", s)
		}
		// One poll took the first batch; what came after it was never polled.
		records := func() float64 {
			return metrictest.Series(t, p.Registry, "halo_consumer_lag_records", "halo.activities")
		}
		w.produce(4, 300)
		time.Sleep(time.Minute)
		if n := records(); n != 240 {
			t.Errorf("%v records of lag, want the 4/5 of 300 that are activities", n)
		}
		// Skips wait too by now, and none is in hand: how long is not known.
		families, err := p.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "halo_consumer_lag_seconds" && len(f.GetMetric()) != 1 {
				t.Errorf("a lag in seconds where it cannot be known: %v", f.GetMetric())
			}
		}
		down.Store(false)
		time.Sleep(2 * after) // the attempt under way is given up first, and a pause follows it
		w.settled()
		if lag() != 0 {
			t.Errorf("%v s when all is appended", lag())
		}
	})
}

func TestBrokenPromisesAreCountedAndTheLogSaysWhere(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := w.start(kept)
		breaches := func(promise string) float64 {
			return metrictest.Series(t, p.Registry, "halo_promise_breaches_total", promise, "sink")
		}
		w.produce(0, 50)
		time.Sleep(after)
		w.produce(0, 50) // as a processor does after a crash
		time.Sleep(after)
		for _, promise := range []string{"kept", "repeatable", "apart"} {
			if n := breaches(promise); n != 0 {
				t.Errorf("%v breaches of %s where there are none", n, promise)
			}
		}
		if n := metrictest.Series(t, p.Registry, "halo_sink_repeats_total", "same"); n != 50 {
			t.Errorf("%v repeats, want 50", n)
		}

		changed, foreign := activity(1), activity(1000)
		changed.User = "somebody-else"
		wrong := []*kgo.Record{
			kafka.Record(w.topics.Activities, string(changed.Tenant), schemas.ActivitySchema, changed.AppendJSON(nil)),
			kafka.Record(w.topics.Activities, "words of a customer", schemas.ActivitySchema, foreign.AppendJSON(nil)),
		}
		w.write(wrong, nil)
		time.Sleep(after)
		if breaches("repeatable") != 1 || breaches("apart") != 1 {
			t.Errorf("%v breaches of repeatable, %v of apart, want one each", breaches("repeatable"), breaches("apart"))
		}
		for i, want := range []string{
			"promise=repeatable topic=halo.activities partition=%d offset=%d unsaid=0 tenant=tenant-1 verdict=changed",
			"promise=apart topic=halo.activities partition=%d offset=%d unsaid=0 tenant=tenant-14 key=\"(no tenant)\"",
		} {
			if want = fmt.Sprintf(want, wrong[i].Partition, wrong[i].Offset); !strings.Contains(p.log.String(), want) {
				t.Errorf("the log does not say %s", want)
			}
		}
		if strings.Contains(p.log.String(), "words of") || strings.Contains(p.log.String(), "somebody-else") || t.Failed() {
			t.Errorf("logged:\n%s", p.log.String())
		}
	})
}
