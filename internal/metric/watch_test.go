package metric_test

import (
	"errors"
	"math"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
)

func TestAPromiseIsWatchedFromTheStart(t *testing.T) {
	reg := prometheus.NewRegistry()
	counters := metric.Breaches(reg, "sink", metric.Promises()...)
	counters[metric.Kept].Add(2)
	metrictest.Hold(t, reg, map[string]metrictest.Family{
		"halo_promise_breaches_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
			"stage": {"sink"}, "promise": {"kept", "content_free", "repeatable", "as_of_arrival", "apart"},
		}},
	})
	if n := metrictest.Series(t, reg, "halo_promise_breaches_total", "kept", "sink"); n != 2 {
		t.Errorf("%v breaches, want 2", n)
	}
}

func TestADiskThatCannotBeAskedIsNotAnEmptyOne(t *testing.T) {
	reg := prometheus.NewRegistry()
	var failed error
	metric.Disk(reg, "kafka", func() (uint64, uint64, error) { return 5 << 30, 1 << 30, failed })
	metrictest.Hold(t, reg, map[string]metrictest.Family{
		"halo_disk_free_bytes":  {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"store": {"kafka"}}},
		"halo_disk_floor_bytes": {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"store": {"kafka"}}},
	})
	if v := metrictest.Series(t, reg, "halo_disk_free_bytes", "kafka"); v != 5<<30 {
		t.Errorf("%v bytes free", v)
	}
	failed = errors.New("no such directory")
	if v := metrictest.Series(t, reg, "halo_disk_free_bytes", "kafka"); !math.IsNaN(v) {
		t.Errorf("%v bytes free of a disk that cannot be asked", v)
	}
}
