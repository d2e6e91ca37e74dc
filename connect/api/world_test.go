package api_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/connect/api/apitest"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/schemas"
)

// world is an API over fakes of what does the work.
type world struct {
	*testing.T
	now      time.Time
	log      *bytes.Buffer
	registry *prometheus.Registry
	keyset   string
	file     string // the tokens
	token    schemas.Secret
	tenants  *apitest.Tenants
	reads    *apitest.Reads
	api      *api.API
}

func newWorld(t *testing.T, edits ...func(*api.Config)) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{
		T: t, now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC), log: new(bytes.Buffer), registry: prometheus.NewRegistry(),
		keyset: filepath.Join(dir, "keyset"), file: filepath.Join(dir, "tokens"),
	}
	w.tenants = apitest.NewTenants(func() time.Time { return w.now })
	w.reads = &apitest.Reads{Refused: []control.Delivery{{At: w.now, Result: "malformed", Bytes: 12}}}
	if err := vault.NewKeyset(w.keyset); err != nil {
		t.Fatal(err)
	}
	w.token = w.newToken(access.Grant{Name: "operator"})
	w.api = w.start(edits...)
	return w
}

// start starts an instance of the API.
func (w *world) start(edits ...func(*api.Config)) *api.API {
	w.Helper()
	follow := fresh.Options{Now: func() time.Time { return w.now }}
	sealer, err := vault.Open(w.keyset, follow)
	if err != nil {
		w.Fatal(err)
	}
	tokens, err := access.Open(w.file, follow)
	if err != nil {
		w.Fatal(err)
	}
	cfg := api.Config{
		Tenants: w.tenants, Reads: w.reads, Tokens: tokens, Sealer: sealer, Now: follow.Now,
		Log: slog.New(slog.NewJSONHandler(w.log, nil)), Registry: w.registry,
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	a, err := api.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func (w *world) newToken(g access.Grant) schemas.Secret {
	w.Helper()
	token, err := access.New(w.file, g)
	if err != nil {
		w.Fatal(err)
	}
	w.now = w.now.Add(2 * time.Second)
	return token
}

// answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) problem() control.Refusal {
	var e control.ErrorBody
	_ = json.Unmarshal(a.body, &e) // what is no error has no code
	return e.Error
}

// call makes a request of the API. Every answer is held to the document.
func (w *world) call(method, path, body string, edits ...func(*http.Request)) answer {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), method, "http://connect.example"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+w.token.Reveal())
	for _, edit := range edits {
		edit(r)
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	a := answer{rec.Code, rec.Header(), rec.Body.Bytes()}
	if err := w.document().check(method, r.URL.Path, a); err != nil {
		w.Errorf("%s %s: the answer is not as the document says: %v\n%s", method, path, err, a.body)
	}
	return a
}

func as(token schemas.Secret) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token.Reveal()) }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// want makes a request that must be answered with status, and reads the answer
// into out where that is not nil.
func (w *world) want(status int, method, path, body string, out any, edits ...func(*http.Request)) answer {
	w.Helper()
	a := w.call(method, path, body, edits...)
	if a.status != status {
		w.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	if out != nil {
		if err := json.Unmarshal(a.body, out); err != nil {
			w.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return a
}

// refused makes a request that must be refused with status and code.
func (w *world) refused(status int, code, method, path, body string, edits ...func(*http.Request)) control.Refusal {
	w.Helper()
	a := w.call(method, path, body, edits...)
	p := a.problem()
	if a.status != status || p.Code != code || p.Message == "" {
		w.Errorf("%s %s %.80s: %d %s, want %d %s", method, path, body, a.status, a.body, status, code)
	}
	return p
}

func at(rest string) string { return "/v1/tenants/acme" + rest }
