package api_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// link makes a link and returns the last part of its path.
func (w *world) link(body string, edits ...func(*http.Request)) string {
	w.Helper()
	var l control.Link
	w.want(200, "POST", at("/console-link"), body, &l, edits...)
	_, name, found := strings.Cut(l.URL, "http://connect.example/console/link/")
	if !found || l.ExpiresAt.Sub(w.now) > time.Minute {
		w.Fatalf("%+v", l)
	}
	return name
}

// open exchanges a link for a session.
func (w *world) open(link string) (s control.Session) {
	w.Helper()
	w.want(200, "POST", "/v1/console-session", `{"link":"`+link+`"}`, &s, header("Authorization", ""))
	return s
}

func (w *world) gone(link string) {
	w.Helper()
	w.refused(410, "link_used", "POST", "/v1/console-session", `{"link":"`+link+`"}`, header("Authorization", ""))
}

func TestALinkOpensTheConsoleOnceForItsTenantOnly(t *testing.T) {
	w := newWorld(t)
	portal := w.newToken(access.Grant{Name: "portal", Scope: access.Map})
	link := w.link(`{"path":"/console/acme/agents?state=unmatched"}`, as(portal))
	s := w.open(link)
	if s.Path != "/console/acme/agents?state=unmatched" || s.Name != "portal" || strings.Join(s.Scopes, " ") != "read map" || s.ExpiresAt.Sub(w.now) != 8*time.Hour {
		t.Errorf("%+v", s)
	}
	w.gone(link)
	session := as(schemas.Secret(s.Session))
	w.want(200, "PUT", at("/agents/2/user"), `{"user_id":"u-1"}`, nil, session)
	w.refused(403, "scope_missing", "DELETE", at("/connection"), "", session)
	w.refused(403, "forbidden", "GET", "/v1/tenants/globex/connection", "", session)
	var who control.Session
	if w.want(200, "GET", "/v1/console-session", "", &who, session); who.Name != "portal" || len(who.Tenants) != 1 || who.Session != "" {
		t.Errorf("%+v", who)
	}
	if log := w.log.String(); strings.Contains(log, s.Session) || strings.Contains(log, link) {
		t.Error("the log has the link or the session")
	}
}

func TestALinkNarrowsAndNeverWidens(t *testing.T) {
	w := newWorld(t)
	mapper := w.newToken(access.Grant{Name: "mapper", Scope: access.Map})
	for body, want := range map[string]string{
		`{}`: "read map", `{"scopes":["read"]}`: "read", `{"scopes":["manage"]}`: "read map", `{"scopes":["map","read"]}`: "read map", `{"scopes":[],"path":null}`: "read map", ``: "read map",
	} {
		if s := w.open(w.link(body, as(mapper))); strings.Join(s.Scopes, " ") != want || s.Path != "/console/acme/connection" {
			t.Errorf("%s: %+v", body, s)
		}
	}
	// A link that a session asks for is no way to a longer one.
	s := w.open(w.link(`{"scopes":["read"]}`, as(mapper)))
	w.now = w.now.Add(time.Hour)
	again := w.open(w.link(`{}`, as(schemas.Secret(s.Session))))
	if strings.Join(again.Scopes, " ") != "read" || !again.ExpiresAt.Equal(*s.ExpiresAt) {
		t.Errorf("%+v of %+v", again, s)
	}
}

func TestALinkIsVoidAfterItsMinuteAndAfterARestart(t *testing.T) {
	w := newWorld(t)
	late, lost := w.link(""), w.link("")
	w.now = w.now.Add(time.Minute)
	w.gone(late)
	fresh := w.link("")
	w.registry = nil
	w.api = w.start(func(c *api.Config) { c.Registry = nil })
	w.gone(lost)
	w.gone(fresh)
}

func TestASessionEndsWithItsTokenItsTimeAndItsKeyset(t *testing.T) {
	w := newWorld(t)
	w.newToken(access.Grant{Name: "short", Until: w.now.Add(time.Hour)})
	temp := w.newToken(access.Grant{Name: "temp"})
	signIn := func(token schemas.Secret) control.Session {
		var s control.Session
		w.want(200, "POST", "/v1/console-session", "", &s, as(token))
		return s
	}
	a, b := signIn(temp), signIn(w.token)
	if a.Path != "/console/" || len(a.Tenants) != 0 {
		t.Errorf("%+v", a)
	}
	if err := access.Revoke(w.file, "temp"); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(2 * time.Second)
	w.refused(401, "unauthorized", "GET", "/v1/tenants", "", as(schemas.Secret(a.Session)))
	w.want(200, "GET", "/v1/tenants", "", nil, as(schemas.Secret(b.Session)))
	// Every instance knows it, and none that has another keyset.
	w.api = w.start(func(c *api.Config) { c.Registry = nil })
	w.want(200, "GET", "/v1/tenants", "", nil, as(schemas.Secret(b.Session)))
	w.keyset += "-another"
	if err := vault.NewKeyset(w.keyset); err != nil {
		t.Fatal(err)
	}
	own := w.api
	w.api = w.start(func(c *api.Config) { c.Registry = nil })
	w.refused(401, "unauthorized", "GET", "/v1/tenants", "", as(schemas.Secret(b.Session)))
	w.api = own
	changed := []byte(b.Session)
	changed[len(changed)-3] ^= 1
	for _, text := range []string{"hcs_", "hcs_x", string(changed)} {
		w.refused(401, "unauthorized", "GET", "/v1/tenants", "", as(schemas.Secret(text)))
	}
	w.now = w.now.Add(8 * time.Hour)
	w.refused(401, "token_expired", "GET", "/v1/tenants", "", as(schemas.Secret(b.Session)))
	w.refused(401, "unauthorized", "POST", "/v1/console-session", "{}", header("Authorization", ""))
}

func TestALinkLeadsNowhereButIntoTheConsole(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{
		"/", "/console", "console/acme", "/consoles/", "//evil.example/console/", "https://evil.example/console/", "/console/../v1/", "/console/%2e%2e/v1",
		`/console/\\evil.example`, "/console/%5cevil", "/console//evil.example", "/console/%2f%2fevil", "/console/./x", "/console/acme#x", "/console/\\u0000", "/console/\\nx", "javascript:x",
	} {
		w.refused(400, "invalid", "POST", at("/console-link"), `{"path":"`+strings.ReplaceAll(path, `\\e`, `\\\\e`)+`"}`)
	}
	for _, path := range []string{"/console/", "/console/acme/timeline?user=u%201&day=2026-11-24"} {
		if s := w.open(w.link(`{"path":"` + path + `"}`)); s.Path != path {
			t.Errorf("%s: %+v", path, s)
		}
	}
}

func TestALinkIsOfTheHostThatWasAskedOrOfTheOneThatIsSaid(t *testing.T) {
	w := newWorld(t)
	var l control.Link
	w.want(200, "POST", at("/console-link"), "", &l, func(r *http.Request) {
		r.TLS = new(tls.ConnectionState)
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("Forwarded", "host=evil.example")
	})
	if !strings.HasPrefix(l.URL, "https://connect.example/console/") {
		t.Error(l.URL)
	}
	w.api = w.start(func(c *api.Config) { c.Registry, c.ConsoleURL = nil, "https://console.worksights.example/" })
	if w.want(200, "POST", at("/console-link"), "", &l); !strings.HasPrefix(l.URL, "https://console.worksights.example/console/link/") {
		t.Error(l.URL)
	}
}

// The link is of the instance that acts: a standby says so instead of using it
// up, and is asked again there.
func TestAStandbyOpensNoLink(t *testing.T) {
	w := newWorld(t)
	link := w.link("")
	w.tenants.NotReady = control.ErrStandby
	w.refused(503, "standby", "POST", "/v1/console-session", `{"link":"`+link+`"}`, header("Authorization", ""))
	w.want(200, "POST", "/v1/console-session", "", nil)
	w.tenants.NotReady = nil
	w.open(link)
}
