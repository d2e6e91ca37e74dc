package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// visit is one request, by whoever is signed in. Templates see it as the frame
// around their own data.
type visit struct {
	c   *Console
	w   http.ResponseWriter
	r   *http.Request
	now time.Time
	had bool // a cookie came, whatever it is worth

	tenant schemas.Tenant
	page   page
	rest   []string // of the path, behind the page's name
	zone   *time.Location

	api     *control.Client // as the session
	Session control.Session
	Name    string // of the page
	Title   string
	Body    any
	Notice  string // what was done, on the page that follows
}

func (c *Console) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{c: c, w: w, r: r, now: c.cfg.Now()}
	v.zone = v.zoneOf()
	return v
}

// limit bounds the body of a form.
func (v *visit) limit(bytes int64) { v.r.Body = http.MaxBytesReader(v.w, v.r.Body, bytes) }

// ask asks the API and takes out of the answer what would mislead its reader.
func ask(ctx context.Context, api *control.Client, method, path string, query url.Values, body, out any) error {
	a, err := api.Send(ctx, control.Request{Method: method, Path: path, Query: query, Body: body})
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return fmt.Errorf("answer of %s %s: %w", method, path, err)
	}
	cleanAll(out)
	return nil
}

// get asks for something of the tenant.
func (v *visit) get(path string, query url.Values, out any) error {
	return ask(v.r.Context(), v.api, http.MethodGet, control.TenantPath(v.tenant, path), query, nil, out)
}

// do changes something of the tenant.
func (v *visit) do(method, path string, body, out any) error {
	return ask(v.r.Context(), v.api, method, control.TenantPath(v.tenant, path), nil, body, out)
}

func isStatus(err error, status int) bool {
	r, ok := errors.AsType[*control.Refusal](err)
	return ok && r.Status == status
}

func isCode(err error, codes ...string) bool {
	r, ok := errors.AsType[*control.Refusal](err)
	return ok && slices.Contains(codes, r.Code)
}

// end answers with what a page could not do.
func (v *visit) end(err error) {
	refused, _ := errors.AsType[*control.Refusal](err)
	switch {
	case err == nil:
	case errors.Is(err, errEnded), isStatus(err, http.StatusUnauthorized):
		v.toSignIn()
	case errors.Is(err, errNowhere), isStatus(err, http.StatusForbidden) && refused.Code != "scope_missing":
		v.nothing()
	case errors.Is(err, errScope), isStatus(err, http.StatusForbidden):
		v.tell(http.StatusForbidden, "You may not do this here",
			fmt.Sprintf("Your sign-in allows you to %s. Ask whoever gave it to you for one that allows more.", scopeWords(v.Session.Scopes)))
	case isCode(err, "not_connected"):
		v.end(v.show(http.StatusOK, "unconnected", v.page.title, nil))
	case isCode(err, "sealed"):
		v.end(v.show(http.StatusOK, "sealed", v.page.title, nil))
	case refused != nil && refused.Status < 500:
		v.tell(refused.Status, "That did not work", harmless.Text(refused.Message))
	default:
		v.broken(err, refused)
	}
}

// broken answers where the API, or what it needs, is not there now. A page that
// was asked for asks again by itself; what a form had sent is never sent twice.
func (v *visit) broken(err error, refused *control.Refusal) {
	said := failure{Message: "The connector does not answer at the moment. Nothing is lost: what Halo delivers is kept.", Again: v.r.URL.RequestURI()}
	status := http.StatusServiceUnavailable
	if refused != nil {
		status, said.Message = refused.Status, harmless.Text(refused.Message)
		said.Standby = refused.Code == "standby"
	} else if !errors.Is(err, control.ErrUnavailable) {
		status, said.Message = http.StatusInternalServerError, "This page could not be made. The log says why."
	}
	if v.r.Context().Err() == nil {
		v.c.cfg.Log.Warn("a page of the console failed", "page", v.page.name, "tenant", string(v.tenant), "err", err)
	}
	if !v.reads() {
		said.Again = v.path(v.page.name)
	} else if status == http.StatusServiceUnavailable {
		v.w.Header().Set("Refresh", "5")
	}
	title := "This page cannot be shown right now"
	if said.Standby {
		title = "One moment, another instance takes over"
	}
	if err := v.show(status, "failed", title, said); err != nil {
		http.Error(v.w, title, http.StatusInternalServerError)
	}
}

type failure struct {
	Message, Again string
	Standby        bool
}

// tell answers with a plain page.
func (v *visit) tell(status int, title, words string) {
	if err := v.show(status, "told", title, words); err != nil {
		http.Error(v.w, title, status)
	}
}

func (v *visit) nothing() {
	v.tell(http.StatusNotFound, "There is no such page", "The address may be mistyped, or it may belong to a tenant that you cannot see.")
}

func (v *visit) toSignIn() {
	q := url.Values{}
	if v.had {
		v.forget()
		q.Set("ended", "1")
	}
	if v.reads() && v.tenant != "" {
		q.Set("next", v.r.URL.RequestURI())
	}
	to := Prefix
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	v.redirect(to)
}

func (v *visit) redirect(to string) {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

// path is one of the tenant's pages, with a query where there is one.
func (v *visit) path(page string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	p := Prefix + string(v.tenant) + "/" + page
	if len(q) > 0 {
		p += "?" + q.Encode()
	}
	return p
}

// Can reports whether the session's scopes cover a scope.
func (v *visit) Can(scope string) bool { return slices.Contains(covered(v.Session.Scopes), scope) }

func covered(scopes []string) []string {
	order := []string{control.ScopeRead, control.ScopeMap, control.ScopeManage}
	most := 0
	for _, s := range scopes {
		most = max(most, slices.Index(order, s)+1)
	}
	return order[:most]
}

func scopeWords(scopes []string) string {
	return []string{"do nothing", "look", "look and map agents", "do everything"}[len(covered(scopes))]
}

// Path is the address of one of the tenant's pages, for templates.
func (v *visit) Path(page string, pairs ...string) string { return v.path(page, pairs...) }

// Tenant is whose page it is; "" on those that are nobody's.
func (v *visit) Tenant() string { return string(v.tenant) }

// Console is where the console begins.
func (v *visit) Console() string { return Prefix }

// Several reports whether the session may see more than one tenant.
func (v *visit) Several() bool { return v.Session.Name != "" && len(v.Session.Tenants) != 1 }

// Signed reports whether somebody is signed in.
func (v *visit) Signed() bool { return v.Session.Name != "" }

// URL is the address of this page with parameters changed; an empty value takes
// one away. The cursor never stays: it belongs to the filters of before.
func (v *visit) URL(pairs ...string) string {
	q := v.r.URL.Query()
	q.Del("page")
	q.Del("did")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		} else {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return v.r.URL.Path
	}
	return v.r.URL.Path + "?" + q.Encode()
}

// Nav is the navigation: the pages that the session may open.
func (v *visit) Nav() []navItem {
	if v.tenant == "" || !v.Signed() {
		return nil
	}
	var items []navItem
	for _, p := range pages() {
		// Connect is a step of the integration, not a place of its own.
		if p.name == "connect" || !v.Can(p.scope) {
			continue
		}
		current := p.name == v.page.name || p.name == "connection" && v.page.name == "connect"
		items = append(items, navItem{p.title, v.path(p.name), current})
	}
	return items
}

type navItem struct {
	Title, Path string
	Current     bool
}

// Here is the current item of the navigation.
func (v *visit) Here() string {
	for _, n := range v.Nav() {
		if n.Current {
			return n.Title
		}
	}
	return "Menu"
}

// field is a value of the query, bounded and without what cannot be typed.
func (v *visit) field(name string) string {
	s := v.r.URL.Query().Get(name)
	if len(s) > 500 {
		s = s[:500]
	}
	return strings.TrimSpace(harmless.Text(strings.ToValidUTF8(s, "")))
}

// Keep are the parameters that a form for the time zone leaves as they are.
func (v *visit) Keep() []fieldValue {
	var out []fieldValue
	for _, name := range []string{"user", "day", "kind", "range"} {
		if value := v.field(name); value != "" {
			out = append(out, fieldValue{name, value})
		}
	}
	return out
}

// Field is a value of the query, for templates.
func (v *visit) Field(name string) string { return v.field(name) }
