package kafka

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// issuer is a server of tokens whose n-th is "token-n".
type issuer struct {
	*httptest.Server
	asked  atomic.Int32
	answer func(n int32) (status int, body string)
}

func newIssuer(t *testing.T, answer func(n int32) (int, string)) *issuer {
	i := &issuer{answer: answer}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if r.Method != http.MethodPost || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "kafka" || id != "in%2Fgest" || secret != "hunter2%3F" {
			t.Errorf("%s of %q by %q with %q", r.Method, r.Form, id, secret)
		}
		status, body := i.answer(i.asked.Add(1))
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) tokens() *tokens {
	return newTokens(OAuth{TokenURL: i.URL + "/token", ClientID: "in/gest", ClientSecret: "hunter2?", Scope: "kafka"},
		func() (*x509.CertPool, error) { return nil, nil })
}

func TestATokenServesForHalfItsLife(t *testing.T) {
	i := newIssuer(t, func(n int32) (int, string) {
		return 200, fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":"3600.0"}`, n)
	})
	tok := i.tokens()
	get := func() string {
		t.Helper()
		a, err := tok.authenticate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return a.Token
	}
	first := get()
	if left := time.Until(tok.fresh); first != "token-1" || left < 29*time.Minute || left > 30*time.Minute {
		t.Errorf("%s for %v, want token-1 for half an hour", first, left)
	}
	if again := get(); again != first || i.asked.Load() != 1 {
		t.Errorf("%s after %d questions", again, i.asked.Load())
	}
	tok.fresh = time.Now()
	if next := get(); next != "token-2" {
		t.Errorf("%s, want token-2", next)
	}
}

func TestATokenThatIsNotGivenIsSaidWithoutTheAnswer(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"refused":   {401, `{"error":"hunter2?"}`, "answered 401"},
		"elsewhere": {302, "", "answered 302"},
		"no token":  {200, `{"hunter2?":1}`, "no access_token"},
		"no JSON":   {200, `hunter2?`, "no access_token"},
	} {
		i := newIssuer(t, func(int32) (int, string) { return answer.status, answer.body })
		_, err := i.tokens().authenticate(t.Context())
		if err == nil || !strings.Contains(err.Error(), answer.want) || !strings.Contains(err.Error(), i.URL) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q and the address", name, err, answer.want)
		}
	}
}

func TestTheSettingsOfOAuthAreChecked(t *testing.T) {
	good := Config{Brokers: []string{"a:1"}, SASLMechanism: OAuthBearer, OAuth: OAuth{TokenURL: "https://id.example/token", ClientID: "c", ClientSecret: "s"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no secret":         func(c *Config) { c.OAuth.ClientSecret = "" },
		"in clear":          func(c *Config) { c.OAuth.TokenURL = "http://id.example/token" },
		"no URL":            func(c *Config) { c.OAuth.TokenURL = "id.example" },
		"a user beside it":  func(c *Config) { c.SASLUser, c.SASLPassword = "u", "p" },
		"another mechanism": func(c *Config) { c.SASLMechanism, c.SASLUser, c.SASLPassword = Plain, "u", "p" },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); !errors.Is(err, ErrOAuth) {
			t.Errorf("%s: %v", name, err)
		}
	}
	local := good
	local.OAuth.TokenURL = "http://127.0.0.1:1/token"
	if err := local.Validate(); err != nil {
		t.Errorf("on loopback: %v", err)
	}
}
