//go:build synctests

package connect_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/schemas"
)

// answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call makes a request of the API. Every answer is held to the OpenAPI
// document.
func (in *instance) call(method, path, body string, edits ...func(*http.Request)) answer {
	in.w.Helper()
	r := httptest.NewRequestWithContext(in.w.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+in.w.token.Reveal())
	for _, edit := range edits {
		edit(r)
	}
	rec := httptest.NewRecorder()
	in.Handler().ServeHTTP(rec, r)
	a := answer{rec.Code, rec.Header(), rec.Body.Bytes()}
	if err := document().check(method, r.URL.Path, a); err != nil {
		in.w.Errorf("%s %s: the answer is not as the document says: %v\n%s", method, path, err, a.body)
	}
	return a
}

// want makes a request that must be answered with status (2 is any success),
// and reads the answer
// into out where that is not nil.
func (in *instance) want(status int, method, path, body string, out any) {
	in.w.Helper()
	a := in.call(method, path, body)
	if a.status != status && a.status/100 != status {
		in.w.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	if out != nil {
		if err := json.Unmarshal(a.body, out); err != nil {
			in.w.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

// refused makes a request that must be refused with status and code, and
// returns the message.
func (in *instance) refused(status int, code, method, path, body string) string {
	in.w.Helper()
	a := in.call(method, path, body)
	if a.status != status || a.code() != code {
		in.w.Fatalf("%s %s: %d %s, want %d %s", method, path, a.status, a.body, status, code)
	}
	return a.message()
}

func (a answer) problem() (code, message string) {
	var e struct {
		Error struct{ Code, Message string }
	}
	_ = json.Unmarshal(a.body, &e) // what is no error has no code
	return e.Error.Code, e.Error.Message
}

func (a answer) code() string    { code, _ := a.problem(); return code }
func (a answer) message() string { _, message := a.problem(); return message }

// The bodies of the API, as its callers read them.
type (
	connectionBody struct {
		Tenant, Connection, State string
		TenantURL                 string `json:"tenant_url"`
		Webhook                   struct {
			ID, Name, URL string
			Active        bool
			Events        []string
			CheckedAt     *time.Time `json:"checked_at"`
		}
		Agents         struct{ Total, Matched, Unmatched, Ignored int }
		LastDeliveryAt *time.Time `json:"last_delivery_at"`
		ConnectedAt    *time.Time `json:"connected_at"`
		Problems       []connect.Problem
	}
	agentBody struct {
		ID          schemas.AgentID `json:"agent_id"`
		Name, Email string
		State       string
		UserID      string     `json:"user_id"`
		Since       *time.Time `json:"since"`
	}
)

// codes are the problems' codes.
func (c connectionBody) codes() []string {
	var codes []string
	for _, p := range c.Problems {
		codes = append(codes, p.Code)
	}
	return codes
}

func at(tenant, rest string) string { return "/v1/tenants/" + tenant + rest }

func credentials(url string) string {
	return fmt.Sprintf(`{"tenant_url":%q,"client_id":%q,"client_secret":%q}`, url, clientID, clientSecret.Reveal())
}

// connect connects a tenant to the Halo n and returns the answer.
func (in *instance) connect(tenant string, n int) connectionBody {
	in.w.Helper()
	a := in.call("PUT", at(tenant, "/connection"), credentials(in.w.urls[n]))
	if a.status != http.StatusCreated && a.status != http.StatusOK {
		in.w.Fatalf("connect: %d %s", a.status, a.body)
	}
	return a.connection(in.w)
}

func (a answer) connection(w *world) (c connectionBody) {
	w.Helper()
	if err := json.Unmarshal(a.body, &c); err != nil {
		w.Fatal(err)
	}
	return c
}

func (in *instance) connection(tenant string) (c connectionBody) {
	in.w.Helper()
	in.want(http.StatusOK, "GET", at(tenant, "/connection"), "", &c)
	return c
}

func (in *instance) users(tenant string, users ...string) {
	in.w.Helper()
	var list []string
	for i := 0; i < len(users); i += 2 {
		list = append(list, fmt.Sprintf(`{"user_id":%q,"email":%q}`, users[i], users[i+1]))
	}
	in.want(http.StatusOK, "PUT", at(tenant, "/users"), "["+strings.Join(list, ",")+"]", nil)
}

// agents are the tenant's agents by their ids.
func (in *instance) agents(tenant string) map[schemas.AgentID]agentBody {
	in.w.Helper()
	var body struct{ Agents []agentBody }
	in.want(http.StatusOK, "GET", at(tenant, "/agents"), "", &body)
	all := make(map[schemas.AgentID]agentBody)
	for _, a := range body.Agents {
		all[a.ID] = a
	}
	return all
}

// standing says how an agent stands, in one word or two.
func (in *instance) standing(tenant string, agent schemas.AgentID) string {
	in.w.Helper()
	a, ok := in.agents(tenant)[agent]
	if !ok {
		return "absent"
	}
	return strings.TrimSpace(a.State + " " + a.UserID)
}
