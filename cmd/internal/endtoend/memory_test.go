package endtoend

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Bounds in MiB: of a stage's process at its worst, and of bin/local with
// everything in it, engine and simulated tenant included.
const (
	stageMemory = 150
	localMemory = 1000
)

func TestAStageStaysWithinItsMemory(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	l := s.connected("memory", 10).underLoad(16, 0)
	pause(t, 15*time.Second)
	l.stop()
	l.settled()
	for _, p := range s.stages() {
		worst := memory(t, p.cmd.Process.Pid, "VmHWM")
		t.Logf("%s: %d MiB at its worst, after %d events", p.name, worst, len(l.kept))
		if worst > stageMemory {
			t.Errorf("%s took %d MiB, want %d at most", p.name, worst, stageMemory)
		}
	}
}

func TestAllOnOneMachineStayWithinOneGigabyte(t *testing.T) {
	t.Parallel()
	s := prepareStack(t)
	s.clickhouseAt = url.URL{Scheme: "http", Host: s.addr(8123)}
	local := s.process("local", s.offset+9090, nil, []string{"SIMULATE=1"})
	local.start()
	local.ready()
	b, err := os.ReadFile(filepath.Join(s.data, "api-token"))
	if err != nil {
		t.Fatal(err)
	}
	s.token, _, _ = strings.Cut(string(b), "\n")
	s.env = append(s.env, "KAFKA_BROKERS="+s.addr(9092), "CLICKHOUSE_DSN="+s.dsn("worksights"))
	l := s.connected("memory", 10).underLoad(16, 0)
	pause(t, 15*time.Second)
	l.stop()
	l.settled()
	engine, err := childOf(local.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	program, child := memory(t, local.cmd.Process.Pid, "VmRSS"), memory(t, engine, "VmRSS")
	t.Logf("bin/local: %d MiB and its ClickHouse %d MiB, after %d events", program, child, len(l.kept))
	if program+child > localMemory {
		t.Errorf("bin/local takes %d MiB, want %d at most", program+child, localMemory)
	}
	if status, _ := local.stop(); status != 0 {
		t.Errorf("bin/local: exit status %d after SIGTERM", status)
	}
}

// memory reads a line of /proc/PID/status, in MiB.
func memory(t testing.TB, pid int, line string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n"+line+":")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatalf("%s of process %d: %v", line, pid, err)
	}
	return kib >> 10
}
