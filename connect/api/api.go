package api

import (
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
)

// Config is what an API is made of. All fields are required but those that say
// otherwise.
type Config struct {
	Tenants Tenants
	Reads   Reads
	Tokens  *access.Tokens
	Sealer  *vault.Sealer // seals the console's sessions

	// ConsoleURL is where people reach the console, without its path; "" is the
	// scheme and the host of the request.
	ConsoleURL string

	Now      func() time.Time // nil is time.Now
	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil
}

// API is the control API of one instance.
type API struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	metrics *metrics
	links   *links
	huma    huma.API
	mux     *http.ServeMux
	routes  []*route
	// document is the OpenAPI document, made once all routes are there.
	document []byte
}

// New makes the API. It asks nobody for anything yet.
func New(cfg Config) (*API, error) {
	if cfg.Tenants == nil || cfg.Reads == nil || cfg.Tokens == nil || cfg.Sealer == nil || cfg.Log == nil {
		return nil, errors.New("api: Tenants, Reads, Tokens, Sealer and Log are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &API{cfg: cfg, log: cfg.Log, now: cfg.Now, links: newLinks(cfg.Now), mux: http.NewServeMux()}
	a.huma = newHuma(a.mux)
	for _, add := range []func(*API){tenantRoutes, connectionRoutes, userRoutes, agentRoutes, readingRoutes, erasureRoutes, sessionRoutes} {
		add(a)
	}
	a.metrics = newMetrics(cfg.Registry, a.routes)
	if err := a.finishDocument(); err != nil {
		return nil, err
	}
	a.refuseTheRest()
	return a, nil
}

// refuseTheRest answers what no route does. The mux itself would do so in plain
// text.
func (a *API) refuseTheRest() {
	methods := make(map[string][]string)
	for _, rt := range a.routes {
		methods[rt.path] = append(methods[rt.path], rt.method)
	}
	for resource, allowed := range methods {
		a.mux.HandleFunc(resource, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			fail(w, control.Refuse(http.StatusMethodNotAllowed, "method_not_allowed", "This resource takes %s only.", strings.Join(allowed, ", ")))
		})
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fail(w, errNoResource) })
}

var errNoResource = control.Refuse(http.StatusNotFound, "not_found", "There is no such resource; see /v1/openapi.json.")

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := &watched{ResponseWriter: w}
	began := a.now()
	seen.Header().Set("Cache-Control", "no-store")
	seen.Header().Set("X-Content-Type-Options", "nosniff")
	// The mux would send these to the path that may have been meant, with a page
	// for people.
	if p := r.URL.EscapedPath(); p != tidyPath(p) {
		fail(seen, errNoResource)
	} else {
		a.mux.ServeHTTP(seen, r)
	}
	a.metrics.answered(r, seen.status, a.now().Sub(began))
}

// tidyPath is the path without what means nothing in it: "//", "/./", "/../".
func tidyPath(p string) string {
	clean := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// watched remembers the status of an answer.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets a deadline be set on the connection beneath.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
