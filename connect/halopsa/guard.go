package halopsa

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// errForbidden is what a dial ends with that the guard stopped. It does not
// name the address: what a customer's host name resolves to inside our network
// is not for the customer to learn.
var errForbidden = errors.New("address is not allowed")

// A guard decides which resolved addresses may be dialled.
//
// It is asked by the dialer after the resolver has answered and before the
// socket connects, about the very address the socket will connect to. A check
// of the host name beforehand would be worth little: a name can resolve to a
// public address when it is checked and to a private one when it is dialled.
type guard struct {
	allow  []netip.Prefix
	refuse []netip.Prefix
}

func newGuard(allow []netip.Prefix) guard {
	return guard{allow: allow, refuse: specialPurpose()}
}

// allowed says whether configuration names ip.
func (g guard) allowed(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// permits says whether ip may be dialled over TLS: a public address, or one
// that configuration names.
func (g guard) permits(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	switch {
	case !ip.IsValid():
		return false
	case g.allowed(ip):
		return true
	case slices.ContainsFunc(g.refuse, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return false
	case ip.Is4():
		return true
	}
	// NAT64's well-known prefix is how a network without IPv4 reaches a public
	// IPv4 host, so the address inside decides.
	if nat64 := netip.MustParsePrefix("64:ff9b::/96"); nat64.Contains(ip) {
		b := ip.As16()
		return g.permits(netip.AddrFrom4([4]byte(b[12:])))
	}
	// Of IPv6 only 2000::/3 is handed out to hosts. This leaves out loopback,
	// unspecified, link-local, unique local (and with it the metadata service
	// fd00:ec2::254), site-local, multicast and IPv4-compatible addresses.
	return netip.MustParsePrefix("2000::/3").Contains(ip)
}

// dialer returns a dialer that connects only where ok says yes.
func (g guard) dialer(resolver *net.Resolver, ok func(netip.Addr) bool) *net.Dialer {
	return &net.Dialer{
		Timeout:  10 * time.Second,
		Resolver: resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !ok(at.Addr()) {
				return errForbidden
			}
			return nil
		},
	}
}

// specialPurpose lists the addresses inside the ranges of public ones at which
// no Halo of a customer can be, after IANA's two special-purpose registries.
func specialPurpose() []netip.Prefix {
	cidrs := []string{
		"0.0.0.0/8",        // this network; 0.0.0.0 connects to ourselves
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // carrier NAT; holds one cloud's metadata service
		"127.0.0.0/8",      // loopback
		"168.63.129.16/32", // one cloud's platform service, although a public address
		"169.254.0.0/16",   // link-local; 169.254.169.254 is the metadata service
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // protocol assignments; holds a metadata service too
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // 6to4 relays
		"192.168.0.0/16",   // private
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"224.0.0.0/4",      // multicast
		"240.0.0.0/4",      // reserved, broadcast
		"2001::/23",        // protocol assignments; Teredo embeds an IPv4 address
		"2001:db8::/32",    // documentation
		"2002::/16",        // 6to4 embeds an IPv4 address
		"3fff::/20",        // documentation
	}
	prefixes := make([]netip.Prefix, len(cidrs))
	for i, s := range cidrs {
		prefixes[i] = netip.MustParsePrefix(s)
	}
	return prefixes
}
