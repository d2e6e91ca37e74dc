package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Prefix is where the console is mounted.
const Prefix = "/console/"

// files is the prefix of what is not a tenant's: no tenant's id begins with "-".
const files = Prefix + "-/"

// Config is what the console is made of.
type Config struct {
	API            http.RoundTripper // the way to the control API; the URL's host is of no account
	PublicURL      string            // the console's own, where it is not what the request says; may be empty
	FrameAncestors string            // who may show the pages in a frame, as in a Content-Security-Policy; empty: nobody
	Now            func() time.Time
	Log            *slog.Logger
}

// Console serves the pages. It may be used by several goroutines at once.
type Console struct {
	cfg    Config
	api    *control.Client
	pages  templates
	static assets
	guard  *http.CrossOriginProtection
	csp    string
	secure bool // the public URL is https
	work   registry
}

// New makes a console. It fails where the frame ancestors or the public URL
// cannot be such.
func New(cfg Config) (*Console, error) {
	c := &Console{cfg: cfg, api: control.NewOver(cfg.API, "http://control", ""), guard: http.NewCrossOriginProtection()}
	if cfg.PublicURL != "" {
		u, err := url.Parse(cfg.PublicURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("PUBLIC_CONSOLE_URL: want an absolute http or https URL")
		}
		c.secure = u.Scheme == "https"
	}
	ancestors := strings.Join(strings.Fields(cfg.FrameAncestors), " ")
	if strings.ContainsAny(ancestors, ";,\"") {
		return nil, errors.New("CONSOLE_FRAME_ANCESTORS: want origins, separated by spaces")
	}
	if ancestors == "" {
		ancestors = "'none'"
	}
	c.csp = fmt.Sprintf(policy, ancestors)
	c.work.work = map[string]*work{}
	c.work.ctx, c.work.cancel = context.WithCancel(context.Background())
	c.static = load()
	c.pages = c.parse()
	c.guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.visit(w, r).tell(http.StatusForbidden, "This form was sent from another site",
			"For your safety it was not acted upon. Open the page here and try again.")
	}))
	return c, nil
}

// policy is on every answer. Nothing is loaded from elsewhere, no script writes
// markup, and no form is sent elsewhere.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors %s; require-trusted-types-for 'script'; trusted-types 'none'"

// Run waits until ctx is done and then for what was begun by a page and takes
// longer than its answer.
func (c *Console) Run(ctx context.Context) error {
	<-ctx.Done()
	c.work.stop()
	return nil
}

// Handler serves everything under [Prefix].
func (c *Console) Handler() http.Handler {
	guarded := c.guard.Handler(http.HandlerFunc(c.route))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", c.csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if c.cfg.FrameAncestors == "" {
			h.Set("X-Frame-Options", "DENY")
		}
		guarded.ServeHTTP(w, r)
	})
}

// A page is one of a tenant's. Its parts are named by the rest of the path.
type page struct {
	name, title string
	scope       string // without it the page is refused
	get, post   func(*visit) error
}

// pages are a tenant's, in the order of the navigation.
func pages() []page {
	return []page{
		{"connection", "Integration", control.ScopeRead, (*visit).connection, (*visit).changeConnection},
		{"connect", "Connect", control.ScopeManage, (*visit).connect, (*visit).startConnect},
		{"agents", "User mapping", control.ScopeRead, (*visit).agents, (*visit).changeAgents},
		{"timeline", "Timeline", control.ScopeRead, (*visit).timeline, nil},
		{"activity", "Activity", control.ScopeRead, (*visit).activity, nil},
		{"missing", "Missing something?", control.ScopeRead, (*visit).missing, nil},
		{"changes", "Changes", control.ScopeRead, (*visit).changes, nil},
	}
}

func pageNamed(name string) (page, bool) {
	all := pages()
	i := slices.IndexFunc(all, func(p page) bool { return p.name == name })
	if i < 0 {
		return page{}, false
	}
	return all[i], true
}

// route finds what a path means. Paths that are not what they seem ("//", "..")
// are nothing.
func (c *Console) route(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	p := r.URL.Path
	if p+"/" == Prefix {
		v.redirect(Prefix)
		return
	}
	if clean := path.Clean(p); clean != p && clean+"/" != p || strings.Contains(r.URL.EscapedPath(), "%") {
		v.nothing()
		return
	}
	parts := strings.Split(strings.TrimPrefix(p, Prefix), "/")
	_, isPage := pageNamed(parts[len(parts)-1])
	switch {
	case p == Prefix:
		v.only(c.front, http.MethodGet)
	case p == Prefix+"sign-in":
		v.only((*visit).signIn, http.MethodPost)
	case p == Prefix+"sign-out":
		v.only((*visit).signOut, http.MethodPost)
	case strings.HasPrefix(p, files):
		c.static.serve(v)
	case strings.HasPrefix(p, control.LinkPath) && len(parts) == 2 && parts[1] != "" && !isPage:
		v.only((*visit).open, http.MethodGet)
	default:
		v.tenantPage(parts)
	}
}

// only serves one method; HEAD is GET without its body.
func (v *visit) only(serve func(*visit) error, method string) {
	if v.r.Method != method && (method != http.MethodGet || v.r.Method != http.MethodHead) {
		v.w.Header().Set("Allow", method)
		if method == http.MethodPost && v.reads() { // somebody reloads what a form had sent
			v.redirect(Prefix)
			return
		}
		v.tell(http.StatusMethodNotAllowed, "This cannot be done here", "The address exists, and does not take what was sent to it.")
		return
	}
	v.end(serve(v))
}

func (v *visit) reads() bool { return v.r.Method == http.MethodGet || v.r.Method == http.MethodHead }

// tenantPage serves /console/{tenant}/{page}/….
func (v *visit) tenantPage(parts []string) {
	tenant, err := schemas.ParseTenant(parts[0])
	if err != nil {
		v.nothing()
		return
	}
	v.tenant = tenant
	home := len(parts) == 1 || len(parts) == 2 && parts[1] == ""
	name := "connection"
	if !home {
		name = parts[1]
		v.rest = parts[2:]
	}
	p, known := pageNamed(name)
	if !known {
		v.nothing()
		return
	}
	v.page = p
	if err := v.enter(); err != nil {
		v.end(err)
		return
	}
	switch {
	case !v.Can(p.scope):
		v.end(errScope)
	case home:
		v.redirect(v.path("connection"))
	case v.reads():
		v.end(p.get(v))
	case v.r.Method == http.MethodPost && p.post != nil:
		v.end(p.post(v))
	default:
		v.only(p.get, http.MethodGet)
	}
}

// errNowhere is a path, a tenant or a thing that is not there, or not for whoever
// asks.
var errNowhere = errors.New("there is no such page")

// errScope is what the session's scopes do not cover.
var errScope = errors.New("the session's scopes do not cover it")

// registry is the work under way, one for each tenant and name.
type registry struct {
	mu     sync.Mutex
	work   map[string]*work
	over   bool
	wait   sync.WaitGroup
	ctx    context.Context // of all work: it outlives the request that began it
	cancel context.CancelFunc
}
