//go:build synctests

package connect_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// tenantRoutes are the routes under a tenant, as requests of tenant acme.
func tenantRoutes() (all [][2]string) {
	for _, route := range connect.Routes() {
		method, path, _ := strings.Cut(route, " ")
		if strings.Contains(path, "{tenant}") {
			all = append(all, [2]string{method, strings.NewReplacer("{tenant}", "acme", "{agent}", "2").Replace(path)})
		}
	}
	return all
}

func with(token schemas.Secret) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token.Reveal()) }
}

func TestEachRouteWantsATokenThatCoversItsTenant(t *testing.T) {
	inWorld(t, func(w *world) {
		acme, err := access.New(w.tokens, access.Grant{Name: "acme-only", Tenants: []schemas.Tenant{"acme", "other"}})
		if err != nil {
			w.Fatal(err)
		}
		in := w.active()
		in.connect("acme", 0)
		in.connect("third", 0)
		for _, route := range append(tenantRoutes(), [2]string{"GET", "/v1/tenants"}) {
			for name, header := range map[string]string{
				"none": "", "another scheme": "Basic " + w.token.Reveal(), "no scheme": w.token.Reveal(), "unknown": "Bearer hct_unknown", "empty": "Bearer ",
			} {
				a := in.call(route[0], route[1], "{", func(r *http.Request) { r.Header.Set("Authorization", header) })
				if a.status != http.StatusUnauthorized || a.code() != "unauthorized" || a.header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%v with token %s: %d %s", route, name, a.status, a.body)
				}
			}
			if route[1] == "/v1/tenants" {
				continue
			}
			third := strings.Replace(route[1], "acme", "third", 1)
			if a := in.call(route[0], third, "{", with(acme)); a.status != http.StatusForbidden || a.code() != "forbidden" {
				t.Errorf("%s %s with another tenant's token: %d %s", route[0], third, a.status, a.body)
			}
			invalid := strings.Replace(route[1], "acme", "No-Tenant", 1)
			if a := in.call(route[0], invalid, "{"); a.status != http.StatusBadRequest || a.code() != "invalid_tenant" {
				t.Errorf("%s %s: %d %s", route[0], invalid, a.status, a.body)
			}
		}
		for token, want := range map[schemas.Secret]string{
			acme:    `{"tenants":[{"tenant":"acme","state":"degraded"}]}`,
			w.token: `{"tenants":[{"tenant":"acme","state":"degraded"},{"tenant":"third","state":"degraded"}]}`,
		} {
			if a := in.call("GET", "/v1/tenants", "", with(token)); strings.TrimSpace(string(a.body)) != want {
				t.Errorf("tenants %s, want %s", a.body, want)
			}
		}
		if a := in.call("GET", "/v1/openapi.json", "", with("")); a.status != http.StatusOK {
			t.Errorf("the document: %d", a.status)
		}
		// The file is taken up while we run: one token comes, one goes.
		text, err := os.ReadFile(w.tokens)
		if err != nil {
			w.Fatal(err)
		}
		lines := strings.SplitAfter(string(text), "\n")
		if err := os.WriteFile(w.tokens, []byte(lines[0]), 0o600); err != nil {
			w.Fatal(err)
		}
		fresh, err := access.New(w.tokens, access.Grant{Name: "fresh"})
		if err != nil {
			w.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		for token, status := range map[schemas.Secret]int{w.token: 200, acme: 401, fresh: 200} {
			if a := in.call("GET", at("acme", "/connection"), "", with(token)); a.status != status {
				t.Errorf("after the file changed: %d, want %d", a.status, status)
			}
		}
	}, halotest.Config{})
}

func TestATenantWithoutAConnectionIsToldSo(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		for _, directory := range []bool{false, true} {
			if directory { // users may come first
				in.users("acme", "u", "u@x.example")
			}
			for _, route := range tenantRoutes() {
				switch {
				case route[0] == "PUT" && !strings.HasSuffix(route[1], "/user"), strings.HasSuffix(route[1], "/timeline"):
				default:
					in.refused(http.StatusNotFound, "not_connected", route[0], route[1], `{"user_id":"u"}`)
				}
			}
		}
		in.want(http.StatusOK, "GET", at("acme", "/timeline"), "", nil)
		if a := in.call("GET", "/v1/tenants", ""); strings.TrimSpace(string(a.body)) != `{"tenants":[]}` {
			t.Errorf("tenants %s", a.body)
		}
	})
}

func TestWhatIsNotThereAndWhatIsNotAllowedIsSaidInJSON(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		for _, path := range []string{
			"/", "/v1", "/v1/tenants/acme", "/v1/tenants/acme/agents/2", "/v2/tenants", "/v1/tenants/acme/connection/refresh/x",
			"/v1/tenants/", "/v1//tenants", "//v1/tenants", "/v1/./tenants", "/v1/x/../tenants", "/v1/tenants//connection", "/v1/tenants/acme/../acme/agents",
		} {
			in.refused(http.StatusNotFound, "not_found", "GET", path, "")
		}
		allowed := make(map[string][]string)
		for _, route := range tenantRoutes() {
			allowed[route[1]] = append(allowed[route[1]], route[0])
		}
		for path, methods := range allowed {
			for _, method := range []string{"GET", "PUT", "POST", "DELETE", "PATCH"} {
				if slices.Contains(methods, method) {
					continue
				}
				a := in.call(method, path, "")
				if a.status != http.StatusMethodNotAllowed || a.code() != "method_not_allowed" || a.header.Get("Allow") != strings.Join(methods, ", ") {
					t.Errorf("%s %s: %d %s, allowed %q", method, path, a.status, a.body, a.header.Get("Allow"))
				}
			}
		}
	})
}

func TestARequestThatSaysWhatCannotBeIsRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active()
		in.connect("acme", 0)
		long := strings.Repeat("x", 201)
		for _, test := range []struct{ method, path, body, code string }{
			{"PUT", "/users", ``, "invalid_json"},
			{"PUT", "/users", `[{"user_id":"u"}`, "invalid_json"},
			{"PUT", "/users", `[{"user_id":"u"}] trailing`, "invalid_json"},
			{"PUT", "/users", `{"user_id":"u"}`, "invalid_json"},
			{"PUT", "/users", `null`, "invalid_json"},
			{"PUT", "/users", `[{"user_id":7}]`, "invalid_json"},
			{"PUT", "/users", `[{"email":"a@x.example"}]`, "invalid_user"},
			{"PUT", "/users", `[{"user_id":"` + long + `"}]`, "invalid_user"},
			{"PUT", "/connection", ``, "invalid_json"},
			{"PUT", "/connection", `[]`, "invalid_json"},
			{"PUT", "/connection", `{}`, "invalid_request"},
			{"PUT", "/connection", `{"tenant_url":"acme.halopsa.com","client_id":"x","client_secret":" \t"}`, "invalid_request"},
			{"PUT", "/connection", `{"tenant_url":"acme.halopsa.com","client_id":"","client_secret":"x"}`, "invalid_request"},
			{"PUT", "/agents/2/user", `{}`, "invalid_user"},
			{"PUT", "/agents/2/user", `{"user_id":"` + long + `"}`, "invalid_user"},
			{"PUT", "/agents/2/user", `"u"`, "invalid_json"},
			{"PUT", "/agents/two/user", `{"user_id":"u"}`, "invalid_agent"},
			{"DELETE", "/agents/-2/user", ``, "invalid_agent"},
			{"DELETE", "/agents/99999999999999999999/user", ``, "invalid_agent"},
			{"GET", "/timeline?limit=0", ``, "invalid_limit"},
			{"GET", "/timeline?limit=1001", ``, "invalid_limit"},
			{"GET", "/timeline?limit=ten", ``, "invalid_limit"},
			{"GET", "/timeline?from=%zz", ``, "invalid_query"},
			{"GET", "/timeline?limit=1;user=u", ``, "invalid_query"},
			{"GET", "/timeline?from=yesterday", ``, "invalid_from"},
			{"GET", "/timeline?to=2026-13-01", ``, "invalid_to"},
			{"GET", "/timeline?to=9999-01-01", ``, "invalid_to"},
			{"GET", "/timeline?cursor=x", ``, "invalid_cursor"},
			{"GET", "/timeline?cursor=MTIzfHg", ``, "invalid_cursor"},
		} {
			message := in.refused(http.StatusBadRequest, test.code, test.method, at("acme", test.path), test.body)
			if strings.Contains(message, "acme.halopsa") || strings.Contains(message, "trailing") {
				t.Errorf("%s repeats what was sent", message)
			}
		}
		for _, path := range []string{"/users", "/connection", "/agents/2/user"} {
			in.refused(http.StatusRequestEntityTooLarge, "too_large", "PUT", at("acme", path), strings.Repeat(" ", 8<<20+1))
		}
		// What a later version may send besides is no mistake.
		in.want(http.StatusOK, "PUT", at("acme", "/users"), `[{"user_id":"u","email":"a@x.example","name":"A","more":{"x":[1]}},{"user_id":"u"}]`, nil)
		in.want(http.StatusOK, "PUT", at("acme", "/agents/2/user"), `{"user_id":"u","because":"asked"}`, nil)
		if a := in.call("PUT", at("acme", "/users"), `[{"user_id":"u"},{"user_id":"u"},{"user_id":"v"}]`); strings.TrimSpace(string(a.body)) != `{"users":2}` {
			t.Errorf("users %s", a.body)
		}
	}, halotest.Config{})
}

func TestEachFailureOfOursIsA503ThatSaysWhenToComeAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		standby := w.start()
		for _, route := range append(tenantRoutes(), [2]string{"GET", "/v1/tenants"}) {
			if a := standby.call(route[0], route[1], "{"); a.status != http.StatusServiceUnavailable || a.code() != "standby" || a.header.Get("Retry-After") == "" {
				t.Errorf("%v: %d %s", route, a.status, a.body)
			}
		}
		standby.await()
		in := standby
		in.connect("acme", 0)
		w.outcomes.set(func(o *outcomes) { o.err = errors.New("no such host: clickhouse.internal") })
		if message := in.refused(http.StatusServiceUnavailable, "timeline_unavailable", "GET", at("acme", "/timeline"), ""); strings.Contains(message, "internal") {
			t.Errorf("the answer tells %q", message)
		}
		if c := in.connection("acme"); c.LastDeliveryAt != nil {
			t.Errorf("%+v", c)
		}
		// While an operation hangs, another one waits and is told so; reading
		// goes on.
		w.outcomes.set(func(o *outcomes) { o.err = nil })
		release := make(chan struct{})
		w.fault = func(context.Context, schemas.Tenant, string) (moment, error) { <-release; return never, nil }
		in.stop()
		in = w.active()
		done := make(chan struct{})
		go func() {
			defer close(done)
			in.raw("POST", at("acme", "/connection/refresh"), "")
		}()
		time.Sleep(time.Second)
		in.refused(http.StatusServiceUnavailable, "busy", "PUT", at("acme", "/users"), "[]")
		in.connection("acme")
		close(release)
		<-done
		in.users("acme", "u", "")
	}, halotest.Config{})
}

func TestATenantWhoseRecordDoesNotOpenIsLeftAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		in.connect("acme", 0)
		in.connect("other", 0)
		in.stop()
		// The record of another tenant under this one's key: it must not open.
		records := w.Records(w.T, w.topics.Vault)
		value := strings.Replace(string(records[len(records)-1].Value), `"other"`, `"acme"`, 1)
		w.Produce(w.T, kafka.Record(w.topics.Vault, "acme", schemas.VaultSchema, []byte(value)))
		before, _ := w.published("acme")
		in = w.active()
		for _, route := range tenantRoutes() {
			body := `{"user_id":"u"}`
			if strings.HasSuffix(route[1], "/users") {
				body = "[]"
			} else if strings.HasSuffix(route[1], "/connection") {
				body = credentials(w.urls[0])
			}
			if !strings.HasSuffix(route[1], "/timeline") {
				in.refused(http.StatusServiceUnavailable, "vault_sealed", route[0], route[1], body)
			}
		}
		if after, ok := w.published("acme"); !ok || after.WebhookID != before.WebhookID {
			t.Error("the edge was told something else about a tenant that nobody can read")
		}
		if c := in.connection("other"); c.Webhook.ID == "" {
			t.Errorf("%+v", c)
		}
	}, halotest.Config{})
}

func TestChangesAreAuditedWithoutValues(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Name: "Ada Example", Email: "ada@x.example"})
		in := w.active()
		in.users("acme", "u-secret-user", "ada@x.example")
		in.connect("acme", 0)
		in.want(http.StatusOK, "PUT", at("acme", "/agents/2/user"), `{"user_id":"u-secret-user"}`, nil)
		in.want(http.StatusNoContent, "DELETE", at("acme", "/agents/2/user"), "", nil)
		in.want(http.StatusOK, "POST", at("acme", "/connection/refresh"), "", nil)
		in.want(http.StatusOK, "POST", at("acme", "/connection/reconnect"), "", nil)
		in.refused(http.StatusUnprocessableEntity, "unknown_user", "PUT", at("acme", "/agents/2/user"), `{"user_id":"u-who"}`)
		in.want(http.StatusNoContent, "DELETE", at("acme", "/connection"), "", nil)
		in.call("PUT", at("acme", "/users"), "[]", with("unknown"))
		var said []string
		for line := range strings.Lines(w.log.String()) {
			if _, rest, ok := strings.Cut(line, "msg=audit "); ok {
				said = append(said, strings.TrimSpace(rest))
			}
		}
		want := []string{
			"tenant=acme change=users token=operator result=ok", "tenant=acme change=connect token=operator result=ok",
			"tenant=acme change=map token=operator result=ok agent=2", "tenant=acme change=unmap token=operator result=ok agent=2",
			"tenant=acme change=refresh token=operator result=ok", "tenant=acme change=reconnect token=operator result=ok",
			"tenant=acme change=map token=operator result=unknown_user", "tenant=acme change=disconnect token=operator result=ok",
		}
		if !slices.Equal(said, want) {
			t.Errorf("audited\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
		}
		if strings.Contains(w.log.String(), "u-secret-user") || strings.Contains(w.log.String(), "u-who") {
			t.Error("the log has a user's id")
		}
	}, halotest.Config{})
}

// bulky are credentials with a CA bundle of a megabyte.
func bulky(url string) string {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	der := server.Certificate().Raw
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return strings.TrimSuffix(credentials(url), "}") + fmt.Sprintf(`,"ca_bundle":%q}`, strings.Repeat(string(bundle), 1<<20/len(bundle)))
}

// The largest directory that a request can hold is more than one record of
// Kafka takes.
func TestADirectoryThatNoRecordHoldsIsRefusedAndNothingElseSuffers(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		in.connect("acme", 0)
		random := func() string {
			id := make([]byte, 16)
			_, _ = rand.Read(id)
			return hex.EncodeToString(id)
		}
		users := func(n int) string {
			list := make([]string, n)
			for i := range list {
				list[i] = fmt.Sprintf(`{"user_id":%q,"email":"user.%d@some-customer.example"}`, random(), i)
			}
			return "[" + strings.Join(list, ",") + "]"
		}
		in.want(http.StatusOK, "PUT", at("acme", "/users"), users(20_000), nil)
		in.refused(http.StatusRequestEntityTooLarge, "too_large", "PUT", at("acme", "/users"), users(80_000))
		for id := range schemas.AgentID(18_000) {
			w.sims[0].AddAgent(halotest.Agent{ID: id + 2, Name: random() + random()})
		}
		in.refused(http.StatusRequestEntityTooLarge, "too_large", "POST", at("acme", "/connection/refresh"), "")
		// Together with an authority's certificates that nobody needs: refused
		// after Halo took the webhook, which is taken back.
		in.refused(http.StatusRequestEntityTooLarge, "too_large", "PUT", at("more", "/connection"), bulky(w.urls[0]))
		if _, ok := w.published("more"); ok || len(w.live(0)) != 1 || w.sims[0].Notifications() != 4 {
			t.Errorf("%d webhooks and %d notifications are left, the edge knows the tenant: %v", len(w.live(0)), w.sims[0].Notifications(), ok)
		}
		if err := in.Ready(); err != nil {
			t.Errorf("a directory ended the term: %v", err)
		}
		if c := in.connection("acme"); c.State != "degraded" {
			t.Errorf("%+v", c)
		}
		in.stop()
		in = w.active()
		if c := in.connection("acme"); c.Webhook.ID == "" || c.Agents.Total != 0 {
			t.Errorf("%+v", c)
		}
	}, halotest.Config{IgnorePaging: true})
}
