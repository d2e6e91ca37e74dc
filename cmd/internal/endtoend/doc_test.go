// Package endtoend runs the programs as an operator does, as processes, and
// holds them to the five promises from outside: through the webhook endpoint,
// the control API and SQL.
//
// The engines are the embedded ones. With the build tag integration they are
// real ones, as far as there are any: see real_test.go. The tests are the same
// on both; those that need three brokers, or compaction, come with the tag.
//
// Nothing here knows a stage's code. What a test plants it computes an id for,
// from the vendor's facts alone; what it finds in ClickHouse must be just that.
package endtoend

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/embedded/engine"
)

// bin is where TestMain built the programs.
var bin string

func TestMain(m *testing.M) {
	engine.Child() // does not return in the child that holds the ClickHouse library
	if os.Getenv(clickhouseMark) != "" {
		os.Exit(serveClickHouse())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	fmt.Println(underTest())
	dir, err := os.MkdirTemp("", "halo-endtoend-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	build := exec.Command("go", "build", "-o", dir, "../../ingest", "../../processor", "../../sink", "../../connect", "../../local", "../../haloctl")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the programs:", err)
		return 1
	}
	return m.Run()
}

// await asks until cond is met, and fails the test with its last answer when
// within has passed. The processes run on the real clock; there is nothing to
// wait on but their answers.
func await(t testing.TB, within time.Duration, what string, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, within, err)
		case <-tick.C:
		}
	}
}

// pause lets d pass, or the test's end come.
func pause(t testing.TB, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

func program(name string) string { return filepath.Join(bin, name) }
