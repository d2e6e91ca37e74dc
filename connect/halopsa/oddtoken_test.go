package halopsa_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
)

// oddly answers a token request with a body in which TOKEN stands for a token
// that the tenant accepts.
func oddly(sim *halotest.Sim, contentType, body string) halotest.Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		return halotest.Answer(http.StatusOK, contentType, strings.ReplaceAll(body, "TOKEN", sim.IssueToken()))(w, r)
	}
}

func TestATokenAnswerALittleOffTheStandardIsTaken(t *testing.T) {
	const asJSON = "application/json"
	for name, test := range map[string]struct {
		contentType, body string
		used              time.Duration // until when the token is used
	}{
		"the standard":            {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":3600}`, 59 * time.Minute},
		"a fraction of zero":      {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":3600.0}`, 59 * time.Minute},
		"as text":                 {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":"3600"}`, 59 * time.Minute},
		"a fraction as text":      {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":"3600.0"}`, 59 * time.Minute},
		"a fraction":              {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":3599.5}`, 58*time.Minute + 59500*time.Millisecond},
		"with an exponent":        {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":1e4}`, 10000*time.Second - time.Minute},
		"no life":                 {asJSON, `{"access_token":"TOKEN","token_type":"Bearer"}`, 59 * time.Minute},
		"a life of null":          {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":null}`, 59 * time.Minute},
		"a life that is no life":  {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":"soon"}`, 59 * time.Minute},
		"a life below zero":       {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":-1}`, 59 * time.Minute},
		"a life without end":      {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":1e300}`, 24*time.Hour - time.Minute},
		"half a minute":           {asJSON, `{"access_token":"TOKEN","token_type":"Bearer","expires_in":30}`, 27 * time.Second},
		"bearer":                  {asJSON, `{"access_token":"TOKEN","token_type":"bearer","expires_in":3600}`, 59 * time.Minute},
		"BEARER":                  {asJSON, `{"access_token":"TOKEN","token_type":"BEARER","expires_in":3600}`, 59 * time.Minute},
		"no type":                 {asJSON, `{"access_token":"TOKEN","expires_in":3600}`, 59 * time.Minute},
		"plain text":              {"text/plain", `{"access_token":"TOKEN","token_type":"Bearer","expires_in":3600}`, 59 * time.Minute},
		"no content type":         {"", `{"access_token":"TOKEN","token_type":"Bearer","expires_in":3600}`, 59 * time.Minute},
		"called a page":           {"text/html", `{"access_token":"TOKEN","token_type":"Bearer","expires_in":3600}`, 59 * time.Minute},
		"a byte order mark":       {asJSON, "\ufeff" + `{"access_token":"TOKEN","token_type":"Bearer","expires_in":3600}`, 59 * time.Minute},
		"white space and a mark":  {asJSON, "\ufeff\r\n" + `{"access_token":"TOKEN","expires_in":3600}` + "\r\n", 59 * time.Minute},
		"names in other letters":  {asJSON, `{"Access_Token":"TOKEN","Token_Type":"Bearer","Expires_In":3600}`, 59 * time.Minute},
		"members nobody promised": {asJSON, `{"scope":[1],"access_token":"TOKEN","expires_in":3600,"id":{}}`, 59 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inBubbleOf(t, halotest.Config{TokenLife: 48 * time.Hour}, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
				sim.Inject("token", -1, oddly(sim, test.contentType, test.body))
				client := connect(nil)
				asked := func(want int, when string) {
					t.Helper()
					if _, err := client.Webhooks(t.Context()); err != nil {
						t.Fatalf("%s: %v", when, err)
					}
					if n := sim.Counters().Requests["token"]; n != want {
						t.Errorf("%s: asked for %d tokens, want %d", when, n, want)
					}
				}
				asked(1, "at first")
				<-time.After(test.used - time.Millisecond)
				asked(1, "just before the end")
				<-time.After(2 * time.Millisecond)
				asked(2, "after it")
			})
		})
	}
}

func TestAByteOrderMarkCostsNotTheTenantsID(t *testing.T) {
	sim, client := startTenant(t, nil) // wants its tenant id with each token request
	sim.Inject("authinfo", -1, halotest.Answer(200, "text/plain", "\ufeff"+`{"auth_url":"`+client.BaseURL()+`/auth","tenant_id":"acme"}`))
	if err := client.Authenticate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestShortLivesDoNotDoubleTheCalls(t *testing.T) {
	inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
		sim.Inject("token", -1, oddly(sim, "application/json", `{"access_token":"TOKEN","expires_in":20}`))
		client := connect(nil)
		for range 30 {
			if _, err := client.Webhook(t.Context(), "none"); halopsa.CauseOf(err) != halopsa.NotFound {
				t.Fatal(err)
			}
			<-time.After(time.Second)
		}
		synctest.Wait()
		if c := sim.Counters(); c.Requests["token"] > 2 || c.Requests["Webhook"] != 30 {
			t.Errorf("%d tokens for %d calls in half a minute", c.Requests["token"], c.Requests["Webhook"])
		}
	})
}
