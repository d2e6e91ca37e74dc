package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/danielgtaylor/huma/v2"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// The document is what huma makes of the routes and their types, and what
// follows: what Go's types and tags cannot say.

const description = "Connects a tenant's HaloPSA, HaloITSM or self-hosted Halo, maps its agents to WorkSights users, and says why an activity is or is not there. " +
	`Errors are {"error":{"code","message"}}: 4xx for the caller, 502 and 504 for Halo, 503 for this service where trying again helps, ` +
	"500 for a mistake of its own. Every fault of a request is 400 invalid. Answers may grow members, and lists of words may grow words: pass over what you do not know. " +
	"Times are UTC, in milliseconds."

// schemaName names a type's schema: two packages have an Event.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[schemas.Event]():
		return "Facts"
	case reflect.TypeFor[control.ErrorBody]():
		return "Error"
	case reflect.TypeFor[control.Refusal]():
		return "ErrorObject"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// refusals are the statuses that are no success, and why.
func (rt *route) refusals() map[int]string {
	all := map[int]string{
		http.StatusInternalServerError: "internal: a mistake of this service; the log says what",
	}
	if rt.path == "/v1/openapi.json" {
		return all
	}
	all[http.StatusBadRequest] = "invalid: the request says what cannot be"
	all[http.StatusServiceUnavailable] = "This service cannot serve now: standby, log_unavailable, timeline_unavailable or busy. Try again"
	if rt.scope != access.None {
		all[http.StatusUnauthorized] = "unauthorized: no token, or one that is not known. token_expired: it has ended"
		all[http.StatusForbidden] = "scope_missing: the token lacks the scope " + rt.scope.String()
		if strings.Contains(rt.path, "{tenant}") {
			all[http.StatusForbidden] += ". forbidden: it does not cover the tenant"
		}
	}
	if rt.method != http.MethodGet && rt.method != http.MethodDelete {
		all[http.StatusRequestEntityTooLarge] = fmt.Sprintf("too_large: the request is longer than %d MiB, or more users and agents than can be kept", maxBody>>20)
	}
	for status, why := range rt.refuses {
		all[status] = why
	}
	return all
}

// finishDocument completes the document once all routes are there.
func (a *API) finishDocument() error {
	doc := a.huma.OpenAPI()
	doc.Info.Description = description
	doc.Security = []map[string][]string{{"token": {}}}
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {
		Type: "http", Scheme: "bearer", Description: "Made by haloctl tokens new; bound to tenants, scopes and an end as it says there",
	}}
	registry := doc.Components.Schemas
	registry.Schema(reflect.TypeFor[control.ErrorBody](), true, "")
	all := registry.Map()
	delete(all, "ErrorModel") // huma's form of an error, which nobody gets
	delete(all, "ErrorDetail")
	for _, s := range all {
		tidy(s)
	}
	for _, name := range []string{"UsersPatch", "LinkRequest"} {
		for member, s := range all[name].Properties {
			s.Nullable = !slices.Contains(all[name].Required, member)
		}
	}
	for _, member := range []string{"facts", "mapping"} {
		s := all["Explanation"].Properties[member]
		all["Explanation"].Properties[member] = &huma.Schema{
			Description: s.Description, AnyOf: []*huma.Schema{{Ref: s.Ref}, {Type: "null"}},
		}
	}
	all["Facts"].Properties["id"].Format = "uuid"
	user := userPattern()
	for _, s := range []*huma.Schema{all["User"].Properties["user_id"], all["ErasureRequest"].Properties["user_id"]} {
		s.Pattern = user
	}
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete} {
			if op != nil {
				describe(op)
			}
		}
	}
	// The one route with a second success.
	connected := doc.Paths[tenantPath+"/connection"].Put.Responses
	connected["201"] = &huma.Response{Description: "Connected; there was no connection before", Content: connected["200"].Content}
	text, err := json.Marshal(doc)
	a.document = ascii(text)
	return err
}

// ascii writes JSON without any other character than those of ASCII, which
// every reader takes for the same: some read a document as YAML, where a
// character of a pattern may not stand as it is.
func ascii(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/8)
	for _, r := range string(text) {
		if r < 0x7F {
			out = append(out, byte(r))
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}

// tidy says of no array that it may be null, as huma does of all; and nothing of
// further members: that objects may have some is what a schema means that says
// nothing, and said aloud it gives clients a map beside every object.
func tidy(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.AdditionalProperties == true {
		s.AdditionalProperties = nil
	}
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
	tidy(s.Items)
	for _, p := range s.Properties {
		tidy(p)
	}
	if more, ok := s.AdditionalProperties.(*huma.Schema); ok {
		tidy(more)
	}
}

// describe says in the document what is checked elsewhere.
func describe(op *huma.Operation) {
	for _, p := range op.Parameters {
		examples(p)
		switch p.Name {
		case "from", "to":
			p.Schema = &huma.Schema{Type: huma.TypeString, Format: "date-time"}
		case "zone":
			p.Schema = &huma.Schema{Type: huma.TypeString, Default: "UTC", Enum: anys(zones())}
		case "event":
			p.Schema = &huma.Schema{Type: huma.TypeString, Format: "uuid"}
		case "cursor":
			s := *p.Schema
			p.Schema, s.Pattern = &s, control.CursorPattern
			switch op.OperationID {
			case "getTenants":
				s.Pattern = tenantPattern
			case "getAgents":
				s.Pattern = "^[0-9]{1,15}$"
			}
			s.Pattern = "^(" + strings.Trim(s.Pattern, "^$") + ")?$" // empty for the first page
		}
	}
	if op.RequestBody == nil {
		return
	}
	body := op.RequestBody.Content["application/json"].Schema
	tidy(body)
	if op.OperationID == "mapAgent" {
		body.Properties["user_id"].Pattern = userPattern()
		// A copy: huma checks by its own, and would count what fits without
		// looking at what is required.
		exactly := *body
		op.RequestBody.Content["application/json"].Schema = &exactly
		exactly.OneOf = []*huma.Schema{{Required: []string{"user_id"}}, {Required: []string{"set"}}}
	}
}

// examples puts a parameter's example where tools look for it.
func examples(p *huma.Param) {
	if p.Schema != nil && len(p.Schema.Examples) > 0 {
		p.Example = p.Schema.Examples[0]
	}
}

func anys[T any](all []T) []any {
	out := make([]any, len(all))
	for i, v := range all {
		out[i] = v
	}
	return out
}

const tenantPattern = "^[a-z0-9][a-z0-9_-]{0,62}$"

func isTenant(s string) bool {
	_, err := schemas.ParseTenant(s)
	return err == nil
}

func isZone(name string) bool { return slices.Contains(zones(), name) }

// assignmentSchema describes an assignment: exactly by rules, or loosely where
// what breaks them is answered in a result of its own.
func assignmentSchema(exact bool) *huma.Schema {
	user := &huma.Schema{Description: "A user of the directory", Examples: []any{"u-1042"}}
	set := &huma.Schema{Description: "unmatched: mapped to nobody, until somebody says otherwise. ignored: not to be mapped, and no more asked about. " +
		"automatic: forget what was said by hand, and match"}
	s := &huma.Schema{
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"user_id": user, "set": set},
		Description: "Either user_id or set",
	}
	if !exact {
		s.Properties["agent_id"] = agentRef(0).Schema(nil)
		s.Required = []string{"agent_id"}
		return s
	}
	least, most := 1, maxUserID
	user.Type, user.MinLength, user.MaxLength = huma.TypeString, &least, &most
	set.Type, set.Enum = huma.TypeString, []any{control.SetUnmatched, control.SetIgnored, control.SetAutomatic}
	return s
}

// userPattern is what checkUser lets pass, but for the length, which is in
// bytes, and the few characters beyond the first plane that it refuses too.
func userPattern() string { return "^" + harmless.Pattern() + "+$" }
