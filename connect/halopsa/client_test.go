package halopsa_test

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// shapes are the ways in which tenants were seen to write the same things.
func shapes() map[string]func(*halotest.Config) {
	return map[string]func(*halotest.Config){
		"hosted, arrays":         nil,
		"hosted, objects":        func(c *halotest.Config) { c.Objects, c.ObjectReplies = true, true },
		"on-premise":             func(c *halotest.Config) { c.TenantID = "" },
		"ids as strings":         func(c *halotest.Config) { c.StringIDs = true },
		"objects without paging": func(c *halotest.Config) { c.Objects, c.IgnorePaging = true, true },
		"objects, small pages":   func(c *halotest.Config) { c.Objects, c.PageCap = true, 20 },
		"arrays without paging":  func(c *halotest.Config) { c.IgnorePaging = true },
	}
}

func TestAgentsComeWholeInEveryShape(t *testing.T) {
	want := []halopsa.Agent{
		{ID: 2, Name: "Ada Agent", Email: "ada@desk.example"},
		{ID: 3, Name: "Ben Agent", Email: "ben@desk.example", Disabled: true},
		{ID: 4, Name: "Application Identity", API: true},
	}
	for name, configure := range shapes() {
		t.Run(name, func(t *testing.T) {
			_, client := startTenant(t, configure)
			got, err := client.Agents(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestAgentsAreReadToTheLastPage(t *testing.T) {
	// With the three agents that a tenant starts with and the row "Unassigned"
	// these make short pages, exactly one and two full pages, and a row more.
	for _, agents := range []int{0, 1, 45, 46, 47, 96, 97, 137} {
		for name, configure := range shapes() {
			t.Run(fmt.Sprintf("%d agents, %s", agents, name), func(t *testing.T) {
				sim, client := startTenant(t, configure)
				for i := range agents {
					sim.AddAgent(halotest.Agent{Name: fmt.Sprintf("Agent %d", i)})
				}
				got, err := client.Agents(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != agents+3 {
					t.Errorf("got %d agents, want %d", len(got), agents+3)
				}
				most := (agents+4)/20 + 1
				if strings.Contains(name, "arrays") || name == "on-premise" || name == "ids as strings" {
					most++ // a bare array does not say that it is the last
				}
				if asked := sim.Counters().Requests["Agent"]; asked > most {
					t.Errorf("asked for %d pages, want at most %d", asked, most)
				}
			})
		}
	}
}

func TestWebhookIsRegisteredVerifiedAndRemovedInEveryShape(t *testing.T) {
	for name, configure := range shapes() {
		t.Run(name, func(t *testing.T) {
			sim, client := startTenant(t, configure)
			ctx := t.Context()
			id, notifications := register(ctx, t, client, "https://hooks.example/v1/webhooks/halo/c1")

			hook, err := client.Webhook(ctx, strings.ToUpper(id))
			if err != nil {
				t.Fatal(err)
			}
			if hook.ID != id || !hook.Active || hook.Disabled || hook.Name != "WorkSights AI Connector" || !hook.AutoDisabledAt.IsZero() {
				t.Errorf("got %+v", hook)
			}
			bound := make(map[int64]int64)
			for _, e := range hook.Events {
				bound[e.ID] = e.Event
			}
			want := map[int64]int64{
				notifications[schemas.TicketLogged]: 3, notifications[schemas.UpdatedByUser]: 19,
				notifications[schemas.StatusChanged]: 76, notifications[schemas.UpdatedByAgent]: 42,
			}
			if !maps.Equal(bound, want) {
				t.Errorf("bound %v, want %v", bound, want)
			}
			if got := sim.Webhooks()[0]; got.Username != "connection" || got.Password.Reveal() != "webhook-secret" {
				t.Errorf("registered with credentials %q and %q", got.Username, got.Password.Reveal())
			}

			for _, id := range notifications {
				if err := client.DeleteNotification(ctx, id); err != nil {
					t.Fatal(err)
				}
				if err := client.DeleteNotification(ctx, id); err != nil {
					t.Errorf("deleting it again: %v", err)
				}
			}
			for range 2 {
				if err := client.DeleteWebhook(ctx, id); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := client.Webhook(ctx, id); halopsa.CauseOf(err) != halopsa.NotFound {
				t.Errorf("after it was deleted: %v", err)
			}
			left, err := client.Notifications(ctx)
			if err != nil || len(left) != 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

func TestTwoHundredTenantsAtOnceAreNotMixedUp(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 200 {
		own := schemas.Secret(fmt.Sprintf("secret of tenant %d", i))
		sim, simulated := startTenant(t, func(c *halotest.Config) { c.ClientSecret = own })
		sim.AddAgent(halotest.Agent{Name: fmt.Sprintf("Agent of tenant %d", i)})
		client := newClient(t, simulated.BaseURL(), func(c *halopsa.Config) { c.ClientSecret = own })
		wg.Go(func() {
			agents, err := client.Agents(t.Context())
			if err != nil || agents[len(agents)-1].Name != fmt.Sprintf("Agent of tenant %d", i) {
				t.Errorf("tenant %d: got %+v, %v", i, agents, err)
			}
			register(t.Context(), t, client, fmt.Sprintf("https://hooks.example/%d", i))
			if hooks := sim.Webhooks(); len(hooks) != 1 || hooks[0].URL != fmt.Sprintf("https://hooks.example/%d", i) || len(hooks[0].Events) != 4 {
				t.Errorf("tenant %d: registered %+v", i, hooks)
			}
		})
	}
	wg.Wait()
}

func TestMendSwitchesAWebhookOnAndKeepsItsSecret(t *testing.T) {
	sim, client := startTenant(t, nil)
	ctx := t.Context()
	id, _ := register(ctx, t, client, "https://hooks.example/new")
	sim.ChangeWebhook(id, func(w *halotest.Webhook) { w.Disabled, w.Active, w.URL = true, false, "https://hooks.example/old/" })

	if hook, err := client.Webhook(ctx, id); err != nil || !hook.Disabled || hook.Active {
		t.Fatalf("premise: %+v, %v", hook, err)
	}
	spec := halopsa.WebhookSpec{Name: "WorkSights AI Connector", URL: "https://hooks.example/new", Username: "u", Password: "p"}
	if err := client.MendWebhook(ctx, id, spec); err != nil {
		t.Fatal(err)
	}
	hooks, err := client.Webhooks(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(hooks) != 1 || hooks[0].URL != spec.URL || hooks[0].Disabled || !hooks[0].Active {
		t.Errorf("got %+v", hooks)
	}
	if is := sim.Webhooks()[0]; is.Username != "connection" || is.Password.Reveal() != "webhook-secret" || len(is.Events) != 4 {
		t.Errorf("it delivers as %q with %q, %d events", is.Username, is.Password.Reveal(), len(is.Events))
	}
}

func TestWebhookAcceptedWithoutAnAnswerIsFoundByItsAddress(t *testing.T) {
	sim, client := startTenant(t, nil)
	ctx := t.Context()
	id, _ := register(ctx, t, client, "https://hooks.example/c1")
	sim.Inject("POST Webhook", 1, halotest.Answer(200, "application/json", ""))

	got, err := client.CreateWebhook(ctx, halopsa.WebhookSpec{Name: "WorkSights AI Connector", URL: "https://hooks.example/c1"})
	if err != nil || got != id {
		t.Errorf("got %q, %v, want %q", got, err, id)
	}
}

func TestCatalogueOfALiveTenantResolvesToTheWideVariants(t *testing.T) {
	_, client := startTenant(t, nil)
	got, err := client.EventCatalogue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := halopsa.Catalogue{Numbers: map[schemas.Kind]int64{
		schemas.TicketLogged: 3, schemas.UpdatedByUser: 19, schemas.StatusChanged: 76, schemas.UpdatedByAgent: 42,
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCredentialsPastedWithSpacesAreTheSame(t *testing.T) {
	sim, used := startTenant(t, nil)
	host := used.Host()
	client := newClient(t, " http://"+host+"/login?x=1 \n", func(c *halopsa.Config) {
		c.ClientID = "\t" + clientID + "\u00a0"
		c.ClientSecret = "\ufeff " + clientSecret + "\r\n"
	})
	if err := client.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := sim.Counters().Tokens; got != 1 {
		t.Errorf("%d tokens issued", got)
	}
	if want := (&url.URL{Scheme: "http", Host: host}).String(); client.BaseURL() != want {
		t.Errorf("base is %s, want %s", client.BaseURL(), want)
	}
}
