package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// openAPI is the document, ready to hold answers to.
type openAPI struct {
	text     []byte
	compiler *jsonschema.Compiler
	paths    map[string]map[string]operation // by path and method

	mu sync.Mutex // a compiler is for one goroutine
}

type operation struct {
	Responses map[string]struct {
		Ref     string `json:"$ref"`
		Content map[string]any
	}
	RequestBody struct{ Content map[string]any }
}

// documents are read once: compiling one takes longer than most tests. They are
// the same for every API.
var documents struct {
	sync.Mutex
	read *openAPI
}

func (w *world) document() *openAPI {
	documents.Lock()
	defer documents.Unlock()
	if documents.read == nil {
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, httptest.NewRequestWithContext(w.Context(), "GET", "/v1/openapi.json", nil))
		var err error
		if documents.read, err = readDocument(rec.Body.Bytes()); err != nil {
			w.Fatal(err)
		}
	}
	return documents.read
}

func readDocument(text []byte) (*openAPI, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	o := &openAPI{text: text, compiler: jsonschema.NewCompiler(), paths: make(map[string]map[string]operation)}
	o.compiler.AssertFormat()
	if err := o.compiler.AddResource("https://doc.example/openapi.json", doc); err != nil {
		return nil, err
	}
	var in struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, err
	}
	for path, members := range in.Paths {
		o.paths[path] = make(map[string]operation)
		for method, op := range members {
			o.paths[path][strings.ToUpper(method)] = op
		}
	}
	return o, nil
}

// find finds the path of the document that a request's path is one of.
func (o *openAPI) find(path string) (string, bool) {
	parts := strings.Split(path, "/")
	for pattern := range o.paths {
		fit := strings.Split(pattern, "/")
		if len(fit) == len(parts) && !slices.ContainsFunc(slices.Collect(zip(fit, parts)), func(p [2]string) bool {
			return p[0] != p[1] && !strings.HasPrefix(p[0], "{")
		}) {
			return pattern, true
		}
	}
	return "", false
}

func zip(a, b []string) func(func([2]string) bool) {
	return func(yield func([2]string) bool) {
		for i := range a {
			if !yield([2]string{a[i], b[i]}) {
				return
			}
		}
	}
}

// pointer writes the members of a JSON pointer.
func pointer(members ...string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	out := "https://doc.example/openapi.json#"
	for _, m := range members {
		out += "/" + escape.Replace(m)
	}
	return out
}

// check holds an answer to what the document says of its route and status.
func (o *openAPI) check(method, path string, a answer) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	isError := a.status >= 400
	at := []string{"components", "schemas", "Error"}
	if pattern, known := o.find(path); known && a.status != http.StatusMethodNotAllowed {
		op, ok := o.paths[pattern][method]
		if !ok {
			return fmt.Errorf("the document has no %s", method)
		}
		response, ok := op.Responses[fmt.Sprint(a.status)]
		if !ok {
			return fmt.Errorf("the document has no status %d", a.status)
		}
		switch {
		case response.Ref != "":
			at = append(strings.Split(strings.TrimPrefix(response.Ref, "#/"), "/"), "content", "application/json", "schema")
		case response.Content == nil && len(a.body) == 0:
			return nil
		case response.Content == nil:
			return errors.New("the document has no body")
		default:
			at = []string{"paths", pattern, strings.ToLower(method), "responses", fmt.Sprint(a.status), "content", "application/json", "schema"}
		}
	} else if !isError {
		return errors.New("the document has no such path")
	}
	if media, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err != nil || media != "application/json" {
		return fmt.Errorf("content type %q", a.header.Get("Content-Type"))
	}
	return o.validate(a.body, at...)
}

func (o *openAPI) validate(text []byte, at ...string) error {
	schema, err := o.compiler.Compile(pointer(at...))
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func TestEverySchemaOfTheDocumentIsOne(t *testing.T) {
	o := newWorld(t).document()
	n := 0
	for path, methods := range o.paths {
		for method, op := range methods {
			if op.RequestBody.Content != nil {
				if _, err := o.compiler.Compile(pointer("paths", path, strings.ToLower(method), "requestBody", "content", "application/json", "schema")); err != nil {
					t.Error(err)
				}
			}
			for status, r := range op.Responses {
				at := []string{"paths", path, strings.ToLower(method), "responses", status}
				if r.Ref != "" {
					at = strings.Split(strings.TrimPrefix(r.Ref, "#/"), "/")
				} else if r.Content == nil {
					continue
				}
				n++
				if _, err := o.compiler.Compile(pointer(append(at, "content", "application/json", "schema")...)); err != nil {
					t.Errorf("%s %s %s: %v", method, path, status, err)
				}
			}
		}
	}
	if n < 60 {
		t.Errorf("%d schemas compiled: this proves little", n)
	}
}

// What holds every answer to the document must refuse what differs from it.
func TestAnswersThatDifferFromTheDocumentAreNoticed(t *testing.T) {
	header := http.Header{"Content-Type": {"application/json"}}
	const row = `{"tenants":[{"tenant":"acme","state":"active","tenant_url":"","agents":{"total":0,"matched":0,"unmatched":0,"ignored":0},"last_delivery_at":null,"problems":[]}],"next":""}`
	if err := newWorld(t).document().check("GET", "/v1/tenants", answer{200, header, []byte(row)}); err != nil {
		t.Fatalf("what fits does not pass, so that this proves nothing: %v", err)
	}
	for name, test := range map[string]struct {
		method, path string
		answer       answer
	}{
		"a member missing": {"GET", "/v1/tenants", answer{200, header, []byte(`{"tenants":[{"tenant":"acme"}]}`)}},
		"a state unknown":  {"GET", "/v1/tenants", answer{200, header, []byte(strings.Replace(row, "active", "fine", 1))}},
		"a status unknown": {"GET", "/v1/tenants", answer{418, header, []byte(`{"error":{"code":"x","message":"y"}}`)}},
		"an error bare":    {"GET", "/v1/tenants", answer{401, header, []byte(`{"code":"x","message":"y"}`)}},
		"a route unknown":  {"GET", "/v1/anything", answer{200, header, []byte(`{}`)}},
		"a time that is none": {"GET", "/v1/tenants/acme/agents", answer{200, header, []byte(
			`{"agents":[{"agent_id":2,"name":"","email":"","state":"matched","user_id":"u","since":"yesterday"}],"next":""}`)}},
		"no JSON":                     {"GET", "/v1/tenants", answer{200, http.Header{"Content-Type": {"text/plain"}}, []byte(`{"tenants":[]}`)}},
		"a body where none is wanted": {"DELETE", "/v1/tenants/acme/connection", answer{204, header, []byte(`{}`)}},
	} {
		if newWorld(t).document().check(test.method, test.path, test.answer) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestTheDocumentHasTheRoutesThatTheContractNames(t *testing.T) {
	var got []string
	for path, methods := range newWorld(t).document().paths {
		for method := range methods {
			got = append(got, method+" "+strings.TrimPrefix(path, "/v1/tenants/{tenant}"))
		}
	}
	slices.Sort(got)
	want := []string{
		"DELETE ", "DELETE /agents/{agent}/user", "DELETE /connection", "GET /agents", "GET /agents/{agent}/history", "GET /changes", "GET /connection",
		"GET /deliveries", "GET /diagnosis", "GET /erasures", "GET /events", "GET /events/{event}", "GET /summary", "GET /timeline", "GET /users",
		"GET /v1/console-session", "GET /v1/openapi.json", "GET /v1/tenants", "PATCH /users", "POST /connection/reconnect", "POST /connection/refresh",
		"POST /console-link", "POST /erasures", "POST /v1/console-session", "PUT /agents/users", "PUT /agents/{agent}/user", "PUT /connection", "PUT /users",
	}
	if !slices.Equal(got, want) {
		t.Errorf("documented %q", got)
	}
}

// The lists of words stand in tags, which no constant can.
func TestTheDocumentListsTheWordsThatThereAre(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Enum  []string
					Items struct{ Enum []string }
				}
			}
		}
	}
	if err := json.Unmarshal(newWorld(t).document().text, &doc); err != nil {
		t.Fatal(err)
	}
	kinds, reasons := texts(schemas.Kinds()), append(texts(schemas.Reasons()), "")
	for at, want := range map[string][]string{
		"Connection.state": control.States(), "TenantRow.state": control.States(), "Activity.kind": kinds, "Event.kind": append(slices.Clone(kinds), ""),
		"DayCount.kind": kinds, "Event.reason": reasons, "Webhook.events": kinds,
		"Agent.state":  {control.Matched, control.Unmatched, control.Ignored},
		"Agent.reason": {control.NoEmail, control.NoUser, control.SharedEmail, control.AmbiguousEmail, control.ByHand, control.Disabled, control.APIAgent},
	} {
		schema, member, _ := strings.Cut(at, ".")
		p := doc.Components.Schemas[schema].Properties[member]
		if got := slices.Concat(p.Enum, p.Items.Enum); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
}

func texts[T ~string](all []T) (out []string) {
	for _, v := range all {
		out = append(out, string(v))
	}
	return out
}
