package api_test

import (
	"strconv"
	"testing"

	"github.com/worksights/halo-connector/internal/metric/metrictest"
)

// counted is how often a route has answered with the status.
func (w *world) counted(route string, code int) (n float64) {
	w.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "halo_connect_api_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["route"] == route && labels["code"] == strconv.Itoa(code) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestRequestsAreCountedByRouteAndStatus(t *testing.T) {
	w := newWorld(t)
	w.want(200, "GET", at("/agents"), "", nil)
	w.refused(404, "not_found", "GET", "/v1/tenants/acme/anything", "")
	w.refused(404, "not_found", "GET", "//v1/tenants", "")
	w.refused(405, "method_not_allowed", "PUT", at("/agents"), "")
	for route, want := range map[string]map[int]float64{
		"GET /v1/tenants/{tenant}/agents": {200: 1, 404: 0},
		"other":                           {404: 2, 405: 1},
	} {
		for code, n := range want {
			if got := w.counted(route, code); got != n {
				t.Errorf("%s %d: counted %v, want %v", route, code, got, n)
			}
		}
	}
	metrictest.Hold(t, w.registry, map[string]metrictest.Family{
		"halo_connect_api_requests_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"route": {}, "code": {}}},
		"halo_connect_api_seconds":        {Type: metrictest.Histogram},
		"halo_connect_operations_total":   {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"operation": {}, "result": {}}},
	})
}
