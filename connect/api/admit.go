package api

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// admit checks, in this order: the token, the tenant's name, whether the token
// may see the tenant and do this, whether this instance is the one to answer.
// The body is not read before all of that.
func (a *API) admit(rt *route, ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	c := &call{request: r}
	refused := a.judge(rt, c)
	if refused == nil {
		refused = blank(ctx.Operation(), r.URL.Query())
	}
	if refused != nil {
		switch refused.Status {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", "Bearer")
			a.refused(rt, c, refused)
		case http.StatusForbidden:
			a.refused(rt, c, refused)
		}
		a.audit(rt, c, refused)
		fail(w, refused)
		return
	}
	next(&guarded{inner: ctx, call: c})
}

func (a *API) judge(rt *route, c *call) *control.Refusal {
	if rt.scope != access.None {
		if refused := a.identify(c); refused != nil {
			return refused
		}
	}
	if strings.Contains(rt.path, "{tenant}") {
		tenant, err := schemas.ParseTenant(c.request.PathValue("tenant"))
		if err != nil {
			return invalid("%s.", strings.ToUpper(err.Error()[:1])+err.Error()[1:])
		}
		if !c.grant.Allows(tenant) {
			return control.Refuse(http.StatusForbidden, "forbidden", "This token does not cover the tenant.")
		}
		c.tenant = tenant
	}
	if c.grant.Scope < rt.scope {
		return control.Refuse(http.StatusForbidden, "scope_missing", "This token lacks the scope %s.", rt.scope)
	}
	// A filter that was left out would show what was not asked for.
	if _, err := url.ParseQuery(c.request.URL.RawQuery); err != nil {
		return invalid("The query cannot be read.")
	}
	if rt.everywhere {
		return nil
	}
	if err := a.cfg.Tenants.Ready(); err != nil {
		return control.ErrStandby
	}
	return nil
}

// blank refuses a parameter that is there and says nothing, where nothing is no
// answer: huma would take it for one that is left out, and a filter that was
// meant would be none. The first page's cursor and a search for nothing are.
func blank(op *huma.Operation, query url.Values) *control.Refusal {
	for _, p := range op.Parameters {
		if p.In == "query" && p.Name != "cursor" && p.Name != "q" && p.Name != "user" && query.Has(p.Name) && query.Get(p.Name) == "" {
			return invalid("query.%s: it is empty.", p.Name)
		}
	}
	return nil
}

var (
	errNoToken = control.Refuse(http.StatusUnauthorized, "unauthorized", "A bearer token is needed that this API knows.")
	errEnded   = control.Refuse(http.StatusUnauthorized, "token_expired", "The token, or the session, has ended.")
)

// identify finds out whose call it is, by the token or the session in it.
func (a *API) identify(c *call) *control.Refusal {
	scheme, token, _ := strings.Cut(c.request.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return errNoToken
	}
	var err error
	if strings.HasPrefix(token, sessionPrefix) {
		c.session = true
		c.grant, c.until, err = a.openSession(token)
	} else {
		c.grant, err = a.cfg.Tokens.Grant(schemas.Secret(token))
		c.until = c.grant.Until
	}
	switch {
	case errors.Is(err, access.ErrExpired):
		return errEnded
	case err != nil:
		c.grant = access.Grant{}
		return errNoToken
	}
	return nil
}

// refused says whose token was refused, and never which. Nobody's is said as a
// name that no token can have.
func (a *API) refused(rt *route, c *call, why *control.Refusal) {
	name := c.grant.Name
	if name == "" {
		name = "(unknown)"
	}
	attrs := []any{slog.String("token", name), slog.String("route", rt.label()), slog.String("code", why.Code)}
	if tenant, err := schemas.ParseTenant(c.request.PathValue("tenant")); err == nil {
		attrs = append(attrs, slog.String("tenant", string(tenant)))
	}
	a.log.Warn("a token was refused", attrs...)
}

// audit says who changed what, and never to which value.
func (a *API) audit(rt *route, c *call, err error) {
	if rt.change == "" || c.grant.Name == "" {
		return
	}
	result := "ok"
	if err != nil {
		result = problem(rt, err).Code
	}
	attrs := []any{slog.String("tenant", string(c.tenant)), slog.String("change", rt.change), slog.String("token", c.grant.Name), slog.String("result", result)}
	if agent := c.request.PathValue("agent"); agent != "" && err == nil {
		attrs = append(attrs, slog.String("agent", agent))
	}
	a.log.Info("audit", attrs...)
	a.metrics.operations.WithLabelValues(rt.change, result).Inc()
}
