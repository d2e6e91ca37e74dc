//go:build model

// Package model has the way of an event as a model, and the steps of it in the
// wrong order, one at a time. Spin goes through every schedule of two tenants,
// three deliveries of each and a crash: as we do it no promise can be broken, and
// of each reversal there is a schedule that breaks one.
package model

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// check has Spin search a model with macros defined, and returns what it printed
// and how many steps a counterexample has; 0: there is none.
func check(t *testing.T, macros ...string) (out string, steps int) {
	t.Helper()
	model, err := filepath.Abs("pipeline.pml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	var define []string
	for _, m := range macros {
		define = append(define, "-D"+m)
	}
	run("spin", append(define, "-a", model)...)
	// Exhaustive: every state is kept, none by a hash alone.
	run("gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c")
	out = run("./pan", "-m100000", "-w24")
	if strings.Contains(out, "max search depth too small") || strings.Contains(out, "out of memory") {
		t.Fatalf("the search was cut short: this proves nothing\n%s", out)
	}
	if trail, err := os.ReadFile(filepath.Join(dir, "pipeline.pml.trail")); err == nil {
		steps = strings.Count(string(trail), "\n")
	}
	return out, steps
}

var (
	violated = regexp.MustCompile(`assertion violated (.*) \(at depth`)
	states   = regexp.MustCompile(`(?m)^\s*(\d+) states, stored`)
)

// promise says which one an assertion of the model is for.
func promise(assertion string) string {
	switch {
	case strings.Contains(assertion, "kept["):
		return "Kept"
	case strings.Contains(assertion, "asked["), strings.Contains(assertion, "promised["):
		return "As of arrival"
	}
	return "Repeatable"
}

func TestEveryScheduleKeepsThePromises(t *testing.T) {
	out, _ := check(t)
	if !strings.Contains(out, "errors: 0") {
		t.Fatalf("a promise is broken, or somebody waits for ever:\n%s", out)
	}
	t.Logf("%s states", states.FindStringSubmatch(out)[1])
}

func TestEachReversedOrderHasACounterexample(t *testing.T) {
	for _, r := range []struct{ macro, said string }{
		{"ANSWER_BEFORE_ACK", "the edge answers before the ack"},
		{"BARRIER_BEFORE_POLL", "the processor asks for the end of the mappings before it polls"},
		{"NO_BARRIER", "the processor judges before the barrier, by a table that lags"},
		{"COMMIT_BEFORE_PRODUCE", "the processor commits before it produces"},
		{"SINK_COMMITS_FIRST", "the sink commits before it appends"},
		{"LATEST_MAPPING", "the latest mapping counts, and not that of the arrival"},
		{"LAST_ARRIVAL_WINS", "the last arrival wins"},
		{"NO_LEAD", "a mapping holds from the instant at which it is asked for"},
		{"SLOW_ACK", "a mapping is acknowledged after the instant from which it holds"},
		{"ANSWER_BEFORE_WRITE", "a mapping is answered before it is written"},
		{"ANSWER_AT_ONCE", "a mapping is answered before it holds"},
	} {
		t.Run(r.macro, func(t *testing.T) {
			out, steps := check(t, r.macro)
			m := violated.FindStringSubmatch(out)
			if m == nil {
				t.Fatalf("%s, and no promise is broken:\n%s", r.said, out)
			}
			t.Logf("%s: breaks %s after %d steps", r.said, promise(m[1]), steps)
		})
	}
}
