package daemon

import (
	"github.com/prometheus/client_golang/prometheus"
)

// readiness shows in a metric what /readyz says in words.
type readiness struct {
	health *health
	desc   *prometheus.Desc
}

func newReadiness(h *health) *readiness {
	return &readiness{health: h, desc: prometheus.NewDesc("halo_component_ready",
		"1 while the component does its work, else 0; /readyz says why not. "+
			"A component that is not ready loses nothing: it waits, catches up, or is on standby, as all but one connect are.",
		[]string{"component"}, nil)}
}

// Describe is for the registry.
func (r *readiness) Describe(ch chan<- *prometheus.Desc) { ch <- r.desc }

// Collect is for the registry.
func (r *readiness) Collect(ch chan<- prometheus.Metric) {
	r.health.mu.Lock()
	components, up := r.health.components, r.health.up
	r.health.mu.Unlock()
	for _, c := range components {
		if c.Ready == nil {
			continue
		}
		v := 0.0
		if up && c.Ready() == nil {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, v, c.Name)
	}
}
