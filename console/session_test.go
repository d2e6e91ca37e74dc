package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/console"
	"github.com/worksights/halo-connector/console/consoletest"
	"github.com/worksights/halo-connector/internal/control"
)

const integration = "/console/northwind/connection"

func TestSignIn(t *testing.T) {
	v := visit(t)
	v.get("/console/").shows(t, 200, `action="/console/sign-in"`, `name="token"`)
	v.get(integration).leads(t, "/console/?next="+url.QueryEscape(integration))
	for token, want := range map[string]string{"": "Paste a token.", "hct_nobody": "No token like this is known.", "två ord": "No token like this is known."} {
		a := v.post("/console/sign-in", "token", token)
		a.shows(t, 401, want)
		sound(t, a)
		if len(v.cookies) > 0 {
			t.Fatalf("a token that is none gave a cookie: %v", v.cookies)
		}
	}
	v.post("/console/sign-in", "token", " "+consoletest.Operator+"\n").leads(t, "/console/")
	v.get(integration).shows(t, 200, "Connected, with one thing to do")
	v.get("/console/?out=1").shows(t, 200, "8 tenants")
	v.post("/console/sign-out").leads(t, "/console/?out=1")
	v.get("/console/?out=1").shows(t, 200, "You are signed out")
	v.get(integration).leads(t, "/console/?next="+url.QueryEscape(integration))
}

func TestSignInGoesWhereOneWantedAndNowhereElse(t *testing.T) {
	for next, want := range map[string]string{
		"/console/northwind/timeline?user=u-1": "/console/northwind/timeline?user=u-1",
		"https://evil.example/console/":        "/console/", "//evil.example/console/": "/console/", "/console/../v1/tenants": "/console/",
		"/v1/tenants": "/console/", "/console\\evil": "/console/", "javascript:alert(1)": "/console/", "/console/\r\nSet-Cookie: a=b": "/console/",
		"/console/%2e%2e/v1": "/console/", "": "/console/",
	} {
		v := visit(t)
		v.post("/console/sign-in", "token", consoletest.Operator, "next", next).leads(t, want)
	}
}

func TestTheSessionsCookie(t *testing.T) {
	for name, c := range map[string]struct {
		url, frame, want string
		hostOnly         bool
	}{
		"on this machine":     {"", "", "halo=…; Path=/; Max-Age=28800; HttpOnly; SameSite=Strict", true},
		"by https":            {"https://connect.worksights.example", "", "__Host-halo=…; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Strict", true},
		"behind what has TLS": {"", "", "__Host-halo=…; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Strict", false},
		"in a frame":          {"https://connect.worksights.example", "https://app.worksights.example", "__Host-halo=…; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=None; Partitioned", true},
	} {
		t.Run(name, func(t *testing.T) {
			v := visit(t, func(cfg *console.Config) { cfg.PublicURL, cfg.FrameAncestors = c.url, c.frame })
			r := httptest.NewRequest(http.MethodPost, "/console/sign-in", strings.NewReader("token="+consoletest.Operator))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Host = "127.0.0.1:8081"
			if !c.hostOnly {
				r.Host = "connect.worksights.example"
			}
			w := httptest.NewRecorder()
			v.handler.ServeHTTP(w, r)
			cookie := w.Header().Get("Set-Cookie")
			name, rest, _ := strings.Cut(cookie, "=")
			_, attributes, _ := strings.Cut(rest, ";")
			if got := name + "=…;" + attributes; got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			if strings.Contains(cookie, "; Domain") {
				t.Error("the cookie goes to other hosts")
			}
			frame := c.frame
			if frame == "" {
				frame = "'none'"
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors "+frame+";") {
				t.Errorf("policy: %s", csp)
			}
			if got := w.Header().Get("X-Frame-Options"); (got == "DENY") != (c.frame == "") {
				t.Errorf("X-Frame-Options %q", got)
			}
		})
	}
}

func TestARevokedTokenEndsItsSessionsAtOnce(t *testing.T) {
	v := signedIn(t, consoletest.Admin)
	v.get(integration).shows(t, 200)
	v.api.Do(func() { delete(v.api.Tokens, consoletest.Admin) })
	a := v.get(integration)
	a.leads(t, "/console/?ended=1&next="+url.QueryEscape(integration))
	if len(v.cookies) > 0 {
		t.Errorf("the cookie stays: %v", v.cookies)
	}
	v.get(a.Header.Get("Location")).shows(t, 200, "Your session has ended")
}

func TestASessionEndsAfterEightHours(t *testing.T) {
	v := signedIn(t, consoletest.Admin)
	*v.now = v.now.Add(8*time.Hour - time.Second)
	v.get(integration).shows(t, 200)
	*v.now = v.now.Add(time.Second)
	v.get(integration).leads(t, "/console/?ended=1&next="+url.QueryEscape(integration))
}

func TestACookieOfAnotherKeysetIsNone(t *testing.T) {
	v := signedIn(t, consoletest.Admin)
	v.api.Do(func() { v.api.Keyset = "two" })
	v.get(integration).leads(t, "/console/?ended=1&next="+url.QueryEscape(integration))
	v.cookies["halo"] = "nonsense"
	v.get(integration).leads(t, "/console/?ended=1&next="+url.QueryEscape(integration))
}

func TestALinkOpensOnce(t *testing.T) {
	v := visit(t)
	link := func(code, path string, scopes ...string) {
		v.api.Do(func() {
			v.api.Links[code] = consoletest.Link{Token: consoletest.Operator, Tenant: "northwind", Path: path, Scopes: scopes, Expires: v.now.Add(time.Minute)}
		})
	}
	link("abc", "/console/northwind/agents", control.ScopeRead, control.ScopeMap)
	if a := v.send(httptest.NewRequest(http.MethodHead, "/console/link/abc", nil)); len(v.cookies) > 0 || a.text != "" {
		t.Error("a preview used the link up")
	}
	a := v.get("/console/link/abc")
	// Not a redirect: after a click on another site the browser would not send
	// the cookie along with one.
	a.shows(t, 200, `href="/console/northwind/agents"`)
	sound(t, a)
	if got := a.Header.Get("Refresh"); got != "0; url=/console/northwind/agents" {
		t.Errorf("Refresh: %q", got)
	}
	v.get("/console/northwind/agents").shows(t, 200, "Accept 15 sure suggestions")
	v.get("/console/northwind/connect").shows(t, 403, "Your sign-in allows you to look and map agents")
	v.get("/console/fresh/connection").shows(t, 404)

	mine := v.cookies["halo"]
	v.cookies = map[string]string{}
	v.get("/console/link/abc").shows(t, 410, "used or has ended")
	if len(v.cookies) > 0 {
		t.Error("a link that was used gave a cookie")
	}
	link("late", "")
	*v.now = v.now.Add(time.Minute)
	v.get("/console/link/late").shows(t, 410)

	v.cookies["halo"] = mine
	v.api.Do(func() { delete(v.api.Tokens, consoletest.Operator) })
	v.get("/console/northwind/agents").leads(t, "/console/?ended=1&next="+url.QueryEscape("/console/northwind/agents"))
}

func TestALinkLeadsNowhereElse(t *testing.T) {
	v := visit(t)
	v.api.Do(func() {
		v.api.Links["x"] = consoletest.Link{Token: consoletest.Admin, Tenant: "northwind", Path: "https://evil.example/", Scopes: []string{"read"}, Expires: v.now.Add(time.Minute)}
	})
	if a := v.get("/console/link/x"); a.Header.Get("Refresh") != "0; url=/console/" {
		t.Errorf("Refresh: %q", a.Header.Get("Refresh"))
	}
}

func TestAnotherTenantIsNotThere(t *testing.T) {
	v := signedIn(t, consoletest.Admin)
	v.get("/console/").leads(t, integration)
	for _, path := range []string{"connection", "connect", "agents", "agents/11", "timeline", "activity", "missing", "changes"} {
		v.get("/console/contoso/"+path).shows(t, 404, "There is no such page")
	}
	v.post("/console/contoso/connection", "do", "disconnect", "sure", "1").shows(t, 404)
	v.post("/console/contoso/agents", "do", "accept-all").shows(t, 404)
}

func TestAPostFromAnotherSiteDoesNothing(t *testing.T) {
	for name, header := range map[string][2]string{"cross-site": {"Sec-Fetch-Site", "cross-site"}, "same-site": {"Sec-Fetch-Site", "same-site"}, "an old browser": {"Origin", "https://evil.example"}} {
		v := signedIn(t, consoletest.Admin)
		r := httptest.NewRequest(http.MethodPost, integration, strings.NewReader("do=disconnect&sure=1"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(header[0], header[1])
		a := v.send(r)
		a.shows(t, 403, "This form was sent from another site")
		sound(t, a)
		if v.get(integration).shows(t, 200, "Connected, with"); t.Failed() {
			t.Errorf("%s: it was acted upon", name)
		}
	}
}

func TestAScopeThatLacks(t *testing.T) {
	v := signedIn(t, consoletest.Reader)
	for _, path := range []string{"connection", "agents", "agents/11", "timeline", "activity", "missing", "changes"} {
		a := v.get("/console/northwind/" + path)
		a.shows(t, 200)
		a.hides(t, `value="refresh"`, `value="reconnect"`, "Disconnect…", "Accept", `name="agent"`, "Import CSV", `value="map"`, "Enter new credentials")
	}
	a := v.get("/console/northwind/connect")
	a.shows(t, 403, "Your sign-in allows you to look.")
	sound(t, a)
	v.get("/console/northwind/agents/import").shows(t, 403)
	for path, do := range map[string]string{"connection": "refresh", "agents": "accept-all", "agents/11": "ignored", "connect": ""} {
		v.post("/console/northwind/"+path, "do", do).shows(t, 403)
	}
	v.api.Do(func() {
		for _, r := range v.api.Requests {
			if !strings.HasPrefix(r, "GET ") && !strings.HasSuffix(r, "/console-session") {
				t.Errorf("the API was asked for %s", r)
			}
		}
	})
	m := signedIn(t, consoletest.Mapper)
	a = m.get(integration)
	a.shows(t, 200, "Refresh Connection")
	a.hides(t, ">Reconnect<", "Disconnect…")
	m.post(integration, "do", "disconnect", "sure", "1").shows(t, 403)
}

func TestMethodsThatAreNotTaken(t *testing.T) {
	v := signedIn(t, consoletest.Admin)
	v.get("/console/sign-in").leads(t, "/console/")
	for _, path := range []string{"/console/", "/console/northwind/timeline", "/console/northwind/changes", "/console/link/abc"} {
		if a := v.post(path); a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") == "" {
			t.Errorf("POST %s: %d", path, a.StatusCode)
		}
	}
	v.get("/console").leads(t, "/console/")
	v.get("/console/northwind").leads(t, integration)
	v.get("/console/northwind/").leads(t, integration)
}

func TestWhatTheConfigurationCannotBe(t *testing.T) {
	for _, cfg := range []console.Config{{PublicURL: "connect.example"}, {PublicURL: "ftp://x/"}, {FrameAncestors: "https://a.example; script-src *"}, {FrameAncestors: "https://a.example, https://b.example"}} {
		if _, err := console.New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
