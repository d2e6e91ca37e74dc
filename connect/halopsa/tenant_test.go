package halopsa_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

const (
	clientID     = "6f1c0d6e-client"
	clientSecret = schemas.Secret("a-secret-of-the-tenant")
)

// loopback is what the tests' own servers need allowed.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// startTenant starts a simulated tenant with three agents and returns it with a
// client that was not used yet. configure may be nil.
func startTenant(t *testing.T, configure func(*halotest.Config)) (*halotest.Sim, *halopsa.Client) {
	t.Helper()
	cfg := halotest.Config{ClientID: clientID, ClientSecret: clientSecret, TenantID: "acme", Seed: 1}
	if configure != nil {
		configure(&cfg)
	}
	sim := halotest.New(cfg)
	sim.AddAgent(halotest.Agent{Name: "Ada Agent", Email: "ada@desk.example"})
	sim.AddAgent(halotest.Agent{Name: "Ben Agent", Email: "ben@desk.example", Disabled: true})
	sim.AddAgent(halotest.Agent{Name: "Application Identity", API: true})
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return sim, newClient(t, server.URL, nil)
}

// newClient returns a client of the tenant at tenantURL. configure may be nil.
func newClient(t *testing.T, tenantURL string, configure func(*halopsa.Config)) *halopsa.Client {
	t.Helper()
	cfg := halopsa.Config{
		TenantURL: tenantURL, ClientID: clientID, ClientSecret: clientSecret, AllowNets: loopback(),
	}
	if configure != nil {
		configure(&cfg)
	}
	client, err := halopsa.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// register makes a webhook with its four events, as connect does. What it
// returns after a failure is incomplete, and the test has failed.
func register(ctx context.Context, t *testing.T, c *halopsa.Client, url string) (string, map[schemas.Kind]int64) {
	t.Helper()
	id, err := c.CreateWebhook(ctx, halopsa.WebhookSpec{
		Name: "WorkSights AI Connector", URL: url, Username: "connection", Password: "webhook-secret",
	})
	if err != nil {
		t.Error(err)
		return "", nil
	}
	catalogue, err := c.EventCatalogue(ctx)
	if err != nil {
		t.Error(err)
	}
	notifications := make(map[schemas.Kind]int64)
	for kind, number := range catalogue.Numbers {
		n, err := c.CreateNotification(ctx, halopsa.Notification{Event: number, Name: string(kind), WebhookID: id})
		if err != nil {
			t.Error(err)
		}
		notifications[kind] = n
	}
	return id, notifications
}
