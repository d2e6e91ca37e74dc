package halopsa

import (
	"encoding"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/worksights/halo-connector/schemas"
)

// Nets are the private and loopback networks in which tenants' Halos may be:
// some for all tenants, some for one. That one customer's Halo is in a network
// of ours is no reason to let another customer's URL lead there.
type Nets struct {
	entries []netEntry
}

type netEntry struct {
	tenant schemas.Tenant // "": all
	net    netip.Prefix
}

var (
	_ encoding.TextUnmarshaler = (*Nets)(nil)
	_ encoding.TextMarshaler   = Nets{}
)

// ParseNets reads "acme=10.1.0.0/16,10.9.0.0/16": separated by commas, each for
// the tenant before "=" or for all. An address without a mask is that one
// address. Nothing is no network.
func ParseNets(s string) (Nets, error) {
	var n Nets
	if strings.TrimSpace(s) == "" {
		return n, nil
	}
	for entry := range strings.SplitSeq(s, ",") {
		entry = strings.TrimSpace(entry)
		tenant, cidr, named := strings.Cut(entry, "=")
		if !named {
			tenant, cidr = "", entry
		} else if _, err := schemas.ParseTenant(tenant); err != nil {
			return Nets{}, fmt.Errorf("%q: what stands before = is no tenant id", entry)
		}
		net, err := netip.ParsePrefix(cidr)
		if ip, ipErr := netip.ParseAddr(cidr); err != nil && ipErr == nil && ip.Zone() == "" {
			net, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			return Nets{}, fmt.Errorf("%q is neither a network such as 10.1.0.0/16 nor an address", entry)
		}
		if net.Addr().Is4In6() {
			return Nets{}, fmt.Errorf("%q: write an IPv4 network as such", entry)
		}
		n.entries = append(n.entries, netEntry{schemas.Tenant(tenant), net})
	}
	return n, nil
}

// UnmarshalText is [ParseNets].
func (n *Nets) UnmarshalText(text []byte) (err error) {
	*n, err = ParseNets(string(text))
	return err
}

// MarshalText is what ParseNets reads.
func (n Nets) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

func (n Nets) String() string {
	parts := make([]string, len(n.entries))
	for i, e := range n.entries {
		if parts[i] = e.net.String(); e.tenant != "" {
			parts[i] = string(e.tenant) + "=" + parts[i]
		}
	}
	return strings.Join(parts, ",")
}

// With adds a network for all tenants.
func (n Nets) With(net netip.Prefix) Nets {
	return Nets{append(slices.Clip(n.entries), netEntry{net: net})}
}

// Of are the networks in which the tenant's Halo may be.
func (n Nets) Of(tenant schemas.Tenant) []netip.Prefix {
	var nets []netip.Prefix
	for _, e := range n.entries {
		if e.tenant == "" || e.tenant == tenant {
			nets = append(nets, e.net)
		}
	}
	return nets
}

// Contains says whether an address is in a network of all tenants.
func (n Nets) Contains(ip netip.Addr) bool { return newGuard(n.Of("")).allowed(ip) }
