package halopsa_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
)

// marker is planted wherever the other side can put text.
const marker = "MARKER-7f3a"

// TestNothingOfAnAnswerIsInAnErrorOrALog plants a marker in answers of every
// kind, and looks for it, and for the secret, in all that comes out.
func TestNothingOfAnAnswerIsInAnErrorOrALog(t *testing.T) {
	fault := func(endpoint string, f halotest.Fault) func(*testing.T) (string, []byte) {
		return func(t *testing.T) (string, []byte) {
			sim, client := startTenant(t, nil)
			sim.Inject(endpoint, -1, f)
			return client.BaseURL(), nil
		}
	}
	for name, start := range map[string]func(*testing.T) (url string, bundle []byte){
		"oauth error":            fault("token", halotest.Answer(400, "application/json", `{"error":"`+marker+`","error_description":"`+marker+`"}`)),
		"scope error":            fault("token", halotest.Answer(400, "application/json", `{"error":"invalid_scope","error_description":"`+marker+`"}`)),
		"token that is no JSON":  fault("token", halotest.Answer(200, "application/json", marker)),
		"token in another form":  fault("token", halotest.Answer(200, "text/plain", "%"+marker)),
		"authinfo of nonsense":   fault("authinfo", halotest.Answer(200, "application/json", `{"auth_url":"https://`+marker+`%zz"}`)),
		"redirect":               fault("Agent", halotest.Redirect("https://"+marker+".example/")),
		"halo error":             fault("Agent", halotest.Answer(500, "application/json", `{"resultCode":1,"errorMessage":"`+marker+`"}`)),
		"page":                   fault("Agent", halotest.Answer(200, "text/html", "<p>"+marker)),
		"rows of the wrong type": fault("Agent", halotest.Answer(200, "application/json", `{"agents":"`+marker+`"}`)),
		"status line": func(t *testing.T) (string, []byte) {
			return serveRaw(t, "HTTP/1.1 "+marker+"\r\n\r\n"), nil
		},
		"no HTTP":     func(t *testing.T) (string, []byte) { return serveRaw(t, marker+"\r\n\r\n"), nil },
		"header line": func(t *testing.T) (string, []byte) { return serveRaw(t, "HTTP/1.1 200 OK\r\n"+marker+"\r\n\r\n"), nil },
		"certificate's names": func(t *testing.T) (string, []byte) {
			return serveTLS(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{marker + ".example"} })
		},
		"certificate's authority": func(t *testing.T) (string, []byte) {
			url, _ := serveTLS(t, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: marker} })
			return url, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, bundle := start(t)
			var logged bytes.Buffer
			client := newClient(t, url, func(c *halopsa.Config) {
				c.CABundle = bundle
				c.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			_, err := client.Agents(t.Context())
			if err == nil || halopsa.CauseOf(err) == "" {
				t.Fatalf("got %v: this proves nothing", err)
			}
			said := logged.String() + fmt.Sprintf("%v %+v %#v", err, err, client)
			for e := err; e != nil; e = errors.Unwrap(e) {
				said += fmt.Sprintf(" %#v %v", e, e)
			}
			for _, forbidden := range []string{marker, strings.ToLower(marker), clientSecret.Reveal()} {
				if strings.Contains(said, forbidden) {
					t.Errorf("%q is in: %s", forbidden, said)
				}
			}
		})
	}
}

// serveRaw answers each connection with the same bytes.
func serveRaw(t *testing.T, answer string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, answer)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func TestEachAnswerIsLoggedAsStatusAndCause(t *testing.T) {
	sim, used := startTenant(t, nil)
	sim.HideAgents(true)
	var logged bytes.Buffer
	client := newClient(t, used.BaseURL(), func(c *halopsa.Config) {
		c.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
	})
	if _, err := client.Webhook(t.Context(), "none"); halopsa.CauseOf(err) != halopsa.NotFound {
		t.Fatal(err)
	}
	want := `level=DEBUG msg="halo answered" call=authinfo status=200 cause=""
level=DEBUG msg="halo answered" call=token status=200 cause=""
level=DEBUG msg="halo answered" call=webhook status=404 cause=not_found
`
	if logged.String() != want {
		t.Errorf("logged\n%s", logged.String())
	}
}
