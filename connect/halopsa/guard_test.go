package halopsa

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestGuardPermitsPublicAddressesOnly(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8":              true,
		"172.15.255.255":       true,
		"172.32.0.1":           true,
		"100.63.255.255":       true,
		"2606:4700:4700::1111": true,
		"::ffff:8.8.8.8":       true, // IPv4 in IPv6 clothes is judged as IPv4
		"64:ff9b::808:808":     true, // so is NAT64

		"127.0.0.1":              false,
		"127.255.255.254":        false,
		"0.0.0.0":                false,
		"10.0.0.1":               false,
		"172.16.0.1":             false,
		"172.31.255.255":         false,
		"192.168.1.1":            false,
		"100.64.0.1":             false, // carrier NAT
		"100.100.100.200":        false, // a metadata service
		"169.254.169.254":        false, // most metadata services
		"168.63.129.16":          false, // a platform service
		"192.0.0.192":            false, // a metadata service
		"198.18.0.1":             false,
		"203.0.113.7":            false,
		"224.0.0.1":              false,
		"255.255.255.255":        false,
		"::":                     false,
		"::1":                    false,
		"::7f00:1":               false, // IPv4-compatible loopback
		"::ffff:127.0.0.1":       false,
		"::ffff:169.254.169.254": false,
		"::ffff:10.0.0.1":        false,
		"64:ff9b::7f00:1":        false,
		"64:ff9b::a9fe:a9fe":     false,
		"64:ff9b:1::a9fe:a9fe":   false, // NAT64 of a network's own
		"2002:7f00:1::":          false, // 6to4 of 127.0.0.1
		"2002:808:808::1":        false,
		"2001:0:4136:e378::1":    false, // Teredo
		"fe80::1":                false,
		"fe80::1%eth0":           false,
		"fc00::1":                false,
		"fd00:ec2::254":          false, // a metadata service
		"fec0::1":                false,
		"ff02::1":                false,
		"2001:db8::1":            false,
	} {
		if got := newGuard(nil).permits(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: permitted is %v, want %v", address, got, want)
		}
	}
	if newGuard(nil).permits(netip.Addr{}) {
		t.Error("no address at all is permitted")
	}
}

func TestGuardPermitsWhatConfigurationNamesAndNoMore(t *testing.T) {
	g := newGuard([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/32")})
	for address, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::a01:203": true, "fd12::5": true, "8.8.8.8": true,
		"10.2.0.1": false, "127.0.0.1": false, "fd13::5": false, "169.254.169.254": false,
	} {
		if got := g.permits(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: permitted is %v, want %v", address, got, want)
		}
	}
	// Over plain HTTP a public address is as little allowed as a private one.
	if g.allowed(netip.MustParseAddr("8.8.8.8")) || !g.allowed(netip.MustParseAddr("10.1.2.3")) {
		t.Error("plain HTTP is not held to the configured nets")
	}
}

func TestNoProxyOfTheEnvironmentDialsForUs(t *testing.T) {
	c, err := New(Config{TenantURL: "https://acme.halopsa.com", ClientID: "i", ClientSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	tr := c.http.Transport.(*transport)
	for name, rt := range map[string]*http.Transport{"https": tr.secure, "http": tr.plain} {
		if rt.Proxy != nil {
			t.Errorf("the transport of %s asks for a proxy", name)
		}
	}
}
