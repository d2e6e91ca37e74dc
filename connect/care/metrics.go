package care

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/metric"
)

type metrics struct {
	checks  *prometheus.CounterVec
	repairs *prometheus.CounterVec
}

// newMetrics registers what is counted, and a picture of the connections that is
// taken when it is asked for.
func newMetrics(c *Care, reg prometheus.Registerer) *metrics {
	metric.Register(reg, prometheus.Collector(&picture{
		c: c,
		connections: prometheus.NewDesc("halo_connect_connections",
			"Connections by state. Only the active instance knows them: take the maximum over all.", []string{"state"}, nil),
		state: prometheus.NewDesc("halo_connect_state",
			"1 for the state in which the tenant's connection is, else 0. Only of tenants that are connected or sealed.", []string{"tenant", "state"}, nil),
		webhook: prometheus.NewDesc("halo_connect_webhook_active",
			"1 where the tenant's webhook, as last seen, delivers to us, else 0.", []string{"tenant"}, nil),
		checked: prometheus.NewDesc("halo_connect_checked_timestamp_seconds",
			"When the tenant's webhook was last looked at successfully, in Unix time. Falls behind while Halo cannot be asked. "+
				"After a start or take-over that of the last look that found a change, until the next: take the maximum over time.", []string{"tenant"}, nil),
		silent: prometheus.NewDesc("halo_connect_silent",
			"1 where nothing has arrived from the tenant for half again as long as at any time in the two weeks before, nights and weekends included, else 0. "+
				"0 also for a connection that is too young to have a rhythm. May be a public holiday.", []string{"tenant"}, nil),
		sealed: prometheus.NewDesc("halo_connect_sealed_tenants",
			"Tenants whose vault record is missing or does not open with the keyset at hand. Nothing of them is changed. Only the active instance knows.", nil, nil),
	}))
	m := &metrics{
		checks: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_connect_health_checks_total",
			Help: "Looks at connections, by the cause of failure, ok where Halo could be asked: what it said about the webhook is in the connection's state.",
		}, []string{"cause"})),
		repairs: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_connect_repairs_total",
			Help: "What was put right in Halo without anybody asking: webhook, switched on again after Halo had switched it off; webhook_url, an address that Halo had written in its own way.",
		}, []string{"what"})),
	}
	// There before the first, so that a rate over them sees that one.
	m.checks.WithLabelValues("ok")
	m.repairs.WithLabelValues("webhook")
	m.repairs.WithLabelValues("webhook_url")
	return m
}

func (m *metrics) check(failure *ledger.Failure) {
	cause := "ok"
	if failure != nil {
		cause = failure.Cause
	}
	m.checks.WithLabelValues(cause).Inc()
}

// picture is what a scrape sees of the tenants.
type picture struct {
	c                                                    *Care
	connections, state, webhook, checked, silent, sealed *prometheus.Desc
}

func (p *picture) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.connections, p.state, p.webhook, p.checked, p.silent, p.sealed} {
		ch <- d
	}
}

func (p *picture) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if p.c.cfg.Ledger.Ready() != nil {
		return
	}
	all, err := p.c.cfg.Ledger.All()
	if err != nil {
		return
	}
	count := make(map[string]int)
	for _, s := range all {
		if !s.Known() {
			continue
		}
		is := p.c.judge(s).state
		count[is]++
		if is == control.Disconnected {
			continue
		}
		for _, state := range control.States() {
			gauge(p.state, indicator(state == is), string(s.Tenant), state)
		}
		if !s.Connected() {
			continue
		}
		gauge(p.webhook, indicator(active(s.Findings)), string(s.Tenant))
		gauge(p.silent, indicator(!s.Findings.SilentSince.IsZero()), string(s.Tenant))
		if at := s.Findings.At; !at.IsZero() {
			gauge(p.checked, float64(at.Unix()), string(s.Tenant))
		}
	}
	for _, state := range control.States() {
		gauge(p.connections, float64(count[state]), state)
	}
	gauge(p.sealed, float64(count[control.Sealed]))
}

func indicator(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
