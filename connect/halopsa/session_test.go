package halopsa_test

import (
	"sync"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
)

func TestAStaleTokenIsReplacedOnceAndTheCallSucceeds(t *testing.T) {
	for name, spoil := range map[string]func(*halotest.Sim){
		"401": (*halotest.Sim).ExpireTokens,
		// The permission was given after the token was issued.
		"403": func(s *halotest.Sim) { s.DenyAgents(false) },
	} {
		t.Run(name, func(t *testing.T) {
			sim, client := startTenant(t, func(c *halotest.Config) { c.Objects = true })
			sim.DenyAgents(name == "403")
			if err := client.Authenticate(t.Context()); err != nil {
				t.Fatal(err)
			}
			spoil(sim)
			if _, err := client.Agents(t.Context()); err != nil {
				t.Error(err)
			}
			if c := sim.Counters(); c.Tokens != 2 || c.Requests["Agent"] != 2 {
				t.Errorf("%d tokens, %d requests", c.Tokens, c.Requests["Agent"])
			}
		})
	}
}

func TestARefusalThatStaysIsAskedTwiceAndNoMore(t *testing.T) {
	sim, client := startTenant(t, nil)
	sim.DenyAgents(true)
	if _, err := client.Agents(t.Context()); halopsa.CauseOf(err) != halopsa.RoleCannotSeeAgents {
		t.Errorf("got %v", err)
	}
	if c := sim.Counters(); c.Tokens != 2 || c.Requests["Agent"] != 2 {
		t.Errorf("%d tokens, %d requests", c.Tokens, c.Requests["Agent"])
	}
}

func TestASecretRotatedMeanwhileShowsAsSuchWhenTheTokenEnds(t *testing.T) {
	sim, client := startTenant(t, nil)
	if err := client.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	sim.RotateSecret("another")
	if _, err := client.Agents(t.Context()); err != nil {
		t.Errorf("with a token that is still good: %v", err)
	}
	if err := client.Authenticate(t.Context()); halopsa.CauseOf(err) != halopsa.SecretWrong {
		t.Errorf("a new token: %v", err)
	}
	sim.ExpireTokens()
	if _, err := client.Agents(t.Context()); halopsa.CauseOf(err) != halopsa.SecretWrong {
		t.Errorf("the token has ended: %v", err)
	}
}

func TestCallsAtTheSameTimeAskForOneToken(t *testing.T) {
	sim, client := startTenant(t, nil)
	for round := 1; round <= 2; round++ {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := client.Agents(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if c := sim.Counters(); c.Tokens != round || c.Requests["authinfo"] != 1 {
			t.Errorf("round %d: %d tokens, discovered %d times", round, c.Tokens, c.Requests["authinfo"])
		}
		sim.ExpireTokens()
	}
}

func TestSignInIsFoundWhereTheHostSaysAndWhereItDoesNot(t *testing.T) {
	other, _ := startTenant(t, func(c *halotest.Config) { c.TenantID = "acme" })
	signIn, err := other.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer signIn.Close()
	for name, test := range map[string]struct {
		authinfo  halotest.Fault
		tenantID  string
		elsewhere bool
	}{
		"auth_url with a slash":    {nil, "acme", false},
		"auth_url without a slash": {halotest.Answer(200, "application/json", `{"auth_url":"`+signIn.URL+`/auth","tenant_id":"acme"}`), "", true},
		"auth_url with /token":     {halotest.Answer(200, "application/json", `{"auth_url":"`+signIn.URL+`/auth/token/","tenant_id":"acme"}`), "", true},
		"auth_url is relative":     {halotest.Answer(200, "application/json", `{"auth_url":"/auth/","tenant_id":"acme"}`), "acme", false},
		"no auth_url":              {halotest.Answer(200, "application/json", `{"tenant_id":"acme"}`), "acme", false},
		"no tenant_id":             {halotest.Answer(200, "application/json", `{"auth_url":"","tenant_id":null}`), "", false},
		"no authinfo":              {halotest.Page(404), "", false},
		"a page":                   {halotest.Page(200), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			sim, client := startTenant(t, func(c *halotest.Config) { c.TenantID = test.tenantID })
			if test.authinfo != nil {
				sim.Inject("authinfo", -1, test.authinfo)
			}
			before := other.Counters().Tokens
			if err := client.Authenticate(t.Context()); err != nil {
				t.Fatal(err)
			}
			here, there := sim.Counters().Tokens, other.Counters().Tokens-before
			if (here == 1) == test.elsewhere || (there == 1) != test.elsewhere {
				t.Errorf("%d tokens from the tenant's host, %d from the other", here, there)
			}
		})
	}
}
