package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/worksights/halo-connector/internal/clickhouse"
)

// DSN is a URL whose password is not printed. It may name several hosts,
// separated by commas, which makes it none that net/url reads.
type DSN string

// Reveal returns the URL with its password.
func (d DSN) Reveal() string { return string(d) }

// parts takes the DSN apart: what net/url reads once one host stands in for
// all, and the hosts.
func (d DSN) parts() (u *url.URL, hosts string, err error) {
	scheme, rest, ok := strings.Cut(string(d), "://")
	if !ok {
		return nil, "", errors.New("no scheme")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	at := strings.LastIndex(authority, "@") + 1
	if hosts = authority[at:]; hosts == "" || strings.ContainsAny(hosts, " \t") {
		return nil, "", errors.New("no host")
	}
	u, err = url.Parse(scheme + "://" + authority[:at] + "host" + rest)
	return u, hosts, err
}

// String is the URL with its password, in whichever place, replaced. What is no
// URL with a host may be anything, such as one whose scheme was forgotten
// ("user:password@host"): it is not shown.
func (d DSN) String() string {
	if d == "" {
		return ""
	}
	u, hosts, err := d.parts()
	if err != nil {
		return "[redacted]"
	}
	u.Host = "host"
	q := u.Query()
	for name, values := range q {
		inner, err := url.Parse(values[0]) // such as http_proxy
		switch {
		case strings.Contains(strings.ToLower(name), "password"):
			q.Set(name, "xxxxx")
		case err != nil || inner.User != nil || inner.Opaque != "":
			q.Set(name, "[redacted]")
		default:
			continue
		}
		u.RawQuery = q.Encode()
	}
	before, after, _ := strings.Cut(u.Redacted(), "host")
	return before + hosts + after
}

// check has the driver read the DSN: only it knows what it takes. No error of
// it is quoted, nor the DSN, since there may be a password in either.
func (d DSN) check(name string) []error {
	u, hosts, err := d.parts()
	if err != nil {
		return []error{fmt.Errorf("%s: not a URL of the form http(s)://host:8123/worksights or clickhouse://host:9000/worksights", name)}
	}
	if !oneOf(u.Scheme, "clickhouse", "tcp", "http", "https") {
		return []error{fmt.Errorf("%s: want clickhouse://, http:// or https://, not %q", name, u.Scheme)}
	}
	if !strings.HasPrefix(string(d), u.Scheme) { // net/url reads it in any letters, the driver does not
		return []error{fmt.Errorf("%s: want %s:// in small letters", name, u.Scheme)}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if host == "" || strings.HasPrefix(host, ":") {
			return []error{fmt.Errorf("%s: a host is missing", name)}
		}
	}
	if strings.Trim(u.Path, "/") == "" && u.Query().Get("database") == "" {
		return []error{fmt.Errorf("%s: the database is missing, as in …/worksights", name)}
	}
	if _, err := clickhouse.Database(d.Reveal()); err != nil {
		return []error{fmt.Errorf("%s: the driver cannot read it: a port, or an option after the '?'", name)}
	}
	return nil
}
