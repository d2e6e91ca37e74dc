package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// maxBody bounds a request. The largest is a user directory: 100 bytes an
	// entry make room for some 80,000 users.
	maxBody = 8 << 20

	// bodyTime is how long a request's body may take to arrive.
	bodyTime = 30 * time.Second
)

// route is one entry of the API: its rules, and what the document says of it.
type route struct {
	method, path string
	id           string // of the operation in the document
	summary      string
	about        string

	scope      access.Scope // access.None: it needs no token
	everywhere bool         // answered by every instance, acting or not
	change     string       // the name of the change for the audit log; "" where nothing changes

	status  int            // of success; 0: 200
	says    string         // what the answer is
	refuses map[int]string // with which statuses besides the usual ones, and why
	links   map[string]*huma.Link
}

// label is how the metrics call the route: as the mux does.
func (rt *route) label() string { return rt.method + " " + rt.path }

func (rt *route) success() int {
	if rt.status == 0 {
		return http.StatusOK
	}
	return rt.status
}

// call is a request that was let in.
type call struct {
	grant   access.Grant
	session bool           // it came with a session, and not with the token itself
	until   time.Time      // when the session ends
	tenant  schemas.Tenant // "" where the route has none
	request *http.Request
}

type callKey struct{}

// add adds a route. serve is called with a request that fits its description,
// from somebody who may make it.
func add[I, O any](a *API, rt route, serve func(ctx context.Context, c *call, in *I) (*O, error)) {
	a.routes = append(a.routes, &rt)
	huma.Register(a.huma, huma.Operation{
		Method: rt.method, Path: rt.path, OperationID: rt.id, Summary: rt.summary, Description: rt.about,
		DefaultStatus: rt.success(), MaxBodyBytes: maxBody, BodyReadTimeout: bodyTime,
		Responses: rt.responses(), Security: rt.security(),
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) { a.admit(&rt, ctx, next) }},
	}, func(ctx context.Context, in *I) (*O, error) {
		c, _ := ctx.Value(callKey{}).(*call)
		if rt.change != "" {
			// What is half done in Halo is worse than what nobody waited for.
			ctx = context.WithoutCancel(ctx)
		}
		out, err := serve(ctx, c, in)
		a.audit(&rt, c, err)
		if err != nil {
			return nil, a.explain(&rt, c, err)
		}
		return out, nil
	})
}

// explain is what the caller is told, and logs what is ours.
func (a *API) explain(rt *route, c *call, err error) error {
	e := problem(rt, err)
	if e.Status >= 500 && e.Code != "standby" && c.request.Context().Err() == nil {
		a.log.Warn("request failed", "route", rt.label(), "tenant", c.tenant, "code", e.Code, "err", err)
	}
	return failure{e}
}

// newHuma makes huma speak as this API does.
func newHuma(mux *http.ServeMux) huma.API {
	cfg := huma.DefaultConfig("WorkSights HaloPSA connector: control API", "1")
	// Its own pages and links are not ours, and answers may grow members.
	cfg.CreateHooks, cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = nil, "", "", ""
	cfg.AllowAdditionalPropertiesByDefault = true
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	cfg.Transformers = []huma.Transformer{func(ctx huma.Context, _ string, v any) (any, error) {
		m, ok := v.(*huma.ErrorModel)
		if !ok {
			return v, nil
		}
		f := mistaken(m)
		if g, ok := ctx.(*guarded); ok {
			g.mistaken = f.Status
		}
		return f, nil
	}}
	return humago.New(mux, cfg)
}

// inner is huma.Context under a name that does not hide its method Context.
type inner huma.Context

// guarded is a request's context in which huma decides less than it would.
type guarded struct {
	inner
	call     *call
	mistaken int // the status of what huma itself refused
}

// Context has the call in it.
func (g *guarded) Context() context.Context {
	return context.WithValue(g.inner.Context(), callKey{}, g.call)
}

// Header hides what huma would negotiate: there is JSON, and nothing else.
func (g *guarded) Header(name string) string {
	if name == "Content-Type" || name == "Accept" {
		return ""
	}
	return g.inner.Header(name)
}

// SetHeader says that errors are JSON like all else.
func (g *guarded) SetHeader(name, value string) {
	if name == "Content-Type" {
		value = "application/json"
	}
	g.inner.SetHeader(name, value)
}

// SetStatus has 400 for what huma has 422, 415 and 408 for.
func (g *guarded) SetStatus(status int) {
	if g.mistaken != 0 {
		status = g.mistaken
	}
	g.inner.SetStatus(status)
}

// security says in the document whether a token is needed.
func (rt *route) security() []map[string][]string {
	if rt.scope == access.None {
		return []map[string][]string{}
	}
	return []map[string][]string{{"token": {}}}
}

// responses are the answers that the document knows, but for the body of
// success, which is made from its type.
func (rt *route) responses() map[string]*huma.Response {
	all := map[string]*huma.Response{
		strconv.Itoa(rt.success()): {Description: rt.says, Links: rt.links},
	}
	for status, why := range rt.refusals() {
		r := &huma.Response{Description: why, Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/Error"}},
		}}
		switch status {
		case http.StatusServiceUnavailable:
			r.Headers = map[string]*huma.Header{"Retry-After": {Description: "Seconds", Schema: &huma.Schema{Type: huma.TypeInteger}}}
		case http.StatusUnauthorized:
			r.Headers = map[string]*huma.Header{"WWW-Authenticate": {Schema: &huma.Schema{Type: huma.TypeString}}}
		}
		all[strconv.Itoa(status)] = r
	}
	return all
}
