package endtoend

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// mayBreak skips the test on an engine that was given to us: whether that one
// survives is its owner's to try.
func (s *stack) mayBreak(e breakable) {
	s.t.Helper()
	if e == nil {
		s.t.Skip("the engine was given to the tests and is not theirs to break")
	}
}

func agentWithoutUser(id schemas.AgentID) halotest.Agent {
	return halotest.Agent{ID: id, Name: fmt.Sprintf("Agent %d", id)}
}

func TestWithKafkaDownNothingIsAnswered200AndEverythingWithin2s(t *testing.T) {
	t.Parallel()
	newStack(t).losesKafka()
}

// losesKafka kills and freezes Kafka, all brokers of it.
func (s *stack) losesKafka() {
	t := s.t
	t.Helper()
	s.mayBreak(s.kafka)
	tn := s.connected("outage", 4)
	kept := map[schemas.ID]bool{}
	first := tn.statusChange(0, 10)
	if status, answer := tn.post(t.Context(), first.body); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	kept[first.id] = true
	// Gone, and frozen: the second accepts connections and never answers. What
	// it had received it writes down once it is thawed, answered 503 or not; so
	// no two of these are the same event.
	n := 100
	for name, down := range map[string]struct{ down, up func() }{
		"killed": {s.kafka.kill, s.kafka.start},
		"frozen": {s.kafka.freeze, s.kafka.thaw},
	} {
		down.down()
		for range 5 {
			began := time.Now()
			status, _ := tn.post(t.Context(), tn.statusChange(n, 10).body)
			if took := time.Since(began); status != http.StatusServiceUnavailable || took > 2*time.Second {
				t.Errorf("Kafka %s: answered %d after %v, want 503 within 2 s", name, status, took)
			}
			n++
		}
		down.up()
		s.kafka.ready()
	}
	last := tn.statusChange(1, 10)
	await(t, 30*time.Second, "deliveries are taken again", func() error {
		if status, answer := tn.post(t.Context(), last.body); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
	kept[last.id] = true
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
	t.Log("haloctl verify:", s.haloctl(nil, "verify"))
}

func TestWithClickHouseDownDeliveriesGoOnAndEverythingArrivesAfterwards(t *testing.T) {
	t.Parallel()
	down := time.Minute
	if testing.Short() {
		down = 5 * time.Second
	}
	newStack(t).losesClickHouse(down)
}

// losesClickHouse freezes ClickHouse. A killed one is started again within a second.
func (s *stack) losesClickHouse(down time.Duration) {
	t := s.t
	t.Helper()
	s.mayBreak(s.clickhouse)
	tn := s.connected("waiting", 4)
	s.clickhouse.freeze()
	sent := 0
	for end := time.Now().Add(down); time.Now().Before(end); sent++ {
		if status, answer := tn.post(t.Context(), tn.statusChange(sent, 10).body); status != http.StatusOK {
			t.Fatalf("delivery %d: %d %s", sent, status, answer)
		}
		pause(t, 50*time.Millisecond)
	}
	s.clickhouse.thaw()
	tn.settled(sent)
	t.Logf("%d deliveries answered 200 while ClickHouse was away for %v; all are there", sent, down)
	t.Log("haloctl verify:", s.haloctl(nil, "verify"))
}
