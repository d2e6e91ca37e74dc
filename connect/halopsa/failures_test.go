package halopsa_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
)

// HOST stands for the tenant's host in the expected messages.
func TestEveryFailureSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	authenticate := func(ctx context.Context, c *halopsa.Client) error { return c.Authenticate(ctx) }
	agents := func(ctx context.Context, c *halopsa.Client) error { _, err := c.Agents(ctx); return err }
	createWebhook := func(ctx context.Context, c *halopsa.Client) error {
		_, err := c.CreateWebhook(ctx, halopsa.WebhookSpec{Name: "n", URL: "https://hooks.example"})
		return err
	}
	createNotification := func(ctx context.Context, c *halopsa.Client) error {
		_, err := c.CreateNotification(ctx, halopsa.Notification{Event: 3, Name: "n", WebhookID: "nowhere"})
		return err
	}
	webhook := func(ctx context.Context, c *halopsa.Client) error {
		_, err := c.Webhook(ctx, "c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5")
		return err
	}
	inject := func(endpoint string, f halotest.Fault) func(*halotest.Sim) {
		return func(s *halotest.Sim) { s.Inject(endpoint, -1, f) }
	}
	json := func(status int, body string) halotest.Fault {
		return halotest.Answer(status, "application/json", body)
	}

	for name, test := range map[string]struct {
		spoil   func(*halotest.Sim)
		call    func(context.Context, *halopsa.Client) error
		cause   halopsa.Cause
		message string
		action  string // begins with
	}{
		"secret rotated in Halo": {
			func(s *halotest.Sim) { s.RotateSecret("another") }, authenticate, halopsa.SecretWrong,
			"HOST does not accept this Client ID and Client Secret.",
			"Copy the Client ID and a new Client Secret",
		},
		"secret refused with 401 and no body": {
			inject("token", halotest.Answer(401, "", "")), authenticate, halopsa.SecretWrong,
			"HOST does not accept this Client ID and Client Secret.",
			"Copy the Client ID and a new Client Secret",
		},
		"secret refused in plain text": {
			inject("token", halotest.Answer(400, "text/plain", "Client authentication failed")), authenticate, halopsa.SecretWrong,
			"HOST does not accept this Client ID and Client Secret.",
			"Copy the Client ID and a new Client Secret",
		},
		"application made for another way to sign in": {
			inject("token", json(400, `{"error":"unauthorized_client"}`)), authenticate, halopsa.ApplicationWrong,
			"The API application in Halo is not allowed to sign in with a client id and secret.",
			`In Halo, set the application's authentication method to "Client ID and Secret (Services)"`,
		},
		"one scope unticked, Halo does not say which": {
			func(s *halotest.Sim) { s.Untick("read:kb") }, authenticate, halopsa.ScopeMissing,
			"The API application in Halo lacks the scope read:kb.",
			"In Halo, open the API application, tick read:kb under Permissions",
		},
		"two scopes unticked": {
			func(s *halotest.Sim) { s.Untick("read:assets", "admin:webhooks") }, authenticate, halopsa.ScopeMissing,
			"The API application in Halo lacks the scopes read:assets, admin:webhooks.",
			"In Halo, open the API application, tick read:assets, admin:webhooks under Permissions",
		},
		"scope unticked, Halo says which": {
			inject("token", json(400, `{"error":"invalid_scope","error_description":"Scope read:projects is not allowed"}`)),
			authenticate, halopsa.ScopeMissing,
			"The API application in Halo lacks the scope read:projects.",
			"In Halo, open the API application, tick read:projects under Permissions",
		},
		"scope unticked, Halo repeats what was asked for": {
			func(s *halotest.Sim) {
				s.Untick("read:kb")
				s.Inject("token", 1, json(400, `{"error":"invalid_scope","error_description":"`+strings.Join(halopsa.Scopes(), " ")+`"}`))
			},
			authenticate, halopsa.ScopeMissing,
			"The API application in Halo lacks the scope read:kb.",
			"In Halo, open the API application, tick read:kb under Permissions",
		},
		"all scopes refused": {
			inject("token", halotest.Answer(400, "text/plain", "error=invalid_scope")), authenticate, halopsa.ScopeMissing,
			"The API application in Halo lacks the scopes read:tickets, read:customers, read:assets, read:contracts, read:projects, read:kb, admin:webhooks.",
			"In Halo, open the API application, tick read:tickets",
		},
		"role that may not list agents": {
			func(s *halotest.Sim) { s.DenyAgents(true) }, agents, halopsa.RoleCannotSeeAgents,
			"The credentials are good, but Halo shows them no agents.",
			`In Halo, set up the API application with login type Agent, agent "Application Identity", role sys-all-permissions`,
		},
		"role that sees an empty list": {
			func(s *halotest.Sim) { s.HideAgents(true) }, agents, halopsa.RoleCannotSeeAgents,
			"The credentials are good, but Halo shows them no agents.",
			"In Halo, set up the API application",
		},
		"role that gets Record not found": {
			inject("Agent", json(400, `{"ClassName":"System.Exception","Message":"Record not found"}`)), agents, halopsa.RoleCannotSeeAgents,
			"The credentials are good, but Halo shows them no agents.",
			"In Halo, set up the API application",
		},
		"host without authinfo and without sign-in": {
			func(s *halotest.Sim) {
				s.Inject("authinfo", -1, halotest.Page(404))
				s.Inject("token", -1, halotest.Page(404))
			}, authenticate, halopsa.NotHalo,
			"What answers at HOST is not a Halo instance.", "Check the tenant URL",
		},
		"host that answers every path with its home page": {
			func(s *halotest.Sim) {
				s.Inject("authinfo", -1, halotest.Page(200))
				s.Inject("token", -1, halotest.Page(200))
			}, authenticate, halopsa.NotHalo,
			"What answers at HOST is not a Halo instance.", "Check the tenant URL",
		},
		"host that forbids": {
			inject("authinfo", halotest.Page(403)), authenticate, halopsa.NotHalo,
			"What answers at HOST is not a Halo instance.", "Check the tenant URL",
		},
		"host that redirects": {
			inject("authinfo", halotest.Redirect("https://www.halo.example/")), authenticate, halopsa.RedirectRefused,
			"HOST redirects to another address, and redirects are not followed.",
			"Enter the address under which Halo itself answers",
		},
		"sign-in that redirects": {
			inject("token", halotest.Redirect("https://login.halo.example/")), authenticate, halopsa.RedirectRefused,
			"HOST redirects to another address, and redirects are not followed.",
			"Enter the address under which Halo itself answers",
		},
		"webhook refused for its body": {
			inject("POST Webhook", json(400, `{"resultCode":-1,"errorMessage":"Webhook limit reached"}`)), createWebhook, halopsa.WebhookRefused,
			"Halo refuses to register the webhook.", "In Halo, tick the scope admin:webhooks",
		},
		"webhook refused for lack of permission": {
			inject("POST Webhook", json(403, `{"Message":"Not allowed"}`)), createWebhook, halopsa.WebhookRefused,
			"Halo refuses to register the webhook.", "In Halo, tick the scope admin:webhooks",
		},
		"event refused": {
			nil, createNotification, halopsa.NotificationRefused,
			"Halo registered the webhook but refuses to bind an event to it.", "In Halo, add the event to the webhook",
		},
		"webhook deleted in Halo": {
			nil, webhook, halopsa.NotFound, "Halo does not have it any more.", "Reconnect to register the webhook again.",
		},
		"webhook deleted in Halo, answered with nothing": {
			inject("GET Webhook", json(200, "null")), webhook, halopsa.NotFound,
			"Halo does not have it any more.", "Reconnect to register the webhook again.",
		},
		"webhook deleted in Halo, answered with a failure": {
			inject("GET Webhook", json(500, `{"Message":"The record does not exist."}`)), webhook, halopsa.NotFound,
			"Halo does not have it any more.", "Reconnect to register the webhook again.",
		},
		"HTML error page": {
			inject("Agent", halotest.Page(500)), agents, halopsa.HaloError,
			"HOST answered in a way that cannot be used.", "Try again in a few minutes.",
		},
		"HTML instead of data": {
			inject("Agent", halotest.Page(200)), agents, halopsa.HaloError,
			"HOST answered with a page instead of data.", "Try again in a few minutes.",
		},
		"data that is not JSON": {
			inject("Agent", json(200, `[{"id":2`)), agents, halopsa.HaloError,
			"HOST answered with data that cannot be read.", "Try again in a few minutes.",
		},
		"sign-in fails": {
			inject("token", halotest.Answer(503, "text/plain", "Service Unavailable")), authenticate, halopsa.HaloError,
			"HOST answered in a way that cannot be used.", "Try again in a few minutes.",
		},
		"answer without an end": {
			inject("Agent", json(200, "["+strings.Repeat(" ", 9<<20)+"]")), agents, halopsa.HaloError,
			"HOST answered with more than 8 MiB.", "Try again in a few minutes.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			sim, client := startTenant(t, nil)
			if test.spoil != nil {
				test.spoil(sim)
			}
			err := test.call(t.Context(), client)
			var e *halopsa.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Cause != test.cause {
				t.Errorf("cause %s, want %s", e.Cause, test.cause)
			}
			if want := strings.ReplaceAll(test.message, "HOST", client.Host()); e.Message != want {
				t.Errorf("message %q, want %q", e.Message, want)
			}
			if !strings.HasPrefix(e.Action, test.action) {
				t.Errorf("action %q, want %q…", e.Action, test.action)
			}
		})
	}
}

func TestMissingScopesAreNamedForPrograms(t *testing.T) {
	sim, client := startTenant(t, nil)
	sim.Untick("read:contracts", "read:kb")
	var e *halopsa.Error
	if err := client.Authenticate(t.Context()); !errors.As(err, &e) || !slices.Equal(e.Scopes, []string{"read:contracts", "read:kb"}) {
		t.Errorf("got %v", err)
	}
	sim.Tick("read:contracts", "read:kb")
	if err := client.Authenticate(t.Context()); err != nil {
		t.Errorf("after they were ticked: %v", err)
	}
}

func TestWebhookAddressThatHaloWouldCutIsRefusedBeforehand(t *testing.T) {
	sim, client := startTenant(t, nil)
	_, err := client.CreateWebhook(t.Context(), halopsa.WebhookSpec{Name: "n", URL: "https://hooks.example/" + strings.Repeat("a", 500)})
	if halopsa.CauseOf(err) != halopsa.WebhookRefused || sim.Counters().Requests["Webhook"] != 0 {
		t.Errorf("got %v", err)
	}
}

func TestInputIsRefusedWithoutAskingHalo(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*halopsa.Config)
		cause   halopsa.Cause
		message string
	}{
		"no URL":     {func(c *halopsa.Config) { c.TenantURL = " " }, halopsa.TenantURLInvalid, "The tenant URL is empty."},
		"no id":      {func(c *halopsa.Config) { c.ClientID = " \u200b" }, halopsa.SecretWrong, "The Client ID or the Client Secret is empty."},
		"no secret":  {func(c *halopsa.Config) { c.ClientSecret = "\n" }, halopsa.SecretWrong, "The Client ID or the Client Secret is empty."},
		"text as CA": {func(c *halopsa.Config) { c.CABundle = []byte("C:\\certs\\ca.cer") }, halopsa.CABundleInvalid, "The CA bundle holds something that is not PEM."},
		"private key as CA": {
			func(c *halopsa.Config) {
				c.CABundle = []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
			},
			halopsa.CABundleInvalid, "The CA bundle holds a private key. It was not kept; consider the key exposed.",
		},
		"broken certificate": {
			func(c *halopsa.Config) {
				c.CABundle = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
			},
			halopsa.CABundleInvalid, "A certificate of the CA bundle cannot be read.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := halopsa.Config{TenantURL: "https://acme.halopsa.com", ClientID: clientID, ClientSecret: clientSecret}
			test.change(&cfg)
			_, err := halopsa.New(cfg)
			var e *halopsa.Error
			if !errors.As(err, &e) || e.Cause != test.cause || e.Message != test.message || e.Action == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}
