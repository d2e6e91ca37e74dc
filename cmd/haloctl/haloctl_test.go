package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

// desk is an operator at the tool, the real control plane behind it, and a
// simulated Halo behind that.
type desk struct {
	t        *testing.T
	dir      string
	environ  []string
	sim      *halotest.Sim
	halo     string
	outcomes *outcomes

	answer     string // to what the tool asks
	noTerminal error  // why it cannot ask
}

const clientSecret = schemas.Secret("halo-client-secret")

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir(), outcomes: &outcomes{}, noTerminal: errors.New("no terminal")}
	cluster := kafkatest.New(t)
	topics := schemas.NewTopics("halo.")
	cluster.CreateTopics(t, topics, 1)

	d.sim = halotest.New(halotest.Config{ClientID: "app", ClientSecret: clientSecret})
	for id := range schemas.AgentID(3) {
		d.sim.AddAgent(halotest.Agent{ID: 2 + id, Name: "Agent", Email: string('a'+rune(id)) + "@acme.example"})
	}
	halo, err := d.sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { halo.Close() })
	d.halo = halo.URL

	keyset, tokens := filepath.Join(d.dir, "keyset.json"), filepath.Join(d.dir, "api-tokens")
	d.environ = []string{"HALOCTL_TOKEN_FILE=" + filepath.Join(d.dir, "token")}
	d.want(exitOK, "keys", "new", keyset)
	token := d.want(exitOK, "tokens", "new", "--name", "operator", tokens)
	d.write("token", token)

	log := slog.New(slog.DiscardHandler)
	sealer, err := vault.Open(keyset, fresh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	granted, err := access.Open(tokens, fresh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect.New(connect.Config{
		Kafka: cluster.Config, KafkaOptions: cluster.Opts, Topics: topics, IngestURL: "https://edge.example",
		AllowNets: halopsa.Nets{}.With(netip.MustParsePrefix("127.0.0.0/8")), HealthInterval: time.Hour,
		Group:  "connect",
		Sealer: sealer, Tokens: granted, Outcomes: d.outcomes, Eraser: d.outcomes, Reads: d.outcomes, Log: log, Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("connect: %v", err)
		}
	})
	api := httptest.NewServer(c.Handler())
	t.Cleanup(func() { api.Close(); stop(); wg.Wait() })
	d.environ = append(d.environ, "HALOCTL_URL="+api.URL)

	active := time.NewTicker(5 * time.Millisecond)
	defer active.Stop()
	for c.Ready() != nil {
		select {
		case <-active.C:
		case <-t.Context().Done():
			t.Fatalf("not active: %v", c.Ready())
		}
	}
	return d
}

func (d *desk) write(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// run runs the tool and returns its exit status and what it printed.
func (d *desk) run(stdin string, args ...string) (status int, out, errs string) {
	var stdout, stderr bytes.Buffer
	s := &streams{
		in: strings.NewReader(stdin), out: &stdout, err: &stderr, environ: d.environ,
		prompt:  func(string) (schemas.Secret, error) { return clientSecret, nil },
		confirm: func(string) (string, error) { return d.answer, d.noTerminal },
	}
	status = run(d.t.Context(), s, args)
	return status, stdout.String(), stderr.String()
}

// want runs the tool, wants an exit status, and returns what it printed: the
// result where it is 0, else the complaint.
func (d *desk) want(status int, args ...string) string {
	d.t.Helper()
	got, out, errs := d.run("", args...)
	if got != status {
		d.t.Fatalf("haloctl %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), got, status, out, errs)
	}
	if status == exitOK {
		return out
	}
	return errs
}

// connected gives the tenant its users and connects it.
func (d *desk) connected() {
	d.t.Helper()
	d.want(exitOK, "-t", "acme", "users", d.write("users.csv", "user_id,email\nu-1,A@acme.example\nu-2,b@acme.example\n"))
	d.want(exitOK, "-t", "acme", "connect", "--url", d.halo, "--client-id", "app")
}

func TestATenantsLifeAtTheTool(t *testing.T) {
	d := newDesk(t)
	if out := d.want(exitRefused, "-t", "acme", "status"); !strings.Contains(out, "not_connected") {
		t.Errorf("status before a connect: %s", out)
	}
	d.connected()
	for _, step := range []struct {
		args []string
		want []string
	}{
		{[]string{"status"}, []string{"acme", "active"}},
		{[]string{"-t", "acme", "status"}, []string{"active, 4 of 4 events", "3: 2 matched, 1 unmatched, 0 ignored", "none known"}},
		{[]string{"-t", "acme", "agents"}, []string{"a@acme.example", "matched", "u-1", "unmatched"}},
		{[]string{"-t", "acme", "map", "4", "u-2"}, []string{"Agent 4 is mapped to u-2 from now on."}},
		{[]string{"-t", "acme", "unmap", "4"}, []string{"mapped to nobody"}},
		{[]string{"-t", "acme", "refresh"}, []string{"3: 2 matched, 1 unmatched"}},
		{[]string{"-t", "acme", "reconnect"}, []string{"active, 4 of 4 events"}},
		{[]string{"-t", "acme", "timeline"}, []string{"OCCURRED (UTC)"}},
		{[]string{"-t", "acme", "disconnect", "--yes"}, []string{"acme is disconnected."}},
		{[]string{"-t", "acme", "status"}, []string{"disconnected"}},
	} {
		out := d.want(exitOK, step.args...)
		for _, want := range step.want {
			if !strings.Contains(out, want) {
				t.Errorf("haloctl %s: no %q in\n%s", strings.Join(step.args, " "), want, out)
			}
		}
	}
}

func TestEveryCommandPrintsJSONForPrograms(t *testing.T) {
	d := newDesk(t)
	d.connected()
	for _, args := range [][]string{
		{"status"},
		{"-t", "acme", "status"},
		{"-t", "acme", "agents"},
		{"-t", "acme", "timeline"},
		{"-t", "acme", "doctor"},
		{"-t", "acme", "refresh"},
		{"-t", "acme", "map", "4", "u-1"},
		{"-t", "acme", "unmap", "4"},
		{"-t", "acme", "disconnect", "--yes"},
		{"keys", "rotate", filepath.Join(d.dir, "keyset.json")},
	} {
		out := d.want(exitOK, append(args, "--json")...)
		if !json.Valid([]byte(out)) {
			t.Errorf("haloctl %s --json printed %q", strings.Join(args, " "), out)
		}
	}
}

func TestTheExitStatusSaysWhoMustAct(t *testing.T) {
	d := newDesk(t)
	d.connected()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, c := range []struct {
		name   string
		args   []string
		env    string
		status int
		want   string
	}{
		{"a word that is no command", []string{"frobnicate"}, "", exitUsage, `no command "frobnicate"`},
		{"a word that is no command below another", []string{"topics", "destroy"}, "", exitUsage, `no command "destroy"`},
		{"a shell that is none", []string{"completion", "nosuch"}, "", exitUsage, `no command "nosuch"`},
		{"a word after a shell", []string{"completion", "bash", "x"}, "", exitUsage, "completion bash"},
		{"help about a word that is no command", []string{"help", "nosuch"}, "", exitUsage, `no command "nosuch"`},
		{"help about a word that is no command below another", []string{"help", "keys", "nosuch"}, "", exitUsage, `no command`},
		{"a flag that is none", []string{"status", "--frob"}, "", exitUsage, "--frob"},
		{"no tenant", []string{"agents"}, "", exitUsage, "which tenant?"},
		{"no id", []string{"-t", "acme", "agents"}, "HALOCTL_TENANT=Not An Id", exitOK, ""},
		{"a tenant that cannot be one", []string{"-t", "Not An Id", "agents"}, "", exitUsage, "--tenant"},
		{"an agent that is no number", []string{"-t", "acme", "map", "jane", "u-1"}, "", exitUsage, "a number"},
		{"disconnecting in passing", []string{"-t", "acme", "disconnect"}, "", exitUsage, "--yes"},
		{"connecting without an id", []string{"-t", "acme", "connect", "--url", "x"}, "", exitUsage, "--client-id"},
		{"a time that is none", []string{"-t", "acme", "timeline", "--from", "noon"}, "", exitUsage, "--from"},
		{"an agent that Halo does not list", []string{"-t", "acme", "map", "99", "u-1"}, "", exitRefused, "unknown_agent"},
		{"a user who is not in the directory", []string{"-t", "acme", "map", "2", "stranger"}, "", exitRefused, "unknown_user"},
		{"a wrong token", []string{"status"}, "HALOCTL_TOKEN=guess", exitRefused, "unauthorized"},
		{"no API there", []string{"status"}, "HALOCTL_URL=" + gone.URL, exitUnavailable, "not available"},
		{"no token file", []string{"status"}, "HALOCTL_TOKEN_FILE=" + filepath.Join(d.dir, "nowhere"), exitFailed, "HALOCTL_TOKEN_FILE"},
		{"an empty users file", []string{"-t", "acme", "users", d.write("empty", "")}, "", exitFailed, "the file is empty"},
		{"a keyset that is there", []string{"keys", "new", filepath.Join(d.dir, "keyset.json")}, "", exitFailed, "exists already"},
		{"an environment that is off", []string{"migrate"}, "RETENTION_MONTHS=0", exitUsage, "RETENTION_MONTHS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := *d
			at.t = t
			if c.env != "" {
				at.environ = append(slices.Clone(d.environ), c.env)
			}
			if out := at.want(c.status, c.args...); !strings.Contains(out, c.want) {
				t.Errorf("no %q in\n%s", c.want, out)
			}
		})
	}
}

func TestTheToolTakesTheFlagsThatEveryProgramTakes(t *testing.T) {
	d := newDesk(t)
	d.environ = append(d.environ, "CLICKHOUSE_DSN=http://u:hunter2@127.0.0.1:1/worksights", "KAFKA_BROKERS=127.0.0.1:1", "HALOCTL_TOKEN=hunter2")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--version"}, "haloctl "},
		{[]string{"--print-config"}, "HALOCTL_TOKEN=[redacted]"},
		{[]string{"topics", "apply", "--print-config"}, "TOPIC_PREFIX=halo."},
		{[]string{"migrate", "--print-config"}, "RETENTION_MONTHS=25"},
		{[]string{"--check"}, ""},
		{[]string{"topics", "apply", "--check"}, ""}, // nothing is dialled: nobody is there
		{[]string{"migrate", "--check"}, ""},
	} {
		if out := d.want(exitOK, c.args...); !strings.Contains(out, c.want) || c.want == "" && out != "" || strings.Contains(out, "hunter2") {
			t.Errorf("%v: want %q in %q", c.args, c.want, out)
		}
	}
	d.environ = append(d.environ, "TOPIC_PARTITIONS=0", "RETENTION_MONTHS=0", "HALOCTL_URL=nowhere")
	for name, args := range map[string][]string{
		"HALOCTL_URL": {"--check"}, "TOPIC_PARTITIONS": {"topics", "apply", "--check"}, "RETENTION_MONTHS": {"migrate", "--check"},
	} {
		if out := d.want(exitUsage, args...); !strings.Contains(out, name) {
			t.Errorf("%v does not name %s: %q", args, name, out)
		}
	}
}

func TestTheSecretComesFromAPromptAFileOrStandardInputAndIsNeverShown(t *testing.T) {
	d := newDesk(t)
	connect := []string{"-t", "acme", "connect", "--url", d.halo, "--client-id", "app"}
	for _, c := range []struct{ name, stdin, flag string }{
		{"prompt", "", ""},
		{"file", "", "--secret-file=" + d.write("secret", " "+clientSecret.Reveal()+" \nsecond line\n")},
		{"standard input", clientSecret.Reveal() + "\n", "--secret-file=-"},
	} {
		args := connect
		if c.flag != "" {
			args = append(slices.Clone(connect), c.flag)
		}
		status, out, errs := d.run(c.stdin, args...)
		if status != exitOK {
			t.Errorf("from %s: exit status %d: %s", c.name, status, errs)
		}
		if strings.Contains(out+errs, clientSecret.Reveal()) {
			t.Errorf("from %s: the secret was shown", c.name)
		}
	}
	if status, out, _ := d.run("", append(connect, "--client-secret", "x")...); status != exitUsage {
		t.Errorf("a secret as an argument: exit status %d: %s", status, out)
	}
}

func TestCompletionIsOffered(t *testing.T) {
	d := &desk{t: t}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := d.want(exitOK, "completion", shell); !strings.Contains(out, "haloctl") {
			t.Errorf("completion for %s: %.60s", shell, out)
		}
	}
}
