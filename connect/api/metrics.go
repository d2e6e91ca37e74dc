package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/metric"
)

type metrics struct {
	requests   *prometheus.CounterVec
	seconds    prometheus.Histogram
	operations *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, routes []*route) *metrics {
	m := &metrics{
		requests: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_connect_api_requests_total",
			Help: "Requests of the control API by route and status, refused ones too; other is what no route answers. " +
				"What a standby passes on is counted where it is answered.",
		}, []string{"route", "code"})),
		seconds: metric.Register(reg, prometheus.NewHistogram(metric.Histogram("halo_connect_api_seconds",
			"From a request's header to its answer, all routes together: those that ask Halo take up to a minute.",
			// A list from memory takes a millisecond; Halo is given a minute.
			[]float64{.001, .005, .01, .025, .05, .1, .2, .5, 1, 2, 5, 15, 30, 60}))),
		operations: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "halo_connect_operations_total",
			Help: "Changes asked for through the API, by what was asked and how it ended: ok or the code of the error, which may be the caller's fault, Halo's or ours.",
		}, []string{"operation", "result"})),
	}
	for _, rt := range routes { // there before the first, so that a rate over it sees that one
		m.requests.WithLabelValues(rt.label(), strconv.Itoa(rt.success()))
		if rt.change != "" {
			m.operations.WithLabelValues(rt.change, "ok")
		}
	}
	return m
}

// answered counts a request. The mux has written into it which pattern it fits.
func (m *metrics) answered(r *http.Request, status int, took time.Duration) {
	route := r.Pattern
	if !strings.Contains(route, " ") { // those with a method are routes
		route = "other"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.Observe(took.Seconds())
}
