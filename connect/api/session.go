package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// linkLife is how long a console's link waits to be opened.
	linkLife = time.Minute

	// sessionLife is how long a session lasts: a working day.
	sessionLife = 8 * time.Hour

	// mostLinks bounds what is remembered of links that nobody opened.
	mostLinks = 10_000

	// sessionPrefix tells a session from a token, which begins with hct_.
	sessionPrefix = "hcs_"
)

// session is what is sealed. It holds no token: a session that leaks opens what
// its token opens, and only for as long.
type session struct {
	Digest  []byte           `json:"d"`
	Tenants []schemas.Tenant `json:"t,omitempty"` // none: those of the token
	Scope   access.Scope     `json:"s"`
	Until   time.Time        `json:"u"`
}

// sealSession makes of a session what takes the place of a token.
func (a *API) sealSession(s session) (string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	sealed, err := a.cfg.Sealer.Seal("", vault.Session, text)
	if err != nil {
		return "", err
	}
	return sessionPrefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openSession returns what a session allows: what its token allows now, and no
// more than it allowed when it was made. The token is looked up each time, so
// that revoking it ends the session. Errors are package access's.
func (a *API) openSession(text string) (access.Grant, time.Time, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, sessionPrefix))
	if err != nil {
		return access.Grant{}, time.Time{}, access.ErrUnknown
	}
	var s session
	if plain, err := a.cfg.Sealer.Open("", vault.Session, sealed); err != nil || json.Unmarshal(plain, &s) != nil || len(s.Digest) != len(access.Digest{}) {
		return access.Grant{}, time.Time{}, access.ErrUnknown
	}
	g, err := a.cfg.Tokens.ByDigest(access.Digest(s.Digest))
	if err != nil {
		return g, s.Until, err
	}
	if !a.now().Before(s.Until) {
		return g, s.Until, access.ErrExpired
	}
	if len(s.Tenants) > 0 {
		left := slices.DeleteFunc(slices.Clone(s.Tenants), func(t schemas.Tenant) bool { return !g.Allows(t) })
		if len(left) == 0 { // none would mean all
			return access.Grant{}, s.Until, access.ErrUnknown
		}
		g.Tenants = left
	}
	g.Scope = min(g.Scope, s.Scope)
	return g, s.Until, nil
}

// links are the console's links that nobody has opened yet. They are of the
// instance that acts, in memory: a link outlives neither its minute nor its
// instance, and can be used once because it is forgotten when it is.
type links struct {
	now func() time.Time
	mu  sync.Mutex
	all map[string]link
}

type link struct {
	session session
	path    string
	until   time.Time
}

func newLinks(now func() time.Time) *links { return &links{now: now, all: make(map[string]link)} }

// add remembers a link and returns its name of 130 random bits; false where too
// many wait.
func (l *links) add(made link) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, old := range l.all {
		if !l.now().Before(old.until) {
			delete(l.all, name)
		}
	}
	if len(l.all) >= mostLinks {
		return "", false
	}
	name := rand.Text()
	l.all[name] = made
	return name, true
}

// take returns a link and forgets it.
func (l *links) take(name string) (link, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.all[name]
	delete(l.all, name)
	return found, ok && l.now().Before(found.until)
}

var errLinkUsed = control.Refuse(http.StatusGone, "link_used", "The link was opened before, or is too old. Ask for a new one.")

func sessionRoutes(a *API) {
	add(a, route{
		method: "POST", path: tenantPath + "/console-link", id: "makeConsoleLink", scope: access.Read,
		summary: "A link that opens the console for this tenant, once, within 60 s",
		about:   "The session that it begins may do what the token may, or less, and ends with the token.",
		says:    "The link",
	}, func(_ context.Context, c *call, in *struct {
		InTenant
		Body *control.LinkRequest
	},
	) (*answer[control.Link], error) {
		want := control.LinkRequest{}
		if in.Body != nil {
			want = *in.Body
		}
		l, err := a.makeLink(c, want)
		return &answer[control.Link]{l}, err
	})
	add(a, route{
		method: "POST", path: "/v1/console-session", id: "makeConsoleSession", everywhere: true,
		summary: "Begin a session of the console",
		about: "With a link, which is used up, or else with a token in Authorization. What is answered as session takes the token's place " +
			"in Authorization, on every instance. This is how the console signs people in; other programs use their token.",
		says:    "The session",
		refuses: map[int]string{http.StatusUnauthorized: "unauthorized: neither a link nor a token", http.StatusGone: "link_used: the link was opened before, or is too old"},
	}, func(_ context.Context, c *call, in *struct {
		Body *control.SessionRequest
	},
	) (*answer[control.Session], error) {
		s, err := a.makeSession(c, in.Body)
		return &answer[control.Session]{s}, err
	})
	add(a, route{
		method: "GET", path: "/v1/console-session", id: "getConsoleSession", scope: access.Read, everywhere: true,
		summary: "What the token or the session in Authorization may do", says: "Its name, tenants and scopes",
	}, func(_ context.Context, c *call, _ *struct{}) (*answer[control.Session], error) {
		return &answer[control.Session]{sessionOf(c)}, nil
	})
}

func sessionOf(c *call) control.Session {
	s := control.Session{Name: c.grant.Name, Tenants: orNone(c.grant.Tenants), Scopes: c.grant.Scope.Names()}
	if !c.until.IsZero() {
		s.ExpiresAt = &c.until
	}
	return s
}

func (a *API) makeLink(c *call, want control.LinkRequest) (control.Link, error) {
	scope, err := access.ParseScopes(want.Scopes)
	if err != nil {
		return control.Link{}, invalid("body.scopes: a scope is read, map or manage.")
	}
	if want.Path == "" {
		want.Path = "/console/" + string(c.tenant) + "/connection"
	}
	now := a.now()
	made := link{session: a.sessionFor(c, []schemas.Tenant{c.tenant}, min(scope, c.grant.Scope)), path: want.Path, until: schemas.Truncate(now.Add(linkLife))}
	name, ok := a.links.add(made)
	if !ok {
		return control.Link{}, control.Refuse(http.StatusServiceUnavailable, "busy", "Too many links wait to be opened. Try again in a minute.")
	}
	base := a.cfg.ConsoleURL
	if base == "" { // what a proxy says of the way here is not believed
		base = "http://"
		if c.request.TLS != nil {
			base = "https://"
		}
		base += c.request.Host
	}
	return control.Link{URL: strings.TrimRight(base, "/") + control.LinkPath + name, ExpiresAt: made.until}, nil
}

// sessionFor is the session that a call may begin.
func (a *API) sessionFor(c *call, tenants []schemas.Tenant, scope access.Scope) session {
	s := session{Digest: c.grant.Digest[:], Tenants: tenants, Scope: scope, Until: schemas.Truncate(a.now().Add(sessionLife))}
	if !c.until.IsZero() && c.until.Before(s.Until) { // a session begets none that outlives it
		s.Until = c.until
	}
	return s
}

func (a *API) makeSession(c *call, in *control.SessionRequest) (control.Session, error) {
	var s session
	where := "/console/"
	if in != nil && in.Link != "" {
		if a.cfg.Tenants.Ready() != nil { // the link is of the instance that acts
			return control.Session{}, control.ErrStandby
		}
		l, ok := a.links.take(in.Link)
		if !ok {
			return control.Session{}, errLinkUsed
		}
		s, where = l.session, l.path
	} else {
		if refused := a.identify(c); refused != nil {
			return control.Session{}, refused
		}
		s = a.sessionFor(c, c.grant.Tenants, c.grant.Scope)
		if len(c.grant.Tenants) == 1 {
			where += string(c.grant.Tenants[0]) + "/connection"
		}
	}
	text, err := a.sealSession(s)
	if err != nil {
		return control.Session{}, err
	}
	// The token may have gone since the link was made.
	if c.grant, c.until, err = a.openSession(text); err != nil {
		return control.Session{}, errEnded
	}
	out := sessionOf(c)
	out.Session, out.Path = text, where
	return out, nil
}
