package console_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/console"
	"github.com/worksights/halo-connector/console/consoletest"
)

// visitor is a browser without script: it keeps cookies and sends forms.
type visitor struct {
	t       *testing.T
	handler http.Handler
	cookies map[string]string
	api     *consoletest.API
	now     *time.Time
	log     *bytes.Buffer
}

// visit opens a console over the full world.
func visit(t *testing.T, change ...func(*console.Config)) *visitor {
	t.Helper()
	now := consoletest.Instant
	v := &visitor{t: t, cookies: map[string]string{}, now: &now, log: &bytes.Buffer{}}
	clock := func() time.Time { return *v.now }
	v.api = consoletest.Full(clock)
	cfg := console.Config{API: v.api, Now: clock, Log: slog.New(slog.NewTextHandler(v.log, nil))}
	for _, c := range change {
		c(&cfg)
	}
	pages, err := console.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	v.handler = pages.Handler()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- pages.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return v
}

// answer is what a visitor sees.
type answer struct {
	*http.Response
	text string
}

func (v *visitor) send(r *http.Request) answer {
	v.t.Helper()
	r.Host = "127.0.0.1:8081"
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	a := answer{w.Result(), w.Body.String()}
	for _, c := range a.Cookies() {
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		} else {
			v.cookies[c.Name] = c.Value
		}
	}
	return a
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	return v.send(httptest.NewRequest(http.MethodGet, path, nil))
}

func (v *visitor) post(path string, pairs ...string) answer {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.send(r)
}

// upload sends a file as the import's form does.
func (v *visitor) upload(path, content string) answer {
	v.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	f, err := w.CreateFormFile("file", "agents.csv")
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err != nil || w.Close() != nil {
		v.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.send(r)
}

// signedIn is a visitor with a session of the token.
func signedIn(t *testing.T, token string) *visitor {
	t.Helper()
	v := visit(t)
	if a := v.post("/console/sign-in", "token", token); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign-in with %s: %d", token, a.StatusCode)
	}
	return v
}

// shows fails unless the answer has the status and each of the texts.
func (a answer) shows(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("status %d, want %d", a.StatusCode, status)
	}
	for _, text := range texts {
		if !strings.Contains(a.text, text) {
			t.Errorf("the page lacks %q:\n%s", text, a.main())
		}
	}
}

func (a answer) hides(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.text, text) {
			t.Errorf("the page has %q:\n%s", text, a.main())
		}
	}
}

// main is what is in the frame, bounded.
func (a answer) main() string {
	_, inner, _ := strings.Cut(a.text, "<main")
	return fmt.Sprintf("%.3000s", inner)
}

// leads fails unless the answer sends the browser on to the path.
func (a answer) leads(t *testing.T, to string) {
	t.Helper()
	if got := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || got != to {
		t.Errorf("%d to %q, want 303 to %q", a.StatusCode, got, to)
	}
}
