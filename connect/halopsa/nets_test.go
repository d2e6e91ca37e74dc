package halopsa_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/schemas"
)

func TestANetworkHoldsForItsTenantOnly(t *testing.T) {
	for _, test := range []struct {
		text   string
		tenant schemas.Tenant
		want   string
	}{
		{"", "acme", "[]"},
		{"acme=10.1.0.0/16,10.9.0.0/16", "acme", "[10.1.0.0/16 10.9.0.0/16]"},
		{"acme=10.1.0.0/16,10.9.0.0/16", "other", "[10.9.0.0/16]"},
		{"acme=10.1.0.0/16", "acme2", "[]"},
		{" acme=10.1.2.3 , fd00::/8 ", "acme", "[10.1.2.3/32 fd00::/8]"},
		{"a=10.1.0.0/16,a=10.2.0.0/16,b=10.3.0.0/16", "a", "[10.1.0.0/16 10.2.0.0/16]"},
		{"::1", "x", "[::1/128]"},
	} {
		nets, err := halopsa.ParseNets(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := fmt.Sprint(nets.Of(test.tenant)); got != test.want {
			t.Errorf("%q for %s: %s, want %s", test.text, test.tenant, got, test.want)
		}
		if again, err := halopsa.ParseNets(nets.String()); err != nil || again.String() != nets.String() {
			t.Errorf("%q is written as %q, which reads as %q, %v", test.text, nets, again, err)
		}
	}
}

func TestWhatIsNoNetworkIsRefused(t *testing.T) {
	for _, text := range []string{
		",", "10.1.0.0/16,", "acme=", "=10.1.0.0/16", "Acme=10.1.0.0/16", "acme =10.1.0.0/16", "acme=10.1.0.0/33", "10.1.0.0/16:443", "acme==10.1.0.0/16",
		"10.1.0.0-10.2.0.0", "localhost", "acme", "*=10.1.0.0/16", "fe80::1%eth0", "::ffff:10.0.0.0/104", "10.1.0.0/16;10.2.0.0/16",
	} {
		if nets, err := halopsa.ParseNets(text); err == nil {
			t.Errorf("%q passes as %v", text, nets)
		}
	}
}

func TestANetworkForAllIsAddedWithoutChangingTheRest(t *testing.T) {
	nets, err := halopsa.ParseNets("acme=10.1.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	more := nets.With(netip.MustParsePrefix("127.0.0.1/32"))
	if nets.Contains(netip.MustParseAddr("127.0.0.1")) || !more.Contains(netip.MustParseAddr("127.0.0.1")) || more.Contains(netip.MustParseAddr("10.1.0.1")) {
		t.Errorf("%v, and with one more %v", nets, more)
	}
}
