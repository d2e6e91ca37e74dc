package connect

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/metric"
)

// metrics are counted where things happen; what is a picture of the moment is
// read from the term when the registry is scraped.
type metrics struct {
	checks     *prometheus.CounterVec
	operations *prometheus.CounterVec
	breaches   map[metric.Promise]prometheus.Counter
}

func newMetrics(c *Connect, reg prometheus.Registerer) *metrics {
	metric.Register(reg, prometheus.Collector(&picture{
		c: c,
		active: prometheus.NewDesc("halo_connect_active",
			"1 while this instance owns the vault and acts, 0 on standby. The sum over all instances should be 1; it is 0 for some seconds during a take-over.", nil, nil),
		connections: prometheus.NewDesc("halo_connect_connections",
			"Connections by state, as of each one's last look at its Halo. Only the active instance shows them.", []string{"state"}, nil),
		webhook: prometheus.NewDesc("halo_connect_webhook_active",
			"1 where the tenant's webhook was there, switched on and pointing at us when it was last looked at, else 0. Says nothing about whether events arrive.", []string{"tenant"}, nil),
		checked: prometheus.NewDesc("halo_connect_checked_timestamp_seconds",
			"When the tenant's webhook was last looked at successfully, in Unix time. Falls behind while Halo cannot be asked. "+
				"After a start or take-over that of the last look that found a change, until the next: take the maximum over time.", []string{"tenant"}, nil),
		silent: prometheus.NewDesc("halo_connect_silent",
			"1 where nothing has arrived from the tenant for half again as long as at any time in the two weeks before, nights and weekends included, else 0. "+
				"0 also for a connection that is too young to have a rhythm. May be a public holiday.", []string{"tenant"}, nil),
		sealed: prometheus.NewDesc("halo_connect_sealed_tenants",
			"Tenants whose vault record does not open with the keyset at hand; they are left alone, and shown nowhere else. Only the active instance knows.", nil, nil),
	}))
	m := &metrics{
		breaches: metric.Breaches(reg, "connect", metric.AsOfArrival),
		checks: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_connect_health_checks_total",
			Help: "Looks at connections, by the cause of failure, ok where Halo could be asked: what it said about the webhook is in the connection's state.",
		}, []string{"cause"})),
		operations: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_connect_operations_total",
			Help: "Changes asked for through the API, by what was asked and how it ended: ok or the code of the error, which may be the caller's fault, Halo's or ours.",
		}, []string{"operation", "result"})),
	}
	m.checks.WithLabelValues("ok") // there before the first, so that a rate over it sees that one
	for _, rt := range routeTable() {
		if rt.change != "" {
			m.operations.WithLabelValues(rt.change, "ok")
		}
	}
	return m
}

func (m *metrics) check(f findings) {
	cause := "ok"
	if f.Failure != nil {
		cause = string(f.Failure.Cause)
	}
	m.checks.WithLabelValues(cause).Inc()
}

// picture is what a scrape sees of the term.
type picture struct {
	c                                                     *Connect
	active, connections, webhook, checked, silent, sealed *prometheus.Desc
}

func (p *picture) Describe(ch chan<- *prometheus.Desc) {
	ch <- p.active
	ch <- p.connections
	ch <- p.webhook
	ch <- p.checked
	ch <- p.silent
	ch <- p.sealed
}

func (p *picture) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	t, err := p.c.active()
	if err != nil {
		gauge(p.active, 0)
		return
	}
	gauge(p.active, 1)
	count, sealed := make(map[string]int), 0
	for _, tn := range t.all() {
		snap := tn.seen.Load()
		if snap.sealed != nil {
			sealed++
		}
		if !snap.known() {
			continue
		}
		state, _ := judge(snap.state)
		count[state]++
		if !snap.connected() {
			continue
		}
		gauge(p.webhook, indicator(snap.Findings.active()), string(tn.id))
		gauge(p.silent, indicator(!snap.Findings.SilentSince.IsZero()), string(tn.id))
		if at := snap.Findings.At; !at.IsZero() {
			gauge(p.checked, float64(at.Unix()), string(tn.id))
		}
	}
	for _, state := range States() {
		gauge(p.connections, float64(count[state]), state)
	}
	gauge(p.sealed, float64(sealed))
}

func indicator(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
