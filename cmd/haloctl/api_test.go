package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/connect/api/apitest"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// counter is an operator at the tool and the control API, with nothing behind
// it.
type counter struct {
	*desk
	tenants *apitest.Tenants
	reads   *apitest.Reads
	tokens  string
}

var event = schemas.ID{0xAB, 15: 1}

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{desk: &desk{t: t, dir: t.TempDir(), noTerminal: errors.New("no terminal")}, tenants: apitest.NewTenants(time.Now)}
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	c.reads = &apitest.Reads{
		EventRows:  []control.Event{{Outcome: control.OutcomeSkip, ID: event.String(), Kind: schemas.StatusChanged, Ticket: 1042, Agent: 3, Reason: schemas.Unmapped, OccurredAt: at, ReceivedAt: at}},
		ChangeRows: []control.Change{{ID: event.String(), Tenant: "acme", At: at, By: "operator", Change: "map", Agent: 3, User: "u-1", Result: "ok"}},
		Refused:    []control.Delivery{{At: at, Result: "malformed", Bytes: 12, Fields: []string{"object_id"}}},
	}
	keyset := filepath.Join(c.dir, "keyset")
	if err := vault.NewKeyset(keyset); err != nil {
		t.Fatal(err)
	}
	c.tokens = filepath.Join(c.dir, "api-tokens")
	c.environ = []string{"HALOCTL_TOKEN_FILE=" + filepath.Join(c.dir, "token"), "HALOCTL_TENANT=acme"}
	c.write("token", c.want(exitOK, "tokens", "new", "--name", "operator", c.tokens))
	sealer, err := vault.Open(keyset, fresh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := access.Open(c.tokens, fresh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := api.New(api.Config{Tenants: c.tenants, Reads: c.reads, Tokens: tokens, Sealer: sealer, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	c.environ = append(c.environ, "HALOCTL_URL="+server.URL)
	return c
}

func TestEachCommandOfTheAPI(t *testing.T) {
	c := newCounter(t)
	users := c.write("users.csv", "email,user_id\nann@acme.example,u-2\nnew@acme.example,u-3\n")
	fewer := c.write("fewer.csv", "user_id,email\nu-9,\n")
	for _, step := range []struct {
		args []string
		want []string
	}{
		{[]string{"users"}, []string{"USER", "u-1", "x@acme.example"}},
		{[]string{"users", "--dry-run", users}, []string{"added  u-3", "removed  u-1", "0 mappings would end. Nothing was changed."}},
		{[]string{"users", "--dry-run", fewer}, []string{"ends", "agent 2, Ann, mapped to u-2", "1 mappings would end"}},
		{[]string{"users", users}, []string{"2 users; 0 mappings ended."}},
		{[]string{"users", "--ends", "2", fewer}, []string{"1 users; 1 mappings ended."}},
		{[]string{"agents", "--state", "unmatched"}, []string{"unmatched: no email", "Bob"}},
		{[]string{"agents", "--find", "ann"}, []string{"Ann", "u-2"}},
		{[]string{"ignore", "3", "42"}, []string{"ignored"}},
		{[]string{"automatic", "3"}, []string{"unmatched"}},
		{[]string{"map", "2", "u-9"}, []string{"Agent 2 is mapped to u-9"}},
		{[]string{"history", "2"}, []string{"u-2", "operator"}},
		{[]string{"history", "3"}, []string{"never mapped"}},
		{[]string{"events", "--outcome", "skip", "--ticket", "1042"}, []string{event.String(), "2026-11-24 08:00:00", "skip: unmapped"}},
		{[]string{"explain", strings.ToUpper(event.String())}, []string{"skip: unmapped", "2026-11-24 08:00:00 UTC", "envelope agent"}},
		{[]string{"explain", event.String()[:7] + "…"}, []string{"skip: unmapped"}}, // as a narrow screen shows it
		{[]string{"deliveries"}, []string{"malformed", "object_id"}},
		{[]string{"changes", "--from", "1d"}, []string{"operator", "map"}},
		{[]string{"erase", "--yes", "u-9"}, []string{"user u-9", "running"}},
		{[]string{"erase", "--yes", "--whole-tenant"}, []string{"the whole tenant", "clickhouse", "nothing left by"}},
		{[]string{"erasures"}, []string{"user u-9"}},
		{[]string{"console", "--scope", "read", "--path", "/console/acme/agents"}, []string{"/console/link/"}},
		{[]string{"doctor"}, []string{"finding"}},
		{[]string{"connect", "--url", "acme.halopsa.com", "--client-id", "x", "--replace-sealed"}, []string{"active"}},
	} {
		out := c.desk.want(exitOK, step.args...)
		for _, want := range step.want {
			if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
				t.Errorf("haloctl %s: no %q in\n%s", strings.Join(step.args, " "), want, out)
			}
		}
		if strings.HasPrefix(step.args[0], "users") && len(step.args) > 1 && !slices.Contains(step.args, "--dry-run") {
			continue // would be done twice
		}
		out = c.desk.want(exitOK, append(slices.Clone(step.args), "--json")...)
		if !json.Valid([]byte(out)) {
			t.Errorf("haloctl %s --json printed %q", strings.Join(step.args, " "), out)
		}
	}
}

func TestWrongWordsEndWithTwo(t *testing.T) {
	c := newCounter(t)
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer html.Close()
	nothing := httptest.NewServer(http.NotFoundHandler())
	defer nothing.Close()
	for _, step := range []struct {
		args []string
		env  string
		want string
	}{
		{[]string{"agnets"}, "", "did you mean agents?"},
		{[]string{"tokens", "revok"}, "", "did you mean revoke?"},
		{[]string{"timeline", "--limit", "0"}, "", "--limit"},
		{[]string{"events", "--limit", "1001"}, "", "--limit"},
		{[]string{"deliveries", "--limit", "-1"}, "", "--limit"},
		{[]string{"changes", "--limit", "ten"}, "", `"--limit" flag: it takes a whole number`},
		{[]string{"timeline", "--from", "1d", "--to", "2d"}, "", "nothing is between"},
		{[]string{"timeline", "--from", "2999-01-01"}, "", "nothing is between"},
		{[]string{"events", "--kind", "none"}, "", "--kind"},
		{[]string{"events", "--ticket", "x"}, "", "--ticket"},
		{[]string{"events", "--reason", "lazy"}, "", "--reason"},
		{[]string{"agents", "--state", "lost"}, "", "--state"},
		{[]string{"ignore", "jane"}, "", "AGENT"},
		{[]string{"ignore"}, "", "AGENT"},
		{[]string{"explain", "42"}, "", "EVENT"},
		{[]string{"explain", "0123abc"}, "", "none begins with 0123abc"},
		{[]string{"erase"}, "", "--whole-tenant"},
		{[]string{"erase", "u-1", "--whole-tenant"}, "", "--whole-tenant"},
		{[]string{"erase", "u-1"}, "", "--yes"},
		{[]string{"disconnect"}, "", "--yes"},
		{[]string{"keys", "retire", "x"}, "", "--yes"},
		{[]string{"users", "--dry-run"}, "", "FILE"},
		{[]string{"users", "--ends", "-1", "x"}, "", "--ends"},
		{[]string{"console", "--scope", "write"}, "", "--scope"},
		{[]string{"tokens", "new", "--name", "two words", c.tokens}, "", "--name"},
		{[]string{"tokens", "new", "--name", "x", "--scope", "write", c.tokens}, "", "--scope"},
		{[]string{"tokens", "new", "--name", "x", "--until", "2020-01-01", c.tokens}, "", "--until"},
		{[]string{"status", "--timeout", "soon"}, "", "--timeout"},
		{[]string{"status"}, "HALOCTL_TOKEN=two\nlines", "line break"},
		{[]string{"agents"}, "HALOCTL_URL=" + html.URL, "not the control API"},
		{[]string{"agents"}, "HALOCTL_URL=" + nothing.URL, "not the control API"},
	} {
		at := *c.desk
		if step.env != "" {
			at.environ = append(slices.Clone(c.environ), step.env)
		}
		if out := at.want(exitUsage, step.args...); !strings.Contains(out, step.want) {
			t.Errorf("haloctl %s: no %q in\n%s", strings.Join(step.args, " "), step.want, out)
		}
	}
	if len(c.tenants.Calls) > 0 {
		t.Errorf("something was done: %q", c.tenants.Calls)
	}
}

func TestWhatCannotBeUndoneIsAsked(t *testing.T) {
	c := newCounter(t)
	c.noTerminal = nil
	for _, args := range [][]string{{"erase", "u-9"}, {"erase", "--whole-tenant"}, {"disconnect"}} {
		c.answer = "no\n"
		if out := c.desk.want(exitFailed, args...); !strings.Contains(out, "nothing was done") {
			t.Errorf("%v: %s", args, out)
		}
		if len(c.tenants.Calls) > 0 {
			t.Fatalf("%v: it was done: %q", args, c.tenants.Calls)
		}
		c.answer = "yes\n"
		c.desk.want(exitOK, args...)
		if len(c.tenants.Calls) == 0 {
			t.Errorf("%v: it was not done", args)
		}
		c.tenants.Calls = nil
	}
}

func TestTheGuardIsSaidWithTheWayOn(t *testing.T) {
	c := newCounter(t)
	out := c.desk.want(exitRefused, "users", c.write("none.json", "[]"))
	if !strings.Contains(out, "--ends 2") {
		t.Errorf("%s", out)
	}
}

// An escape sequence in a name must not reach the terminal from any list.
func TestWhatOthersWroteReachesNoTerminal(t *testing.T) {
	c := newCounter(t)
	const evil = "\x1b[31mEve\u202E\u200b\tx\ny\x00"
	user := schemas.UserID(evil)
	c.tenants.List[0].Name, c.tenants.List[0].Email, c.tenants.List[0].UserID = evil, evil, &user
	c.tenants.Dir[0].Email = evil
	c.tenants.Conn.Problems = []control.Problem{{Code: "x", Severity: control.SeverityError, Message: evil, Action: evil}}
	c.reads.EventRows[0].User, c.reads.ChangeRows[0].By = user, evil
	c.reads.Activities = []control.Activity{{ID: event.String(), Tenant: "acme", User: user, Category: "Ticket", Kind: "ticket_logged", Weight: 1, CreditedAs: "actor"}}
	for _, args := range [][]string{{"agents"}, {"users"}, {"status"}, {"events"}, {"changes"}, {"timeline"}, {"explain", event.String()}} {
		out := c.desk.want(exitOK, args...)
		if !strings.Contains(out, "Eve") {
			t.Errorf("haloctl %v shows nothing of it, so that this proves nothing:\n%s", args, out)
		}
		for line := range strings.Lines(out) {
			if line = strings.TrimSuffix(line, "\n"); !harmless.Is(line) {
				t.Errorf("haloctl %v: %+q", args, line)
			}
		}
		if strings.Contains(out, "\ny") {
			t.Errorf("haloctl %v: a name breaks the line:\n%s", args, out)
		}
	}
	c.tenants.Err = control.Refuse(409, "x", "%s", evil)
	if out := c.desk.want(exitRefused, "agents"); strings.ContainsAny(out, "\x1b\x00\u202E\u200b") {
		t.Errorf("%+q", out)
	}
}

func TestWhoIsUnknownIsSaid(t *testing.T) {
	c := newCounter(t)
	_, _, errs := c.run("", "timeline", "--user", "stranger")
	if !strings.Contains(errs, "nobody") || !strings.Contains(errs, "stranger") {
		t.Errorf("%s", errs)
	}
	if _, _, errs := c.run("", "timeline", "--user", "u-1"); errs != "" {
		t.Errorf("a user without activities: %s", errs)
	}
}

func TestDisconnectedTenantsAreShownWithAllOnly(t *testing.T) {
	c := newCounter(t)
	c.tenants.Rows[1].State = control.Disconnected
	c.environ = slices.DeleteFunc(c.environ, func(v string) bool { return strings.HasPrefix(v, "HALOCTL_TENANT=") })
	if out := c.desk.want(exitOK, "status"); strings.Contains(out, "globex") || !strings.Contains(out, "1 disconnected") {
		t.Errorf("%s", out)
	}
	if out := c.desk.want(exitOK, "status", "--all"); !strings.Contains(out, "globex") {
		t.Errorf("%s", out)
	}
}

func TestWhatTakesLongerThanTheTimeoutIsNotAvailable(t *testing.T) {
	c := newCounter(t)
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(stuck)
	c.environ = append(c.environ, "HALOCTL_URL="+server.URL)
	if out := c.desk.want(exitUnavailable, "agents", "--timeout", "20ms"); !strings.Contains(out, "20ms") || !strings.Contains(out, server.URL) {
		t.Errorf("%s", out)
	}
}

func TestTokensAreMadeListedAndRevoked(t *testing.T) {
	c := newCounter(t)
	c.desk.want(exitOK, "tokens", "new", "--name", "portal", "--tenant", "acme", "--tenant", "globex", "--scope", "read", "--until", "2999-12-31", c.tokens)
	out := c.desk.want(exitOK, "tokens", "list", c.tokens)
	for _, want := range []string{"operator  *", "portal", "acme,globex", "read", "3000-01-01 00:00:00"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if b, err := os.ReadFile(c.tokens); err != nil || !strings.Contains(string(b), " acme,globex read 3000-01-01T00:00:00Z\n") || !strings.Contains(string(b), " *\n") {
		t.Errorf("%s, %v", b, err)
	}
	c.desk.want(exitOK, "tokens", "revoke", "portal", c.tokens)
	if out := c.desk.want(exitOK, "tokens", "list", c.tokens, "--json"); strings.Contains(out, "portal") {
		t.Errorf("%s", out)
	}
	c.desk.want(exitFailed, "tokens", "revoke", "portal", c.tokens)
}

func TestTenantsAgentsAndUsersAreCompleted(t *testing.T) {
	c := newCounter(t)
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"agents", "--tenant", ""}, "globex\tdegraded"},
		{[]string{"map", ""}, "2\tAnn"},
		{[]string{"map", "2", ""}, "u-1\tx@acme.example"},
		{[]string{"ignore", ""}, "3\tBob"},
		{[]string{"erase", ""}, "u-1\tx@acme.example"},
	} {
		if out := c.desk.want(exitOK, append([]string{"__complete"}, step.args...)...); !strings.Contains(out, step.want) {
			t.Errorf("%v: no %q in\n%s", step.args, step.want, out)
		}
	}
}
