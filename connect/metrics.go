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
			"When the tenant's webhook was last looked at successfully, in Unix time.", []string{"tenant"}, nil),
	}))
	return &metrics{
		checks: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_connect_health_checks_total",
			Help: "Looks at connections by the cause of failure, ok where Halo could be asked: what it said about the webhook is in the connection's state.",
		}, []string{"cause"})),
		operations: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_connect_operations_total",
			Help: "Changes asked for through the API, by what was asked and how it ended: ok or the code of the error.",
		}, []string{"operation", "result"})),
	}
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
	c                                     *Connect
	active, connections, webhook, checked *prometheus.Desc
}

func (p *picture) Describe(ch chan<- *prometheus.Desc) {
	ch <- p.active
	ch <- p.connections
	ch <- p.webhook
	ch <- p.checked
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
	count := make(map[string]int)
	for _, tn := range t.all() {
		snap := tn.seen.Load()
		if !snap.known() {
			continue
		}
		state, _ := judge(snap.state)
		count[state]++
		if !snap.connected() {
			continue
		}
		active := 0.0
		if snap.Findings.active() {
			active = 1
		}
		gauge(p.webhook, active, string(tn.id))
		if at := snap.Findings.At; !at.IsZero() {
			gauge(p.checked, float64(at.Unix()), string(tn.id))
		}
	}
	for _, state := range States() {
		gauge(p.connections, float64(count[state]), state)
	}
}
