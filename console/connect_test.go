package console_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/worksights/halo-connector/console/consoletest"
	"github.com/worksights/halo-connector/internal/control"
)

const connect = "/console/fresh/connect"

// bubble runs a test in virtual time: an answer waits a moment for work to end,
// and on a busy machine that moment would be over too soon.
func bubble(t *testing.T, test func(*testing.T, *visitor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, signedIn(t, consoletest.Operator)) })
}

func TestConnectSaysWhatWasLeftOut(t *testing.T) {
	v := signedIn(t, consoletest.Operator)
	a := v.post(connect, "tenant_url", "acme.halopsa.com", "client_id", "", "client_secret", "s3cret")
	a.shows(t, 422, "There is a problem", `href="#client_id"`, "Enter the client ID", `value="acme.halopsa.com"`, `aria-invalid="true"`)
	a.hides(t, "s3cret")
	sound(t, a)
}

func TestConnectPutsTheAPIsWordsAtTheField(t *testing.T) {
	for name, c := range map[string]struct{ url, secret, field, words, step string }{
		"a wrong secret": {"acme.halopsa.com", "wrong", "client_secret", "Halo does not accept this client ID and secret.", "Find Halo and sign in <span class=\"hide\">(failed)"},
		"a wrong host":   {"nowhere.example", "right", "tenant_url", "No host answers at this tenant URL.", "Find Halo and sign in <span class=\"hide\">(failed)"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, v *visitor) {
				v.post(connect, "tenant_url", c.url, "client_id", "id-1", "client_secret", c.secret).leads(t, connect)
				a := v.get(connect)
				a.shows(t, 200, `href="#`+c.field+`"`, `id="`+c.field+`-error"`, c.words, `value="id-1"`, c.step)
				a.hides(t, `value="wrong"`)
				sound(t, a)
			})
		})
	}
}

func TestConnectBlamesNoFieldForATroubleOfOurs(t *testing.T) {
	bubble(t, func(t *testing.T, v *visitor) {
		v.api.Do(func() { v.api.Fail["/tenants/fresh/connection"] = consoletest.Standby })
		v.post(connect, "tenant_url", "acme.halopsa.com", "client_id", "id", "client_secret", "right").leads(t, connect)
		v.api.Do(func() { clear(v.api.Fail) })
		a := v.get(connect)
		a.shows(t, 200, "There is a problem", "This instance is on standby.", `value="acme.halopsa.com"`)
		a.hides(t, `aria-invalid="true"`)
	})
}

func TestConnectGoesThrough(t *testing.T) {
	bubble(t, func(t *testing.T, v *visitor) {
		v.post(connect, "tenant_url", "acme.halopsa.com", "client_id", "id", "client_secret", "right").leads(t, connect)
		v.get(connect).leads(t, "/console/fresh/connection?did=connect")
		v.get("/console/fresh/connection?did=connect").shows(t, 200, "Connected, and all is well", "Halo reports ticket events from now on")
		v.get(connect).shows(t, 200, "Enter new credentials") // its end is told once
	})
}

func TestASealedTenantIsReplacedOnlyWhenSaid(t *testing.T) {
	bubble(t, func(t *testing.T, v *visitor) {
		form := []string{"tenant_url", "acme.halopsa.com", "client_id", "id", "client_secret", "right"}
		v.post("/console/fabrikam/connect", form...).leads(t, "/console/fabrikam/connect")
		v.get("/console/fabrikam/connect").shows(t, 200, `href="#replace_sealed"`, "Say that they are to be replaced")
		v.post("/console/fabrikam/connect", append(form, "replace_sealed", "1")...)
		v.get("/console/fabrikam/connect").leads(t, "/console/fabrikam/connection?did=connect")
	})
}

func TestAConnectShowsItsSteps(t *testing.T) {
	bubble(t, func(t *testing.T, v *visitor) {
		hold := make(chan struct{})
		v.api.Do(func() { v.api.Hold = hold })
		begun := time.Now()
		form := []string{"tenant_url", "acme.halopsa.com", "client_id", "id", "client_secret", "right"}
		v.post(connect, form...).leads(t, connect)
		if waited := time.Since(begun); waited == 0 || waited > time.Second {
			t.Errorf("the answer came after %s", waited)
		}
		*v.now = v.now.Add(12 * time.Second)
		for range 2 { // a reload changes nothing
			a := v.get(connect)
			a.shows(t, 200, `data-page="progress"`, `List the agents <span class="hide">(done)`, `Register the webhook <span class="hide">(under way)`, "12 seconds ago")
			if a.Header.Get("Refresh") != "1" {
				t.Error("the page does not go on by itself")
			}
			sound(t, a)
		}
		v.post(connect, form...).leads(t, connect) // pressed twice
		close(hold)
		synctest.Wait()
		puts := 0
		for _, r := range v.api.Requests {
			if strings.HasPrefix(r, http.MethodPut) {
				puts++
			}
		}
		if puts != 1 {
			t.Errorf("the API was asked %d times", puts)
		}
		v.get(connect).leads(t, "/console/fresh/connection?did=connect")
	})
}

func TestRefreshReconnectAndDisconnect(t *testing.T) {
	bubble(t, func(t *testing.T, v *visitor) {
		v.post(integration, "do", "refresh").leads(t, integration)
		v.get(integration).shows(t, 200, "Refreshed. Halo lists")
		v.get(integration).hides(t, "Refreshed. Halo lists")
		v.post(integration, "do", "reconnect").leads(t, integration)
		v.get(integration).shows(t, 200, "Reconnected. Halo posts to a new webhook", "Connected, and all is well")
		v.api.Do(func() {
			v.api.Fail["/reconnect"] = control.Refuse(422, "webhook_refused", "Halo did not take the webhook.")
		})
		v.post(integration, "do", "reconnect").leads(t, integration)
		v.get(integration).shows(t, 200, "That did not work", "Halo did not take the webhook.")
		v.post(integration, "do", "disconnect").shows(t, 200, "Disconnect northwind.halopsa.com?")
		v.get(integration).shows(t, 200, "Connected, and all is well")
		v.post(integration, "do", "disconnect", "sure", "1").leads(t, integration+"?did=disconnect")
		v.get(integration+"?did=disconnect").shows(t, 200, "HaloPSA is disconnected", "What was on the timelines stays there")
		v.post(integration, "do", "dance").shows(t, 404)
	})
}

// What a form had sent is never sent again by itself.
func TestAPostThatFailsIsNotRepeated(t *testing.T) {
	v := signedIn(t, consoletest.Mapper)
	v.api.Do(func() { v.api.Fail["/agents/users"] = consoletest.Standby })
	a := v.post(mapping, "accept", "11:u-1001")
	a.shows(t, 503, "another instance takes over", `href="`+mapping+`"`)
	if a.Header.Get("Refresh") != "" {
		t.Error("the browser would send the form again")
	}
	v.api.Do(func() { v.api.Fail["/agents"] = consoletest.Standby })
	if a := v.get(mapping); a.Header.Get("Refresh") != "5" {
		t.Error("a page that was only read does not ask again")
	}
}
