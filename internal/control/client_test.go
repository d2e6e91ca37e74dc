package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/control"
)

// api answers every request with one answer and keeps the last request.
type api struct {
	status int
	header http.Header
	body   string
	last   *http.Request
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	a.last = r
	rec := httptest.NewRecorder()
	for name, values := range a.header {
		rec.Header()[name] = values
	}
	rec.WriteHeader(a.status)
	_, _ = rec.WriteString(a.body)
	return rec.Result(), nil
}

func TestARefusalIsToldInTheWordsOfTheAPI(t *testing.T) {
	for name, c := range map[string]struct {
		api  api
		want control.Refusal
	}{
		"the API": {
			api{409, http.Header{}, `{"error":{"code":"would_end_mappings","message":"It would end 12.","ends":12}}`, nil},
			control.Refusal{Status: 409, Code: "would_end_mappings", Message: "It would end 12.", Ends: 12},
		},
		"the API, to be asked again": {
			api{503, http.Header{"Retry-After": {"5"}}, `{"error":{"code":"standby","message":"x"}}`, nil},
			control.Refusal{Status: 503, Code: "standby", Message: "x", RetryAfter: 5 * time.Second},
		},
		"something on the way": {
			api{502, http.Header{}, `<html>Bad Gateway`, nil},
			control.Refusal{Status: 502, Code: "http_502", Message: "Bad Gateway"},
		},
	} {
		_, err := control.NewOver(&c.api, "http://api.example/", "t0").Do(t.Context(), "GET", "/v1/tenants", nil, nil)
		var got *control.Refusal
		if !errors.As(err, &got) || *got != c.want {
			t.Errorf("%s: %#v, want %#v", name, got, c.want)
		}
	}
}

func TestARequestIsWrittenAsTheAPIReadsIt(t *testing.T) {
	a := &api{status: 200, header: http.Header{"Etag": {`"v2"`}}, body: `{"users":1,"ended":0}`}
	got, err := control.NewOver(a, "http://api.example/", "t0").Send(context.Background(), control.Request{
		Method: "PUT", Path: control.TenantPath("acme", "/users"), Body: []control.User{{ID: "u-1"}}, IfMatch: `"v1"`,
	})
	if err != nil || got.ETag != `"v2"` {
		t.Fatalf("%+v, %v", got, err)
	}
	var sent []map[string]any
	if err := json.NewDecoder(a.last.Body).Decode(&sent); err != nil || len(sent) != 1 || sent[0]["user_id"] != "u-1" {
		t.Errorf("sent %v, %v", sent, err)
	}
	if a.last.URL.String() != "http://api.example/v1/tenants/acme/users" || a.last.Header.Get("Authorization") != "Bearer t0" || a.last.Header.Get("If-Match") != `"v1"` {
		t.Errorf("sent %s %v", a.last.URL, a.last.Header)
	}
}

// Its answer would be taken for the API's, and the token would go there too.
func TestAProxyOfTheEnvironmentAndARedirectAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request went elsewhere") }))
	defer elsewhere.Close()
	t.Setenv("HTTP_PROXY", elsewhere.URL)
	redirecting := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()
	_, err := control.New(redirecting.URL, "t0").Do(t.Context(), "GET", "/v1/tenants", nil, nil)
	var refused *control.Refusal
	if !errors.As(err, &refused) || refused.Status != http.StatusTemporaryRedirect {
		t.Errorf("a redirect: %v", err)
	}
	// Go's transport uses no proxy for loopback: a name that is none shows it.
	if _, err := control.New("http://api.invalid", "t0").Do(t.Context(), "GET", "/v1/tenants", nil, nil); !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("a host that is none: %v", err)
	}
}
