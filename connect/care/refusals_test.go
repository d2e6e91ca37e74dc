//go:build synctests

package care_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func TestEachReasonWhyHaloCannotBeUsedIsSaid(t *testing.T) {
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
			inWorld(t, func(w *world) {
				w.quiet = true
				test.spoil(w.sims[0])
				in := w.active()
				_, _, err := in.Connect(context.Background(), "acme", operator, w.credentials(0))
				w.refused(err, test.status, test.code)
				var r *control.Refusal
				if want := strings.ReplaceAll(test.message, "HOST", strings.TrimPrefix(w.urls[0], "http://")); !errors.As(err, &r) || !strings.HasPrefix(r.Message, want) {
					t.Errorf("the operator reads %v, want %q", err, want)
				}
				if test.code == "rate_limited" && r.RetryAfter != 5*time.Minute {
					t.Errorf("he is told to wait %v", r.RetryAfter)
				}
				_, err = in.Connection(context.Background(), "acme")
				w.refused(err, 404, "not_connected")
				if w.credentialsKept() {
					t.Error("credentials were saved")
				}
			}, halotest.Config{})
		})
	}
}

// Who has to act on a failure of Halo is in the status, the same for each
// operation that asks Halo while the caller waits.
func TestAFailureOfHaloHasItsStatusInEachOperation(t *testing.T) {
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
				in := w.active()
				in.connect("acme", 0)
				test.happens(w)
				ctx := context.Background()
				_, _, connect := in.Connect(ctx, "acme", operator, w.credentials(0))
				_, refresh := in.Refresh(ctx, "acme", operator)
				_, reconnect := in.Reconnect(ctx, "acme", operator)
				for _, err := range []error{connect, refresh, reconnect} {
					w.refused(err, test.status, test.code)
				}
				if _, err := in.Diagnosis(ctx, "acme"); err != nil {
					t.Error(err)
				}
			}, halotest.Config{})
		})
	}
}

func TestACertificateIsTrustedByTheConnectionsOwnBundle(t *testing.T) {
	sim := halotest.New(halotest.Config{ClientID: clientID, ClientSecret: clientSecret})
	sim.AddAgent(halotest.Agent{ID: 2})
	server := httptest.NewUnstartedServer(sim)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	inWorld(t, func(w *world) {
		in := w.active()
		ctx := context.Background()
		cred := control.Credentials{TenantURL: server.URL, ClientID: clientID, ClientSecret: clientSecret.Reveal()}
		host := server.Listener.Addr().String()
		_, _, err := in.Connect(ctx, "acme", operator, cred)
		w.refused(err, 422, "certificate_untrusted")
		want := "The certificate of " + host + " is signed by an authority that is not trusted, or its chain is incomplete. For a self-hosted Halo, have the server send its whole certificate chain, or add the certificate of its authority as the CA bundle."
		if r := new(control.Refusal); !errors.As(err, &r) || r.Message != want {
			t.Errorf("the operator reads %v", err)
		}
		for junk, want := range map[string]string{
			"junk": "The CA bundle holds something that is not PEM.",
			"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n": "The CA bundle holds a private key.",
		} {
			cred.CABundle = junk
			_, _, err := in.Connect(ctx, "acme", operator, cred)
			w.refused(err, 422, "ca_bundle_invalid")
			if r := new(control.Refusal); !errors.As(err, &r) || !strings.HasPrefix(r.Message, want) {
				t.Errorf("the operator reads %v", err)
			}
		}
		cred.CABundle = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
		if _, created, err := in.Connect(ctx, "acme", operator, cred); err != nil || !created {
			t.Fatalf("created %v, %v", created, err)
		}
		in.stop() // the bundle is kept with the credentials
		in = w.active()
		in.refresh("acme")
	})
}
