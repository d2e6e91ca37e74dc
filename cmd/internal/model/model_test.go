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

// check has Spin search a model with macros defined and returns what it printed.
func check(t *testing.T, macros ...string) string {
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
	out := run("./pan", "-m200000", "-w24")
	if strings.Contains(out, "max search depth too small") || strings.Contains(out, "out of memory") {
		t.Fatalf("the search was cut short: this proves nothing\n%s", out)
	}
	if trail, err := os.ReadFile(filepath.Join(dir, "pipeline.pml.trail")); err == nil {
		t.Logf("a counterexample of %d steps", strings.Count(string(trail), "\n"))
	}
	return out
}

var (
	violated = regexp.MustCompile(`assertion violated (.*) \(at depth`)
	counts   = regexp.MustCompile(`(?m)^\s*\d+ states, stored.*$|errors: \d+`)
)

func TestEveryScheduleKeepsThePromises(t *testing.T) {
	out := check(t)
	t.Log(counts.FindAllString(out, -1))
	if m := violated.FindString(out); m != "" || !strings.Contains(out, "errors: 0") {
		t.Fatalf("a promise is broken: %s\n%s", m, out)
	}
}

func TestEachReversedOrderHasACounterexample(t *testing.T) {
	for macro, said := range map[string]string{
		"ANSWER_BEFORE_ACK":     "the edge answers before the ack",
		"BARRIER_BEFORE_POLL":   "the processor asks for the end of the mappings before it polls",
		"COMMIT_BEFORE_PRODUCE": "the processor commits before it produces",
		"SINK_COMMITS_FIRST":    "the sink commits before it appends",
		"LATEST_MAPPING":        "the latest mapping counts, and not that of the arrival",
		"LAST_ARRIVAL_WINS":     "the last arrival wins",
		"NO_LEAD":               "a mapping holds from the instant at which it is asked for",
		"SLOW_ACK":              "a mapping is acknowledged after the instant from which it holds",
		"ANSWER_BEFORE_WRITE":   "a mapping is answered before it is written",
		"ANSWER_AT_ONCE":        "a mapping is answered before it holds",
	} {
		t.Run(macro, func(t *testing.T) {
			// Two deliveries of each tenant show it, and are searched in seconds.
			out := check(t, macro, "DELIVERIES=4")
			m := violated.FindStringSubmatch(out)
			if m == nil {
				t.Fatalf("%s, and no promise is broken:\n%s", said, out)
			}
			t.Logf("%s: breaks %s", said, m[1])
		})
	}
}
