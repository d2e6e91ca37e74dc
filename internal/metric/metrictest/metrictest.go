// Package metrictest holds a stage's metrics to what was agreed about them:
// names, types, labels, and the closed sets that the labels' values are from.
// Others alert on these names; a renamed metric breaks an alert that nobody
// hears break.
package metrictest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Family is what was agreed about one metric.
type Family struct {
	Type   dto.MetricType
	Labels map[string]Values // nil: none
}

// Values is the set that a label's values are from. All of them are there from
// the start; an empty set is open.
type Values []string

// Shorthands for the types.
const (
	Counter   = dto.MetricType_COUNTER
	Gauge     = dto.MetricType_GAUGE
	Histogram = dto.MetricType_HISTOGRAM
)

// leastHelp is shorter than any Help that names the figure, its unit, and what
// would mislead its reader.
const leastHelp = 70

// Hold fails the test where what is registered under halo_, the Kafka client's
// own metrics aside, is not exactly want.
func Hold(t testing.TB, reg prometheus.Gatherer, want map[string]Family) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	missing := maps.Clone(want)
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "halo_") || strings.HasPrefix(name, "halo_kafka_") {
			continue
		}
		agreed, ok := want[name]
		if !ok {
			t.Errorf("%s is there and was not agreed", name)
			continue
		}
		delete(missing, name)
		if f.GetType() != agreed.Type {
			t.Errorf("%s is a %v, want a %v", name, f.GetType(), agreed.Type)
		}
		if help := f.GetHelp(); len(help) < leastHelp || !strings.HasSuffix(help, ".") {
			t.Errorf("%s: its help does not say what would mislead a reader: %q", name, help)
		}
		holdLabels(t, f, agreed.Labels)
		if agreed.Type == Histogram {
			holdHistogram(t, f)
		}
	}
	for name := range missing {
		t.Errorf("%s is not there", name)
	}
}

func holdLabels(t testing.TB, f *dto.MetricFamily, want map[string]Values) {
	t.Helper()
	seen := make(map[string]map[string]bool)
	for _, m := range f.GetMetric() {
		var names []string
		for _, l := range m.GetLabel() {
			names = append(names, l.GetName())
			if seen[l.GetName()] == nil {
				seen[l.GetName()] = make(map[string]bool)
			}
			seen[l.GetName()][l.GetValue()] = true
			if set := want[l.GetName()]; len(set) > 0 && !slices.Contains(set, l.GetValue()) {
				t.Errorf("%s: %s=%q is outside the closed set %v", f.GetName(), l.GetName(), l.GetValue(), set)
			}
		}
		if agreed := slices.Sorted(maps.Keys(want)); !slices.Equal(names, agreed) {
			t.Errorf("%s has the labels %v, want %v", f.GetName(), names, agreed)
		}
	}
	for label, set := range want {
		for _, value := range set {
			if !seen[label][value] {
				t.Errorf("%s: %s=%q is not there before it is first counted", f.GetName(), label, value)
			}
		}
	}
}

// holdHistogram: both forms, and no tenant, whose number would multiply the
// buckets.
func holdHistogram(t testing.TB, f *dto.MetricFamily) {
	t.Helper()
	for _, m := range f.GetMetric() {
		h := m.GetHistogram()
		if len(h.GetBucket()) == 0 {
			t.Errorf("%s has no classic buckets", f.GetName())
		}
		if h.Schema == nil {
			t.Errorf("%s has no native buckets", f.GetName())
		}
		for _, l := range m.GetLabel() {
			if l.GetName() == "tenant" {
				t.Errorf("%s has a series for each tenant", f.GetName())
			}
		}
	}
}

// Value is the value of the one series that c has.
func Value(t testing.TB, c prometheus.Collector) float64 {
	t.Helper()
	ch := make(chan prometheus.Metric, 64)
	c.Collect(ch)
	if len(ch) != 1 {
		t.Fatalf("%d series, want one", len(ch))
	}
	var m dto.Metric
	if err := (<-ch).Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

// Series is the value of the one series of the metric name whose labels, in
// the order of their names, begin with values. The count of a histogram is its
// value.
func Series(t testing.TB, reg prometheus.Gatherer, name string, values ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var found []float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetValue())
			}
			if len(have) >= len(values) && slices.Equal(have[:len(values)], values) {
				found = append(found, m.GetCounter().GetValue()+m.GetGauge().GetValue()+float64(m.GetHistogram().GetSampleCount()))
			}
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s%v has %d series, want one", name, values, len(found))
	}
	return found[0]
}
