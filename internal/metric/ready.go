package metric

import "github.com/prometheus/client_golang/prometheus"

// Ready shows which components of a process are ready. ask is called at each
// scrape and reports every component.
func Ready(reg prometheus.Registerer, ask func(report func(component string, ready bool))) {
	Register(reg, &readiness{ask: ask, desc: prometheus.NewDesc("halo_component_ready",
		"1 while the component does its work, else 0; /readyz says why not. "+
			"A component that is not ready loses nothing: it waits, catches up, or is on standby, as all but one connect are.",
		[]string{"component"}, nil)})
}

type readiness struct {
	ask  func(report func(component string, ready bool))
	desc *prometheus.Desc
}

// Describe is for the registry.
func (r *readiness) Describe(ch chan<- *prometheus.Desc) { ch <- r.desc }

// Collect is for the registry.
func (r *readiness) Collect(ch chan<- prometheus.Metric) {
	r.ask(func(component string, ready bool) {
		v := 0.0
		if ready {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, v, component)
	})
}

// Anew shows how often the process has begun anew.
func Anew(reg prometheus.Registerer, times int) {
	Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "halo_begun_anew_total",
		Help: "Times that the process has built its components anew without ending, since a topic was deleted and made again or lost records. " +
			"Its other counters begin at 0 each time.",
	})).Add(float64(times))
}
