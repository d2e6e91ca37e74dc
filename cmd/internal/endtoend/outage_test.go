package endtoend

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func agentWithoutUser(id schemas.AgentID) halotest.Agent {
	return halotest.Agent{ID: id, Name: fmt.Sprintf("Agent %d", id)}
}

func TestWithKafkaDownNothingIsAnswered200AndEverythingWithin2s(t *testing.T) {
	s := newStack(t)
	tn := s.connected("outage", 4)
	kept := map[schemas.ID]bool{}
	first := tn.statusChange(0, 10)
	if status, answer := tn.post(t.Context(), first.body); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	kept[first.id] = true
	// Gone, and frozen: the second accepts connections and never answers.
	for name, down := range map[string]struct{ down, up func() }{
		"killed": {s.engines.kill, s.engines.start},
		"frozen": {func() { s.engines.signal(syscall.SIGSTOP) }, func() { s.engines.signal(syscall.SIGCONT) }},
	} {
		down.down()
		for n := range 5 {
			began := time.Now()
			status, _ := tn.post(t.Context(), tn.statusChange(100+n, 10).body)
			if took := time.Since(began); status != http.StatusServiceUnavailable || took > 2*time.Second {
				t.Errorf("Kafka %s: answered %d after %v, want 503 within 2 s", name, status, took)
			}
		}
		down.up()
		s.engines.ready()
	}
	await(t, 30*time.Second, "deliveries are taken again", func() error {
		d := tn.statusChange(1, 10)
		if status, answer := tn.post(t.Context(), d.body); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, answer)
		}
		kept[d.id] = true
		return nil
	})
	await(t, 30*time.Second, "what was answered 200 is there", func() error {
		activities, _, err := tn.outcomes()
		if err != nil {
			return err
		}
		for id := range kept {
			if activities[id.String()] != 1 {
				return fmt.Errorf("%d rows of an event answered 200", activities[id.String()])
			}
		}
		return nil
	})
}

// clickhouseDown is how long ClickHouse is away.
const clickhouseDown = 60 * time.Second

func TestWithClickHouseDownDeliveriesGoOnAndEverythingArrivesAfterwards(t *testing.T) {
	s := newStack(t)
	tn := s.connected("outage", 4)
	child := s.engineChild()
	// Stopped, not killed: a killed child is started again within a second.
	if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	down := clickhouseDown
	if testing.Short() {
		down = 5 * time.Second
	}
	sent := 0
	for end := time.Now().Add(down); time.Now().Before(end); sent++ {
		if status, answer := tn.post(t.Context(), tn.statusChange(sent, 10).body); status != http.StatusOK {
			t.Fatalf("delivery %d: %d %s", sent, status, answer)
		}
		pause(t, 50*time.Millisecond)
	}
	if err := syscall.Kill(child, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tn.settled(sent)
	t.Logf("%d deliveries answered 200 while ClickHouse was away for %v; all are there", sent, down)
}

// engineChild is the process of the embedded ClickHouse, child of bin/local.
func (s *stack) engineChild() int {
	s.t.Helper()
	parent := s.engines.cmd.Process.Pid
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", parent))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", parent, task.Name()))
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				return pid
			}
		}
	}
	s.t.Fatal("bin/local has no child")
	return 0
}
