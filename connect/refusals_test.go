//go:build synctests

package connect_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// What the operator reads when Halo cannot be used: HOST is the host he
// entered. Nothing is saved of any of these.
func TestEachReasonWhyHaloCannotBeUsedIsSaid(t *testing.T) {
	w := realWorld(t)
	in := w.active(asInProduction)
	inject := func(endpoint string, f halotest.Fault) func(*halotest.Sim) {
		return func(s *halotest.Sim) { s.Inject(endpoint, -1, f) }
	}
	for name, test := range map[string]struct {
		spoil   func(*halotest.Sim)
		status  int
		code    string
		message string
	}{
		"secret wrong": {
			func(s *halotest.Sim) { s.RotateSecret("x") }, 422, "secret_wrong",
			"HOST does not accept this Client ID and Client Secret. Copy the Client ID and a new Client Secret",
		},
		"application of another type": {
			inject("token", halotest.Answer(400, "application/json", `{"error":"unauthorized_client"}`)), 422, "application_wrong",
			"The API application in Halo is not allowed to sign in with a client id and secret. In Halo, set the application's authentication method",
		},
		"one scope missing": {
			func(s *halotest.Sim) { s.Untick("read:kb") }, 422, "scope_missing",
			"The API application in Halo lacks the scope read:kb. In Halo, open the API application, tick read:kb",
		},
		"two scopes missing": {
			func(s *halotest.Sim) { s.Untick("read:assets", "admin:webhooks") }, 422, "scope_missing",
			"The API application in Halo lacks the scopes read:assets, admin:webhooks.",
		},
		"no Halo": {
			inject("", halotest.Page(404)), 422, "not_halo", "What answers at HOST is not a Halo instance. Check the tenant URL",
		},
		"another home page": {
			inject("", halotest.Page(200)), 422, "not_halo", "What answers at HOST is not a Halo instance. Check the tenant URL",
		},
		"redirect": {
			inject("authinfo", halotest.Redirect("http://169.254.169.254/latest/meta-data/")), 422, "redirect_refused",
			"HOST redirects to another address, and redirects are not followed.",
		},
		"sign-in elsewhere, private": {
			inject("authinfo", halotest.Answer(200, "application/json", `{"auth_url":"http://10.1.2.3/auth"}`)), 422, "address_forbidden",
			"10.1.2.3 has an address that may not be used: private, loopback or reserved.",
		},
		"rate limited": {
			inject("", halotest.TooMany("3600")), 502, "rate_limited", "Halo allows no more requests for the moment. Try again in 5 minutes.",
		},
		"Halo fails": {
			inject("token", halotest.Page(500)), 502, "halo_error", "HOST answered in a way that cannot be used. Try again in a few minutes.",
		},
		"webhook refused": {
			inject("POST Webhook", halotest.Answer(403, "application/json", `{"Message":"no"}`)), 422, "webhook_refused",
			"Halo refuses to register the webhook. In Halo, tick the scope admin:webhooks",
		},
	} {
		t.Run(name, func(t *testing.T) {
			sim := halotest.New(halotest.Config{ClientID: clientID, ClientSecret: clientSecret})
			server, err := sim.Start("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			test.spoil(sim)
			tenant := strings.ReplaceAll(strings.ToLower(name), " ", "_")
			tenant = strings.ReplaceAll(tenant, ",", "")
			message := in.refused(test.status, test.code, "PUT", at(tenant, "/connection"), credentials(server.URL))
			host, _ := url.Parse(server.URL)
			if want := strings.ReplaceAll(test.message, "HOST", host.Host); !strings.HasPrefix(message, want) {
				t.Errorf("the operator reads %q, want %q", message, want)
			}
			in.refused(404, "not_connected", "GET", at(tenant, "/connection"), "")
		})
	}
	if n := len(w.Records(w.T, w.topics.Vault)); n != 0 {
		t.Errorf("%d records were saved", n)
	}
}

// Who has to act on a failure of Halo is in the status, the same for each route
// that asks Halo while the caller waits. call holds it to the document.
func TestAFailureOfHaloHasItsStatusOnEachRoute(t *testing.T) {
	hangs := func(w *world) {
		w.fault = func(ctx context.Context, _ schemas.Tenant, _ string) (moment, error) { <-ctx.Done(); return never, nil }
	}
	for name, test := range map[string]struct {
		happens func(*world)
		status  int
		code    string
	}{
		"the customer's": {func(w *world) { w.sims[0].RotateSecret("x") }, http.StatusUnprocessableEntity, "secret_wrong"},
		"Halo's":         {func(w *world) { w.sims[0].Inject("", -1, halotest.Page(http.StatusBadGateway)) }, http.StatusBadGateway, "halo_error"},
		"nobody answers": {hangs, http.StatusGatewayTimeout, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.fault = func(context.Context, schemas.Tenant, string) (moment, error) { return never, nil } // it may change
				in := w.active()
				in.connect("acme", 0)
				test.happens(w)
				in.refused(test.status, test.code, "PUT", at("acme", "/connection"), credentials(w.urls[0]))
				in.refused(test.status, test.code, "POST", at("acme", "/connection/refresh"), "")
				in.refused(test.status, test.code, "POST", at("acme", "/connection/reconnect"), "")
				in.want(http.StatusOK, "GET", at("acme", "/diagnosis"), "", nil)
			}, halotest.Config{})
		})
	}
}

func TestACertificateIsTrustedByTheConnectionsOwnBundle(t *testing.T) {
	w := realWorld(t)
	in := w.active(asInProduction)
	sim := halotest.New(halotest.Config{ClientID: clientID, ClientSecret: clientSecret})
	sim.AddAgent(halotest.Agent{ID: 2})
	server := httptest.NewUnstartedServer(sim)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	host := server.Listener.Addr().String()
	message := in.refused(422, "certificate_untrusted", "PUT", at("acme", "/connection"), credentials(server.URL))
	if want := "The certificate of " + host + " is signed by an authority that is not trusted, or its chain is incomplete. For a self-hosted Halo, have the server send its whole certificate chain, or add the certificate of its authority as the CA bundle."; message != want {
		t.Errorf("the operator reads %q", message)
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	body := func(bundle string) string {
		quoted, _ := json.Marshal(bundle) // a string can be written
		return strings.TrimSuffix(credentials(server.URL), "}") + `,"ca_bundle":` + string(quoted) + "}"
	}
	for junk, want := range map[string]string{
		"junk": "The CA bundle holds something that is not PEM.",
		"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n": "The CA bundle holds a private key.",
	} {
		if message := in.refused(422, "ca_bundle_invalid", "PUT", at("acme", "/connection"), body(junk)); !strings.HasPrefix(message, want) {
			t.Errorf("the operator reads %q", message)
		}
	}
	in.want(201, "PUT", at("acme", "/connection"), body(string(bundle)), nil)
	in.stop() // the bundle is kept with the credentials
	in = w.active(asInProduction)
	in.want(200, "POST", at("acme", "/connection/refresh"), "", nil)
}

// Nothing leaves for an address that configuration does not allow, by whatever
// name it goes.
func TestNoRequestLeavesForAnAddressInside(t *testing.T) {
	w := realWorld(t)
	in := w.active(asInProduction, func(c *connect.Config) { c.AllowNets = halopsa.Nets{} })
	var sprung atomic.Int64
	trap := httptest.NewUnstartedServer(http.NotFoundHandler())
	trap.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			sprung.Add(1)
		}
	}
	trap.Start()
	t.Cleanup(trap.Close)
	_, port, _ := net.SplitHostPort(trap.Listener.Addr().String())
	for _, host := range []string{
		"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port, "[::ffff:127.0.0.1]:" + port, "[::ffff:7f00:1]:" + port, "0.0.0.0:" + port, "127.1.2.3:" + port,
		"169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.100.100.200", "[64:ff9b::127.0.0.1]:" + port,
		"https://127.0.0.1:" + port + "/", "https://localhost./x?y",
	} {
		began := time.Now()
		message := in.refused(422, "address_forbidden", "PUT", at("acme", "/connection"), credentials(host))
		if !strings.Contains(message, "has an address that may not be used: private, loopback or reserved.") || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %q after %v", host, message, time.Since(began))
		}
	}
	for _, host := range []string{"http://acme.halopsa.com", "http://localhost:" + port, "ftp://acme.halopsa.com", "https://user:pass@acme.halopsa.com", "acme halopsa!com"} {
		a := in.call("PUT", at("acme", "/connection"), credentials(host))
		if a.status != 422 || a.code() != "tenant_url_invalid" && a.code() != "address_forbidden" {
			t.Errorf("%s: %d %s", host, a.status, a.body)
		}
	}
	// A key in the wrong field goes nowhere, not even into our own log.
	if a := in.call("PUT", at("acme", "/connection"), strings.Replace(credentials(clientSecret.Reveal()), `"client_secret"`, `"client_secret":"x","more"`, 1)); a.status != 422 ||
		a.code() != "tenant_url_invalid" || strings.Contains(string(a.body)+w.log.String(), clientSecret.Reveal()) {
		t.Errorf("a secret for a host: %d %s", a.status, a.body)
	}
	if n := sprung.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	if resp, err := http.Get(trap.URL); err != nil || sprung.Load() == 0 {
		t.Errorf("the trap does not spring: %v", err)
	} else {
		resp.Body.Close()
	}
}
