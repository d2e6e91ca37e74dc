package standby

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

var errStandby = errors.New("this instance is on standby")

// instance answers with its name while it acts, as connect does, and refuses
// otherwise.
type instance struct {
	name  string
	acts  atomic.Bool
	heard atomic.Pointer[http.Request]
}

func (i *instance) Ready() error {
	if i.acts.Load() {
		return nil
	}
	return errStandby
}

func (i *instance) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/openapi.json" {
			return
		}
		i.heard.Store(r)
		if !i.acts.Load() {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, i.name+" heard "+string(b))
	})
}

// pair are two instances behind their doors; where says who acts, for both.
type pair struct {
	own    [2]*instance
	door   [2]*Door
	server [2]*httptest.Server
	where  func() (string, error)
	came   atomic.Int32 // requests at either door
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{}
	for i, name := range []string{"one", "two"} {
		p.own[i] = &instance{name: name}
		p.server[i] = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.came.Add(1)
			p.door[i].ServeHTTP(w, r)
		}))
		self := "http://" + p.server[i].Listener.Addr().String()
		p.door[i] = New(p.own[i], self, func(context.Context) (string, error) { return p.where() }, slog.New(slog.DiscardHandler))
		p.server[i].Start()
		t.Cleanup(p.server[i].Close)
	}
	p.where = func() (string, error) { return p.server[0].URL, nil }
	p.own[0].acts.Store(true)
	return p
}

func (p *pair) look(t *testing.T) {
	for _, d := range p.door {
		d.look(t.Context())
	}
}

// ask asks the instance i.
func (p *pair) ask(t *testing.T, i int) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.server[i].URL+"/v1/tenants/acme/users?x=1", strings.NewReader("users"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer token")
	req.Host = "connect.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, string(b)
}

func TestWhoeverIsAskedTheOneThatActsAnswers(t *testing.T) {
	p := newPair(t)
	if err := p.door[1].Ready(); !errors.Is(err, errStandby) {
		t.Errorf("a standby that has not looked yet is ready: %v", err)
	}
	p.look(t)
	for i := range p.door {
		if err := p.door[i].Ready(); err != nil {
			t.Errorf("instance %d: %v", i, err)
		}
		if status, said := p.ask(t, i); status != http.StatusOK || said != "one heard users" {
			t.Errorf("instance %d: %d %q", i, status, said)
		}
	}
	r := p.own[0].heard.Load()
	if r.Method != http.MethodPut || r.RequestURI != "/v1/tenants/acme/users?x=1" || r.Header.Get("Authorization") != "Bearer token" || r.Host != "connect.example" {
		t.Errorf("passed on as %s %s %s %v", r.Method, r.Host, r.RequestURI, r.Header)
	}

	// The vault changes hands.
	p.own[0].acts.Store(false)
	p.own[1].acts.Store(true)
	p.where = func() (string, error) { return p.server[1].URL, nil }
	if status, said := p.ask(t, 1); status != http.StatusOK || said != "two heard users" {
		t.Errorf("before anybody has looked: %d %q", status, said)
	}
	p.look(t)
	for i := range p.door {
		if status, said := p.ask(t, i); status != http.StatusOK || said != "two heard users" {
			t.Errorf("afterwards, instance %d: %d %q", i, status, said)
		}
	}
}

func TestARequestIsPassedOnOnceAtMost(t *testing.T) {
	p := newPair(t)
	p.look(t)
	p.own[0].acts.Store(false) // and the group has not noticed
	p.where = func() (string, error) { return p.server[1].URL, nil }
	p.door[0].look(t.Context()) // each takes the other for the one that acts
	for i := range p.door {
		p.came.Store(0)
		if status, _ := p.ask(t, i); status != http.StatusServiceUnavailable || p.came.Load() != 2 {
			t.Errorf("instance %d: %d, after %d doors; want 2", i, status, p.came.Load())
		}
	}
}

func TestAStandbyThatReachesNobodySaysWhyAndRefuses(t *testing.T) {
	for want, where := range map[string]func(p *pair) (string, error){
		"no instance acts":   func(*pair) (string, error) { return "", nil },
		"about to act":       func(p *pair) (string, error) { return p.server[1].URL, nil },
		"does not say who":   func(*pair) (string, error) { return "", errors.New("away") },
		"is not reached":     func(p *pair) (string, error) { p.server[0].Close(); return p.server[0].URL, nil },
		"it answers 404":     func(*pair) (string, error) { return notFound(t).URL, nil },
		"first path segment": func(*pair) (string, error) { return "10.0.0.7:8081", nil },
	} {
		p := newPair(t)
		p.look(t) // all was well, and then no more
		p.where = func() (string, error) { return where(p) }
		p.door[1].look(t.Context())
		if err := p.door[1].Ready(); !errors.Is(err, errStandby) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if status, _ := p.ask(t, 1); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", want, status)
		}
	}
}

func notFound(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s
}

func TestOneThatDiesWithARequestInHandIsA503(t *testing.T) {
	p := newPair(t)
	p.look(t)
	p.server[0].Close() // and nobody has looked since
	if status, _ := p.ask(t, 1); status != http.StatusServiceUnavailable {
		t.Errorf("%d", status)
	}
}
