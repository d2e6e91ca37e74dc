package metric_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/metric"
)

func TestTwoStagesOnOneRegistryShareACollector(t *testing.T) {
	reg := prometheus.NewRegistry()
	metric.Freshness(reg).WithLabelValues("ingest").Observe(1)
	metric.Freshness(reg).WithLabelValues("sink").Observe(1)
	metric.Dead(reg).WithLabelValues("sink").Inc()
	metric.Dead(reg).WithLabelValues("sink").Inc()
	metric.Lag(reg).WithLabelValues("halo.events").Set(3)

	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, f := range families {
		found[f.GetName()] = len(f.GetMetric())
		if f.GetName() == "halo_dead_records_total" {
			if v := f.GetMetric()[0].GetCounter().GetValue(); v != 2 {
				t.Errorf("dead letters counted through two handles = %v, want 2", v)
			}
		}
	}
	for name, series := range map[string]int{"halo_freshness_seconds": 2, "halo_dead_records_total": 1, "halo_consumer_lag_records": 1} {
		if found[name] != series {
			t.Errorf("%s has %d series, want %d", name, found[name], series)
		}
	}
}

func TestFreshnessIsClassicAndNative(t *testing.T) {
	reg := prometheus.NewRegistry()
	metric.Freshness(reg).WithLabelValues("sink").Observe(1.2)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	h := families[0].GetMetric()[0].GetHistogram()
	if len(h.GetBucket()) == 0 {
		t.Error("no classic buckets: rules that name a bucket see nothing")
	}
	if h.Schema == nil || len(h.GetPositiveSpan()) == 0 {
		t.Error("no native buckets")
	}
}

func TestANameWithOtherLabelsIsAMistakeInTheCode(t *testing.T) {
	reg := prometheus.NewRegistry()
	metric.Lag(reg)
	defer func() {
		if recover() == nil {
			t.Error("the same name with another label was accepted")
		}
	}()
	metric.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "halo_consumer_lag_records", Help: "x"}, []string{"partition"}))
}

func TestAProcessSaysWhichBuildItIsAndMayBeStartedAgain(t *testing.T) {
	reg := prometheus.NewRegistry()
	metric.Process(reg, "local")
	metric.Process(reg, "local")
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "halo_build_info" {
			return
		}
	}
	t.Error("no halo_build_info")
}

func TestWithoutARegistryMetricsStillCount(t *testing.T) {
	metric.Dead(nil).WithLabelValues("sink").Inc()
}
