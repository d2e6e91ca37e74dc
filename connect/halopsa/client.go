// Package halopsa asks one HaloPSA, HaloITSM or self-hosted Halo tenant for
// what a connection needs: a token, its agents, its event catalogue, and the
// registration of a webhook.
//
// It promises three things.
//
//   - No request leaves for an address that configuration does not allow. The
//     tenant URL is typed by a customer and the sign-in host is named by that
//     customer's server, so neither is believed: each address is checked after
//     it was resolved and before it is dialled ([Config.AllowNets]), redirects
//     are not followed, and proxies of the environment are not used.
//   - Every failure is an [*Error] that names a cause an operator can act on,
//     and that holds no byte of what the server answered. What is logged of an
//     answer is its status and the cause.
//   - A tenant is never asked more than its [Budget] allows, by however many
//     clients at once, and nothing outlives the caller's context.
//
// Where the vendor publishes nothing, the package accepts every shape that has
// been seen on live tenants: lists as bare arrays or inside objects, numbers as
// strings, errors as five kinds of JSON, as text and as HTML.
package halopsa

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Config is one tenant's credentials and how its Halo may be reached.
type Config struct {
	// TenantURL as the customer pasted it; see [ParseTenantURL].
	TenantURL string

	// ClientID and ClientSecret of the customer's API application. Spaces
	// around them are dropped: they come along when a key is copied, and cost
	// more support time than any other mistake.
	ClientID     string
	ClientSecret schemas.Secret

	// CABundle is PEM: certificates that are trusted besides the system's, for
	// a self-hosted Halo whose authority is the customer's own.
	CABundle []byte

	// AllowNets may be dialled although they are private or loopback; only in
	// them may a host be addressed by http://.
	AllowNets []netip.Prefix

	// Budget is shared by all clients of a tenant; see [Limits]. Nil gives the
	// client one of its own.
	Budget *Budget

	// Resolver looks up hosts; nil is the system's.
	Resolver *net.Resolver

	// Log gets a line per answer, at debug level: call, status, cause.
	Log *slog.Logger
}

// Client speaks to one tenant's Halo with one set of credentials. It may be
// used by several goroutines at once; they share one token.
type Client struct {
	base     *url.URL
	id       string
	secret   schemas.Secret
	http     *http.Client
	log      *slog.Logger
	budget   *Budget
	sessions chan *session // holds the one session while nobody changes it
}

// New checks what can be checked without asking Halo: the URL, that the
// credentials are not empty, the CA bundle. Its errors are of type [*Error].
func New(cfg Config) (*Client, error) {
	base, err := ParseTenantURL(cfg.TenantURL, cfg.AllowNets)
	if err != nil {
		return nil, err
	}
	id, secret := trim(cfg.ClientID), schemas.Secret(trim(cfg.ClientSecret.Reveal()))
	if id == "" || secret == "" {
		return nil, describe(SecretWrong, base.Host, 0,
			"The Client ID or the Client Secret is empty.", nil)
	}
	roots, err := trustedRoots(base.Host, cfg.CABundle)
	if err != nil {
		return nil, err
	}
	budget := cfg.Budget
	if budget == nil {
		budget = NewBudget()
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		base: base, id: id, secret: secret, log: log, budget: budget,
		http: &http.Client{
			Transport:     newTransport(newGuard(cfg.AllowNets), cfg.Resolver, roots, budget),
			CheckRedirect: refuseRedirect,
		},
		sessions: make(chan *session, 1),
	}
	c.sessions <- &session{}
	return c, nil
}

// Host is the host of the tenant URL, with its port if one was given.
func (c *Client) Host() string { return c.base.Host }

// BaseURL is the tenant URL in its plain form: scheme and host.
func (c *Client) BaseURL() string { return c.base.String() }

// Left is how many requests the tenant's budget allows now without waiting. Work
// that nobody waits for looks at it first, so as not to keep waiting whoever
// does.
func (c *Client) Left() int { return c.budget.left() }

// Close ends idle connections. Calls under way are not disturbed.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// String names the tenant's host and never the credentials.
func (c *Client) String() string { return fmt.Sprintf("halopsa client of %s", c.base.Host) }

// GoString is String: %#v would write out the fields, and fmt cannot ask an
// unexported Secret to redact itself.
func (c *Client) GoString() string { return c.String() }

// endpoint is the address of one resource of Halo's API.
func (c *Client) endpoint(query url.Values, path ...string) string {
	u := c.base.JoinPath("api")
	for _, p := range path {
		u = u.JoinPath(url.PathEscape(p))
	}
	u.RawQuery = query.Encode()
	return u.String()
}

const (
	// requestTimeout bounds one exchange, from dial to the last byte. Halo
	// answers in under two seconds as a rule; a slow self-hosted instance in
	// under ten.
	requestTimeout = 20 * time.Second

	// maxResponse bounds one answer in bytes, after decompression. A page of 50
	// agents with all their fields is well under 1 MiB; an instance that
	// ignores paging and sends some thousands of agents still fits.
	maxResponse = 8 << 20
)

// invisible are the characters that look like nothing and get pasted along:
// no-break space, zero-width ones, the byte order mark.
const invisible = "\u00a0\u200b\u200c\u200d\u2060\ufeff"

// trim drops white space and invisible characters around s.
func trim(s string) string {
	return strings.Trim(s, " \t\r\n\v\f\u0085"+invisible)
}
