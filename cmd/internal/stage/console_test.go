package stage

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/cmd/internal/config"
	wire "github.com/worksights/halo-connector/internal/control"
)

// echo is an API that says what it was asked.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Retry-After", "7")
	w.WriteHeader(http.StatusTeapot)
	_ = json.NewEncoder(w).Encode(wire.ErrorBody{Error: wire.Refusal{Code: "echo", Message: r.Method + " " + r.RequestURI + " " + string(body) + " " + r.Header.Get("Authorization")}})
})

func TestTheConsoleAsksTheAPIInTheProcess(t *testing.T) {
	client := wire.NewOver(way{echo}, "http://control", "secret")
	_, err := client.Send(t.Context(), wire.Request{Method: http.MethodPut, Path: "/v1/tenants/a/users", Query: map[string][]string{"ends": {"3"}}, Body: []int{1}})
	refused, ok := err.(*wire.Refusal) //nolint:errorlint // the client's own error, never wrapped
	if !ok || refused.Status != http.StatusTeapot || refused.Message != "PUT /v1/tenants/a/users?ends=3 [1] Bearer secret" || refused.RetryAfter.Seconds() != 7 {
		t.Errorf("%v", err)
	}
}

func TestTheConsoleStandsBeforeTheAPI(t *testing.T) {
	for _, on := range []bool{true, false} {
		f, components, err := withConsole(config.Console{Shown: on}, func() error { return nil }, echo, slog.New(slog.DiscardHandler))
		if err != nil || f.Ready() != nil || len(components) > 1 || (len(components) == 1) != on {
			t.Fatalf("console %v: %v, %d components", on, err, len(components))
		}
		for path, pages := range map[string]bool{"/console/": true, "/console": true, "/console/-/x": true, "/v1/tenants": false, "/consoles": false, "/": false} {
			w := httptest.NewRecorder()
			f.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if byAPI := strings.Contains(w.Body.String(), `"echo"`); byAPI == (pages && on) {
				t.Errorf("console %v: %s was answered by the API: %v", on, path, byAPI)
			}
		}
	}
	if _, _, err := withConsole(config.Console{Shown: true, ConsoleFrameAncestors: "a;b"}, nil, echo, nil); err == nil {
		t.Error("frame ancestors that end the policy are taken")
	}
}
