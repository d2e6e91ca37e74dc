package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/worksights/halo-connector/connect/halopsa"
)

// checkURL checks the address of a server of ours: to what it says, paths are
// added.
func checkURL(name, s string) []error {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Opaque != "" {
		// Not quoted: there may be a password in it.
		return []error{fmt.Errorf("%s: want http(s)://host[:port], without a user name", name)}
	}
	switch {
	case u.Hostname() == "" || !oneOf(u.Scheme, "http", "https"):
		return []error{fmt.Errorf("%s: want http(s)://host[:port], not %q", name, s)}
	case u.RawQuery != "" || u.ForceQuery:
		return []error{fmt.Errorf("%s: a query has no place in it: %q", name, s)}
	case strings.Contains(s, "#"):
		return []error{fmt.Errorf("%s: a fragment has no place in it: %q", name, s)}
	case strings.HasSuffix(u.Host, ":"):
		return []error{fmt.Errorf("%s: the port is missing after the colon: %q", name, s)}
	case strings.ContainsFunc(s, unicode.IsSpace):
		return []error{fmt.Errorf("%s: there is a blank in it: %q", name, s)}
	case numbersOnly(u.Hostname()):
		return []error{fmt.Errorf("%s: %s is no address; write all four numbers of it", name, u.Hostname())}
	case u.Port() != "":
		if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
			return []error{fmt.Errorf("%s: there is no port %s", name, u.Port())}
		}
	}
	return nil
}

// numbersOnly says whether a host is neither an address nor a name: some dialers
// take 127.1 and 0x7f000001 for the loopback address, others for nothing.
func numbersOnly(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, err := strconv.ParseUint(last, 0, 64)
	return err == nil
}

// checkPublicURL checks the address that is registered in customers' Halos. From
// there a loopback address leads nowhere, and http:// shows the secret to
// everybody on the way; both are for networks that are allowed by name.
func checkPublicURL(name, s string, nets halopsa.Nets) []error {
	if errs := checkURL(name, s); errs != nil {
		return errs
	}
	u, err := url.Parse(s)
	if err != nil {
		return []error{fmt.Errorf("%s: not a URL", name)}
	}
	ip, err := netip.ParseAddr(u.Hostname())
	named := err == nil
	if local := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); local == "localhost" || strings.HasSuffix(local, ".localhost") {
		ip, named = netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	ip = ip.Unmap()
	for _, net := range nets.Of("") {
		if named && net.Contains(ip) {
			return nil
		}
	}
	switch {
	case named && (ip.IsLoopback() || ip.IsUnspecified()):
		return []error{fmt.Errorf("%s: Halo cannot reach %s; set the edge's public address, or allow this one in HALO_ALLOW_NETS", name, u.Host)}
	case u.Scheme != "https":
		return []error{fmt.Errorf("%s: want https://, since Halo sends the webhook's secret there; http:// only to an address that HALO_ALLOW_NETS names", name)}
	}
	return nil
}

// Console is how the control plane serves people, and what it does by itself.
type Console struct {
	AutoRepair            bool   `env:"AUTO_REPAIR" envDefault:"true" desc:"switch on again what Halo itself switched off; false: only report it"`
	Shown                 bool   `env:"CONSOLE" envDefault:"true" desc:"serve the web pages under /console/ of the control API"`
	PublicConsoleURL      string `env:"PUBLIC_CONSOLE_URL" desc:"the control API as people's browsers reach it, for the console's links and cookie; empty: as each request says"`
	ConsoleFrameAncestors string `env:"CONSOLE_FRAME_ANCESTORS" desc:"origins whose pages may show the console in a frame, separated by spaces; empty: none"`
}

func (c Console) check() (errs []error) {
	if c.PublicConsoleURL != "" {
		errs = append(errs, checkURL("PUBLIC_CONSOLE_URL", c.PublicConsoleURL)...)
	}
	for origin := range strings.FieldsSeq(c.ConsoleFrameAncestors) {
		u, err := url.Parse(origin)
		if err != nil || !oneOf(u.Scheme, "http", "https") || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || strings.ContainsAny(origin, "#;,'\"") {
			errs = append(errs, fmt.Errorf("CONSOLE_FRAME_ANCESTORS: %q is no origin such as https://app.example.com", origin))
		}
	}
	return errs
}
