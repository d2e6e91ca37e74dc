package halopsa

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// ParseTenantURL reads a tenant URL the way people paste it: with spaces, with
// or without a scheme, with the path of whatever page they had open. What is
// left is scheme and host, and port where one was given.
//
// The scheme is https. http is accepted for a literal address inside allow, and
// for a host name where allow is not empty: the name's addresses are held to
// allow when they are dialled. Errors are of type [*Error], cause
// [TenantURLInvalid].
func ParseTenantURL(pasted string, allow []netip.Prefix) (*url.URL, error) {
	invalid := func(message string) error {
		return describe(TenantURLInvalid, "", 0, message, nil)
	}
	s := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune(invisible, r) {
			return -1
		}
		return r
	}, pasted)
	if s == "" {
		return nil, invalid("The tenant URL is empty.")
	}
	if !strings.Contains(s, "://") {
		s = "https://" + strings.TrimLeft(s, "/")
	}
	u, err := url.Parse(s)
	host, ok := "", false
	if err == nil {
		host, ok = plainHost(u)
	}
	if !ok {
		// url.Parse repeats the text in its error, and the text may be a secret
		// pasted into the wrong field: it is not passed on.
		return nil, invalid("The tenant URL is not an address.")
	}
	if !plausible(u.Hostname()) {
		return nil, invalid("The tenant URL is not an address: no host has such a name. What was entered is not repeated here, in case it is a secret.")
	}
	if u.User != nil {
		return nil, invalid("The tenant URL holds a user name or password.")
	}
	if !webPort(u.Port()) {
		return nil, invalid("The tenant URL names a port at which no web server answers.")
	}
	switch u.Scheme {
	case "https":
	case "http":
		if !mayBePlain(u.Hostname(), allow) {
			return nil, invalid("The tenant URL begins with http://. Only https:// is accepted.")
		}
	default:
		return nil, invalid("The tenant URL must begin with https://.")
	}
	// The usual port is none: a tenant is connected to one Halo, however it is written.
	return &url.URL{Scheme: u.Scheme, Host: strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])}, nil
}

const (
	// maxHost and maxLabel are the longest name that DNS knows and the longest
	// part of one between dots, in bytes.
	maxHost, maxLabel = 253, 63

	// maxWord is the longest name without a dot, in bytes: Windows, on which
	// customers run a Halo of their own, gives a server no longer one. Halo's
	// client ids and secrets have no dot and are longer.
	maxWord = 15

	// maxTop is the longest top-level domain, in bytes. The last part of a token
	// with dots in it is longer.
	maxTop = 24
)

// plausible says whether a name or address may be somebody's host. A key that
// was pasted into the wrong field would otherwise stand in messages and logs as
// the host that cannot be reached; a slip in a host's name still stands there,
// where it is seen.
func plausible(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(labels) == 1 {
		return len(labels[0]) <= maxWord
	}
	if slices.ContainsFunc(labels, func(l string) bool { return l == "" || len(l) > maxLabel }) {
		return false
	}
	top := strings.ToLower(labels[len(labels)-1])
	return len(top) <= maxTop && (strings.HasPrefix(top, "xn--") || !strings.ContainsFunc(top, func(r rune) bool {
		return !unicode.In(r, unicode.Letter, unicode.Mark)
	}))
}

// plainHost is the host in lower case, with its port; ok is false where it is
// neither a name nor an address. An address with a zone is none: zones name
// our own network cards.
func plainHost(u *url.URL) (host string, ok bool) {
	host = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		if host = ip.String(); ip.Is6() {
			host = "[" + host + "]"
		}
		ok = ip.Zone() == ""
	} else {
		// One dot at the end is the root of names; more are a slip, and cut one by
		// one they would make another host of each reading.
		ok = host != "" && len(host) <= maxHost && !strings.HasSuffix(host, ".") && !strings.ContainsFunc(host, func(r rune) bool {
			return !unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit) && !strings.ContainsRune("-._", r)
		})
	}
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	return host, ok
}

// webPort says whether a Halo may be at the port. The ports of mail, files,
// directories and shells are left out, as browsers do: nobody shall make us talk
// to those, not even in a network that is allowed.
func webPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && !slices.Contains([]uint64{
		7, 9, 13, 19, 20, 21, 22, 23, 25, 37, 53, 69, 79, 109, 110, 111, 113, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445,
		465, 512, 513, 514, 515, 540, 548, 554, 563, 587, 636, 873, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3389, 5060, 5061, 6000,
		6665, 6666, 6667, 6668, 6669, 6697,
	}, n)
}

// mayBePlain says whether a host may be addressed without TLS as far as its
// spelling can tell. The guard has the last word when it sees the address.
func mayBePlain(host string, allow []netip.Prefix) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return len(allow) > 0
	}
	return newGuard(allow).allowed(ip)
}
