package clickhouse

import (
	"net/http"
	"testing"
)

// HTTP_PROXY is not for what we send a password to. (The standard library reads
// it once in a process, so that a test cannot set it.)
func TestTheEnvironmentsProxyIsNotTold(t *testing.T) {
	for _, proxied := range []bool{false, true} {
		own := &http.Transport{Proxy: http.ProxyFromEnvironment}
		if _, err := transport(own, proxied); err != nil {
			t.Fatal(err)
		}
		if got := own.Proxy != nil; got != proxied {
			t.Errorf("proxied %v, want %v", got, proxied)
		}
	}
}
