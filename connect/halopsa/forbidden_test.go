package halopsa_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
)

// A trap is a listener on loopback that counts who connects.
type trap struct {
	port  string
	conns atomic.Int64
}

func setTrap(t *testing.T) *trap {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	tr := &trap{}
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			tr.conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	_, tr.port, _ = net.SplitHostPort(server.Listener.Addr().String())
	// A trap that cannot be sprung proves nothing.
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	if tr.conns.Swap(0) == 0 {
		t.Fatal("the trap does not count")
	}
	return tr
}

const forbiddenMessage = " has an address that may not be used: private, loopback or reserved."

// wantForbidden calls Halo and wants the call to be stopped by the guard.
func wantForbidden(t *testing.T, c *halopsa.Client) {
	t.Helper()
	err := c.Authenticate(t.Context())
	var e *halopsa.Error
	if !errors.As(err, &e) || e.Cause != halopsa.AddressForbidden {
		t.Fatalf("got %v, want %s", err, halopsa.AddressForbidden)
	}
	if e.Message != c.Host()+forbiddenMessage || !strings.Contains(e.Action, "HALO_ALLOW_NETS") {
		t.Errorf("message %q, action %q", e.Message, e.Action)
	}
}

func nothingAllowed(c *halopsa.Config) { c.AllowNets = nil }

func TestNoRequestLeavesForALiteralForbiddenAddress(t *testing.T) {
	tr := setTrap(t)
	for _, host := range []string{
		"127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "[::1]", "10.0.0.1", "192.168.0.1",
		"169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[fe80::1]",
	} {
		t.Run(host, func(t *testing.T) {
			wantForbidden(t, newClient(t, "https://"+host+":"+tr.port, nothingAllowed))
		})
	}
	if n := tr.conns.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestNoRequestLeavesForANameThatResolvesToAForbiddenAddress(t *testing.T) {
	tr := setTrap(t)
	for _, address := range []string{"127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1", "fd00:ec2::254"} {
		t.Run(address, func(t *testing.T) {
			wantForbidden(t, newClient(t, "acme.halopsa.com:"+tr.port, func(c *halopsa.Config) {
				c.AllowNets, c.Resolver = nil, resolveTo(address)
			}))
		})
	}
	t.Run("localhost", func(t *testing.T) {
		wantForbidden(t, newClient(t, "https://localhost:"+tr.port, nothingAllowed))
	})
	if n := tr.conns.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestANameIsDialledWhereItsAddressIsAllowed(t *testing.T) {
	sim := halotest.New(halotest.Config{ClientID: clientID, ClientSecret: clientSecret})
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	client := newClient(t, "http://halo.customer.example:"+port, func(c *halopsa.Config) { c.Resolver = resolveTo("127.0.0.1") })
	if err := client.Authenticate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPlainHTTPDoesNotLeaveForAPublicAddress(t *testing.T) {
	client := newClient(t, "http://halo.customer.example", func(c *halopsa.Config) { c.Resolver = resolveTo("8.8.8.8") })
	wantForbidden(t, client)
}

func TestRedirectIsNotFollowedEvenToAnAllowedAddress(t *testing.T) {
	tr := setTrap(t)
	for _, endpoint := range []string{"authinfo", "token", "Agent"} {
		for _, to := range []string{"http://127.0.0.1:" + tr.port + "/", "https://169.254.169.254/latest/meta-data/"} {
			sim, client := startTenant(t, nil)
			sim.Inject(endpoint, -1, halotest.Redirect(to))
			_, err := client.Agents(t.Context())
			if halopsa.CauseOf(err) != halopsa.RedirectRefused {
				t.Errorf("%s to %s: got %v", endpoint, to, err)
			}
		}
	}
	if n := tr.conns.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestSignInHostNamedByTheTenantIsHeldToTheSameRules(t *testing.T) {
	tr := setTrap(t)
	for name, test := range map[string]struct{ authURL, message string }{
		"loopback":          {"https://127.0.0.9:" + tr.port + "/auth", "127.0.0.9:" + tr.port + forbiddenMessage},
		"metadata":          {"https://169.254.169.254/auth/", "169.254.169.254" + forbiddenMessage},
		"mapped loopback":   {"https://[::ffff:127.0.0.9]:" + tr.port, "[::ffff:127.0.0.9]:" + tr.port + forbiddenMessage},
		"public, but plain": {"http://8.8.8.8/auth", "8.8.8.8" + forbiddenMessage},
		"another scheme":    {"gopher://8.8.8.8/auth", "HOST names a sign-in address that is not https://."},
	} {
		t.Run(name, func(t *testing.T) {
			_, simulated := startTenant(t, func(c *halotest.Config) { c.AuthURL = test.authURL })
			client := newClient(t, simulated.BaseURL(), func(c *halopsa.Config) {
				c.AllowNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			})
			err := client.Authenticate(t.Context())
			var e *halopsa.Error
			if !errors.As(err, &e) || e.Cause != halopsa.AddressForbidden {
				t.Fatalf("got %v", err)
			}
			if want := strings.ReplaceAll(test.message, "HOST", client.Host()); e.Message != want {
				t.Errorf("message %q, want %q", e.Message, want)
			}
		})
	}
	if n := tr.conns.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// resolveTo returns a resolver to which every name has the one address.
func resolveTo(address string) *net.Resolver { return resolver(netip.MustParseAddr(address)) }

// resolveNothing returns a resolver that knows no name.
func resolveNothing() *net.Resolver { return resolver(netip.Addr{}) }

func resolver(ip netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for answerDNS(server, ip) == nil {
			}
		}()
		return client, nil
	}}
}

// answerDNS answers one query: with ip, or that there is no such name. Over a pipe, which is no packet connection, the
// resolver speaks DNS as over TCP: each message after its length.
func answerDNS(conn net.Conn, ip netip.Addr) error {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return err
	}
	end := 12 // after the header
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	kind := binary.BigEndian.Uint16(question[len(question)-4:])

	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	if !ip.IsValid() {
		reply[3] |= 3 // NXDOMAIN
	}
	if data := ip.AsSlice(); (kind == 1 && len(data) == 4) || (kind == 28 && len(data) == 16) {
		reply[7] = 1
		reply = append(reply, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 60, 0, byte(len(data)))
		reply = append(reply, data...)
	}
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	return err
}
