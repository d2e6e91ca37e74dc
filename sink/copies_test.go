package sink_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
)

func TestTheSinkSaysHowManyReplicasStandBehindAnInsert(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		answers := make(chan clickhouse.Copies, 1)
		asked := 0
		p := w.start(kept, func(s *setting) {
			s.Copies = func(context.Context) (clickhouse.Copies, error) {
				asked++
				select {
				case c := <-answers:
					answers <- c
					return c, nil
				default:
					return clickhouse.Copies{}, errors.New("away")
				}
			}
		})
		is := func(when string, all, active float64) {
			t.Helper()
			got := [2]float64{metrictest.Series(t, p.Registry, "halo_sink_replicas", "all"), metrictest.Series(t, p.Registry, "halo_sink_replicas", "active")}
			if got != [2]float64{all, active} {
				t.Errorf("%s: %v, want %v and %v", when, got, all, active)
			}
		}
		time.Sleep(after)
		if families, err := p.Registry.Gather(); err != nil || slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "halo_sink_replicas" }) {
			t.Errorf("nobody answers, and there is a figure; %v", err)
		}
		answers <- clickhouse.Copies{Total: 3, Active: 3}
		time.Sleep(6 * time.Second)
		is("an answer at last", 3, 3)
		<-answers
		answers <- clickhouse.Copies{Total: 3, Active: 2, Missing: []string{"b"}}
		before := asked
		time.Sleep(10 * time.Minute)
		is("one is away", 3, 2)
		if n := asked - before; n != 10 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		log := p.log.String()
		for what, times := range map[string]int{"replicas=3 active=3": 1, "replicas=3 active=2 missing=b": 1, "is not known": 1} {
			if n := strings.Count(log, what); n != times {
				t.Errorf("the log says %d times %q, want %d:\n%s", n, what, times, log)
			}
		}
	})
}
