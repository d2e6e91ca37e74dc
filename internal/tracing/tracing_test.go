package tracing_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/worksights/halo-connector/internal/tracing"
)

// The standard library reads the environment's proxy once in a process: this is
// the only test of the package, so that it can set it.
func TestTheEnvironmentsProxyCarriesNoTrace(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	const collector = "http://collector.invalid:4318"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, collector, nil)
	if err != nil {
		t.Fatal(err)
	}
	if by, err := http.ProxyFromEnvironment(req); err != nil || by == nil {
		t.Fatalf("proxy %v, %v: this proves nothing", by, err)
	}
	traces, err := tracing.New(t.Context(), tracing.Config{Endpoint: collector, Ratio: 1, Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, span := traces.Tracer().Start(t.Context(), "delivery")
	span.End()
	if err := traces.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
}
