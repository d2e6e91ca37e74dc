package manifests

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commands are the lines of the README's shell blocks, continued lines joined,
// comments cut off.
func commands(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(deploy + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		joined := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(block[1], "")
		for line := range strings.Lines(joined) {
			if line, _, _ = strings.Cut(line, " #"); strings.TrimSpace(line) != "" && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				all = append(all, strings.TrimSpace(line))
			}
		}
	}
	if len(all) < 30 {
		t.Fatalf("%d commands: this proves nothing", len(all))
	}
	return all
}

// TestEveryCommandOfTheReadmeIsOneThatHaloctlHas asks haloctl for the help of
// each, which fails for a command that there is not, and looks for its flags.
func TestEveryCommandOfTheReadmeIsOneThatHaloctlHas(t *testing.T) {
	call := regexp.MustCompile(`(?:bin/|run --rm (?:-T )?|; |^)haloctl (.+)$`)
	seen := map[string]bool{}
	for _, line := range commands(t) {
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		args := strings.Fields(m[1])
		var words, flags []string
		for i := 0; i < len(args); i++ {
			switch {
			case strings.ContainsAny(args[i], "<>|&"):
				i = len(args)
			case strings.HasPrefix(args[i], "--"):
				flags = append(flags, args[i])
				i++ // all flags here take a value
			default:
				words = append(words, args[i])
			}
		}
		help, path := help(t, words)
		seen[path] = true
		for _, flag := range flags {
			if !regexp.MustCompile(`(?m)^\s+(-\w, )?` + flag + `(\s|$)`).MatchString(help) {
				t.Errorf("haloctl %s has no %s: %s", path, flag, line)
			}
		}
	}
	for _, want := range []string{"users", "connect", "status", "agents", "map", "timeline", "doctor", "keys new", "keys rotate", "keys retire", "tokens new"} {
		if !seen[want] {
			t.Errorf("the README does not show haloctl %s", want)
		}
	}
}

// help is the help of the longest command that words begin with, and that
// command. A word that is neither a command nor an argument of one fails the
// test.
func help(t *testing.T, words []string) (text, path string) {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, "haloctl"), append(slices.Clone(words), "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("haloctl %v --help: %v\n%s", words, err, out)
	}
	use := regexp.MustCompile(`(?m)^Usage:\n  haloctl (.*)$`).FindSubmatch(out)
	if use == nil || strings.HasPrefix(string(use[1]), "[command]") {
		t.Fatalf("haloctl has no command %v", words)
	}
	var command []string
	for _, w := range strings.Fields(string(use[1])) {
		if w != strings.ToLower(w) || strings.HasPrefix(w, "[") || strings.HasPrefix(w, "-") {
			break
		}
		command = append(command, w)
	}
	if len(command) > len(words) {
		t.Fatalf("haloctl %v is not a whole command", words)
	}
	return string(out), strings.Join(command, " ")
}

func TestWhatTheReadmeNamesIsThere(t *testing.T) {
	b, err := os.ReadFile(deploy + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	files := regexp.MustCompile(`\bdeploy/[\w./-]*[\w/]`).FindAllString(readme, -1)
	if len(files) < 10 {
		t.Errorf("%d files named: this proves nothing", len(files))
	}
	for _, f := range files {
		if f == "deploy/.env" || strings.HasPrefix(f, "deploy/secrets/") {
			continue // made by the operator
		}
		if _, err := os.Stat(filepath.Join(root, f)); err != nil {
			t.Error(err)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^|]*)` \\|").FindAllStringSubmatch(readme, -1) {
		for name := range strings.SplitSeq(m[1], "`, `") {
			if strings.Contains(name, ":") {
				continue // an address
			}
			if _, err := os.Stat(filepath.Join(deploy, name)); err != nil {
				t.Error(err)
			}
		}
	}
	p := project(t)
	for _, m := range regexp.MustCompile(`docker compose (?:logs|run --rm(?: -T)?(?: (?:-v|--entrypoint) \S+)?) ([a-z-]+)`).FindAllStringSubmatch(readme, -1) {
		if _, ok := p.Services[m[1]]; !ok {
			t.Errorf("compose has no service %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`([a-z-]+)_([a-z-]+)`").FindAllStringSubmatch(readme, -1) {
		if m[1] == p.Name {
			if _, ok := p.Volumes[m[2]]; !ok {
				t.Errorf("compose has no volume %s", m[2])
			}
		}
	}
	users, err := os.ReadFile(deploy + "/clickhouse/users.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`--param_(\w+_password)`).FindAllStringSubmatch(readme, -1) {
		if !strings.Contains(string(users), "{"+m[1]+":String}") {
			t.Errorf("users.sql has no parameter %s", m[1])
		}
	}
	// Variables of ours that the text names, in code.
	var known []string
	for _, command := range [][]string{{"ingest"}, {"processor"}, {"sink"}, {"connect"}, {"haloctl"}, {"haloctl", "topics", "apply"}, {"haloctl", "migrate"}} {
		known = append(known, variables(t, command...)...)
	}
	// And those that Compose puts in from deploy/.env.
	compose, err := os.ReadFile(deploy + "/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\$\{([A-Z_]+):-`).FindAllStringSubmatch(string(compose), -1) {
		known = append(known, m[1])
	}
	for _, m := range regexp.MustCompile(`\b((?:INGEST|CONNECT|GRAFANA|PROMETHEUS|KAFKA|TOPIC|OUTPUT|BATCH|HALOCTL|PUBLIC|HEALTH|RETENTION|CLICKHOUSE)_[A-Z_]+)\b`).FindAllString(readme, -1) {
		if m = strings.TrimSuffix(m, "_"); !slices.Contains(known, m) && !slices.Contains([]string{"KAFKA_BOOTSTRAP", "KAFKA_COMMAND_CONFIG"}, m) {
			t.Errorf("no program reads %s", m)
		}
	}
}

// TestTheRunbookKnowsTheMembersOfAnEvent: one that it does not know would show
// every record as a breach, in the middle of the night.
func TestTheRunbookKnowsTheMembersOfAnEvent(t *testing.T) {
	book, err := os.ReadFile(deploy + "/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)keys\[\]\] -\s+(\[.*?\])`).FindSubmatch(book)
	b, err := os.ReadFile(root + "/schemas/event.schema.json")
	if err != nil || list == nil {
		t.Fatalf("%v; the runbook lists the members of an event: %v", err, list != nil)
	}
	var known []string
	var schema struct{ Properties map[string]any }
	if err := errors.Join(json.Unmarshal(list[1], &known), json.Unmarshal(b, &schema)); err != nil {
		t.Fatal(err)
	}
	slices.Sort(known)
	if want := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(known, want) {
		t.Errorf("the runbook knows %v, an event has %v", known, want)
	}
}
