package connect

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/schemas"
)

// maxBody bounds a request. The largest is a user directory: 100 bytes an entry
// make room for some 80,000 users.
const maxBody = 8 << 20

// A route is one entry of the API. The OpenAPI document is held to this list.
type route struct {
	method, path string
	open         bool // needs no token
	serve        func(*Connect, *request) (status int, body any, err error)
	change       string // the name of the change for the audit log; "" where nothing changes
}

func routeTable() []route {
	const tenant = "/v1/tenants/{tenant}"
	return []route{
		{method: "GET", path: "/v1/openapi.json", open: true, serve: (*Connect).getOpenAPI},
		{method: "GET", path: "/v1/tenants", serve: (*Connect).getTenants},
		{method: "PUT", path: tenant + "/users", serve: (*Connect).putUsers, change: "users"},
		{method: "PUT", path: tenant + "/connection", serve: (*Connect).putConnection, change: "connect"},
		{method: "GET", path: tenant + "/connection", serve: (*Connect).getConnection},
		{method: "DELETE", path: tenant + "/connection", serve: (*Connect).deleteConnection, change: "disconnect"},
		{method: "POST", path: tenant + "/connection/refresh", serve: (*Connect).postRefresh, change: "refresh"},
		{method: "POST", path: tenant + "/connection/reconnect", serve: (*Connect).postReconnect, change: "reconnect"},
		{method: "GET", path: tenant + "/agents", serve: (*Connect).getAgents},
		{method: "PUT", path: tenant + "/agents/{agent}/user", serve: (*Connect).putAgentUser, change: "map"},
		{method: "DELETE", path: tenant + "/agents/{agent}/user", serve: (*Connect).deleteAgentUser, change: "unmap"},
		{method: "GET", path: tenant + "/timeline", serve: (*Connect).getTimeline},
		{method: "GET", path: tenant + "/diagnosis", serve: (*Connect).getDiagnosis},
	}
}

// request is a call that was let in.
type request struct {
	*http.Request
	w      http.ResponseWriter
	grant  access.Grant
	tenant schemas.Tenant // "" where the route has none
	term   *term          // nil on open routes
}

// snapshot is the tenant as it is seen now.
func (r *request) snapshot() (*snapshot, error) {
	snap := r.term.peek(r.tenant)
	return snap, snap.sealed
}

func (c *Connect) routes() http.Handler {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	for _, rt := range routeTable() {
		mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { c.answer(rt, w, r) })
		methods[rt.path] = append(methods[rt.path], rt.method)
	}
	// The mux itself would answer these in plain text.
	for resource, allowed := range methods {
		mux.HandleFunc(resource, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			fail(w, refuse(http.StatusMethodNotAllowed, "method_not_allowed", "This resource takes "+strings.Join(allowed, ", ")+" only."))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, errNoResource)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would send these to the path that may have been meant, with a
		// page for people.
		if p := r.URL.EscapedPath(); p != tidyPath(p) {
			fail(w, errNoResource)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// tidyPath is the path without what means nothing in it: "//", "/./", "/../".
func tidyPath(p string) string {
	clean := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

var errNoResource = refuse(http.StatusNotFound, "not_found", "There is no such resource; see /v1/openapi.json.")

// answer lets a call in, serves it, and writes what came of it.
func (c *Connect) answer(rt route, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	req := &request{Request: r, w: w}
	var status int
	var body any
	err := c.admit(rt, req)
	if err == nil {
		status, body, err = rt.serve(c, req)
	}
	if rt.change != "" && req.grant.Name != "" {
		c.audit(rt, req, err)
	}
	if err != nil {
		c.explain(w, req, err)
		return
	}
	write(w, status, body)
}

// admit checks, in this order: the token, the tenant's name, whether the token
// may see the tenant, whether this instance is the one to answer. The body is
// not read before all of that.
func (c *Connect) admit(rt route, r *request) error {
	if rt.open {
		return nil
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok {
		var err error
		r.grant, err = c.cfg.Tokens.Grant(schemas.Secret(strings.TrimSpace(token)))
		ok = err == nil
	}
	if !ok {
		r.w.Header().Set("WWW-Authenticate", "Bearer")
		return refuse(http.StatusUnauthorized, "unauthorized", "A bearer token is needed that this API knows.")
	}
	if strings.Contains(rt.path, "{tenant}") {
		tenant, err := schemas.ParseTenant(r.PathValue("tenant"))
		if err != nil {
			return refuse(http.StatusBadRequest, "invalid_tenant", "The tenant id cannot be one: "+err.Error()+".")
		}
		if !r.grant.Allows(tenant) {
			return refuse(http.StatusForbidden, "forbidden", "This token does not cover the tenant.")
		}
		r.tenant = tenant
	}
	var err error
	r.term, err = c.active()
	r.Body = http.MaxBytesReader(r.w, r.Body, maxBody)
	return err
}

// audit says who changed what, and never to which value.
func (c *Connect) audit(rt route, r *request, err error) {
	result := "ok"
	if err != nil {
		result = problem(err).Code
	}
	attrs := []any{slog.String("tenant", string(r.tenant)), slog.String("change", rt.change), slog.String("token", r.grant.Name), slog.String("result", result)}
	if agent := r.PathValue("agent"); agent != "" && err == nil {
		attrs = append(attrs, slog.String("agent", agent))
	}
	c.log.Info("audit", attrs...)
	c.metrics.operations.WithLabelValues(rt.change, result).Inc()
}

// change runs an operation on the request's tenant, in its turn and within its
// time. It goes on when the caller hangs up: what is half done in Halo is worse
// than what nobody waited for.
func (r *request) change(do func(ctx context.Context, tn *tenant) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), operationTimeout)
	defer cancel()
	defer context.AfterFunc(r.term.ctx, cancel)()
	tn := r.term.tenant(r.tenant)
	back, err := tn.take(ctx)
	if err != nil {
		return errBusy
	}
	defer back()
	if err := tn.seen.Load().sealed; err != nil {
		return err
	}
	err = do(ctx, tn)
	if err != nil && r.term.ctx.Err() != nil && halopsa.CauseOf(err) == "" && !errors.Is(err, ErrUnavailable) {
		return ErrStandby // what it met was the end of the term
	}
	return err
}

var errBusy = errors.New("another operation on the tenant takes long")

// apiError is an error as the caller sees it.
type apiError struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

func refuse(status int, code, message string) *apiError {
	return &apiError{Status: status, Code: code, Message: message}
}

// problem turns an error into what the caller is told: 4xx where he can do
// something, 502 and 504 where Halo is the trouble, 503 where we are.
func problem(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*halopsa.Error](err); ok {
		return refuse(statusOf(e), string(e.Cause), e.Message+" "+e.Action)
	}
	switch {
	case errors.Is(err, ErrNotConnected):
		return refuse(http.StatusNotFound, "not_connected", "The tenant has no connection. Connect it first.")
	case errors.Is(err, ErrNoAgent):
		return refuse(http.StatusNotFound, "agent_not_found", "Halo listed no agent with this id. Refresh the connection if it is new.")
	case errors.Is(err, ErrNoUser):
		return refuse(http.StatusUnprocessableEntity, "unknown_user", "The tenant's user directory has no such user. Put the users first.")
	case errors.Is(err, errTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "too_large", "The tenant's users and agents together are more than can be kept. Give only the users who work in Halo.")
	case errors.Is(err, ErrStandby):
		return refuse(http.StatusServiceUnavailable, "standby", "This instance is on standby. Ask the active one, or try again in a few seconds.")
	case errors.Is(err, ErrUnavailable):
		return refuse(http.StatusServiceUnavailable, "log_unavailable", "The change could not be kept. Try again in a few seconds.")
	case errors.Is(err, vault.ErrSealed), errors.Is(err, schemas.ErrMalformed):
		return refuse(http.StatusServiceUnavailable, "vault_sealed", "The tenant's record does not open with the keyset at hand. An operator has to bring back the key.")
	case errors.Is(err, errTimeline):
		return refuse(http.StatusServiceUnavailable, "timeline_unavailable", "The timeline cannot be read now. Try again in a few seconds.")
	case errors.Is(err, errBusy):
		return refuse(http.StatusServiceUnavailable, "busy", "Another operation on this tenant is still under way. Try again in a minute.")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return refuse(http.StatusGatewayTimeout, "halo_timeout", "Halo did not answer in time.")
	}
	return refuse(http.StatusInternalServerError, "internal", "Something went wrong here. The log says what.")
}

// statusOf says who has to act on a failure of Halo.
func statusOf(e *halopsa.Error) int {
	switch e.Cause {
	case halopsa.Unreachable:
		if errors.Is(e, context.DeadlineExceeded) {
			return http.StatusGatewayTimeout
		}
		return http.StatusBadGateway
	case halopsa.HaloError, halopsa.RateLimited, halopsa.NotFound:
		return http.StatusBadGateway
	}
	return http.StatusUnprocessableEntity
}

// explain answers with an error and logs those that are ours.
func (c *Connect) explain(w http.ResponseWriter, r *request, err error) {
	e := problem(err)
	if e.Status >= 500 && e.Code != "standby" {
		c.log.Warn("request failed", "method", r.Method, "tenant", r.tenant, "code", e.Code, "err", err)
	}
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	fail(w, e)
}

func fail(w http.ResponseWriter, e *apiError) {
	write(w, e.Status, map[string]*apiError{"error": e})
}

func write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever hung up cannot be told that it failed.
	_ = json.NewEncoder(w).Encode(body)
}

// decode reads the body, whole: what follows the JSON is part of it. Members
// that it does not know are ignored, as in records. The error quotes nothing: a
// credential may stand in the wrong place.
func decode(r *request, into any) error {
	body, err := io.ReadAll(r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return refuse(http.StatusRequestEntityTooLarge, "too_large", "The request is larger than 8 MiB.")
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid_json", "The request's body is not the JSON that is wanted here; see /v1/openapi.json.")
	}
	return nil
}

// stamp is a time as the API shows it: RFC 3339 in UTC, null where there is
// none.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = schemas.Truncate(t)
	return &t
}
