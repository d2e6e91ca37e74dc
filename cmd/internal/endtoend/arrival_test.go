package endtoend

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// rounds of mapping an agent and sending an event at once.
const rounds = 1000

func TestAnEventIsJudgedByTheMappingsOfItsArrival(t *testing.T) {
	s := newStack(t)
	const agents = 20
	tn := s.connected("arrival", 1)
	for i := range agents {
		tn.sim.AddAgent(agentWithoutUser(schemas.AgentID(100 + i)))
	}
	s.must("POST", "/v1/tenants/arrival/connection/refresh", nil)
	s.must("PUT", "/v1/tenants/arrival/users", []map[string]string{{"user_id": "mapped-by-hand", "email": "nobody@arrival.example"}})

	// Each round: send, map, send at once, unmap, send at once. Only the
	// second of the three may be on the timeline.
	var mu sync.Mutex
	before, mapped, after := map[schemas.ID]bool{}, map[schemas.ID]bool{}, map[schemas.ID]bool{}
	var wg sync.WaitGroup
	for a := range agents {
		wg.Add(1)
		go func() {
			defer wg.Done()
			agent := schemas.AgentID(100 + a)
			path := fmt.Sprintf("/v1/tenants/arrival/agents/%d/user", agent)
			send := func(n int, into map[schemas.ID]bool) {
				d := tn.statusChange(n, agent)
				if status, answer := tn.post(t.Context(), d.body); status != http.StatusOK {
					t.Errorf("delivery: %d %s", status, answer)
				}
				mu.Lock()
				into[d.id] = true
				mu.Unlock()
			}
			for r := range rounds / agents {
				n := (a*rounds + r) * 3
				send(n, before)
				if status, b, err := s.tryAPI(t.Context(), "PUT", path, map[string]string{"user_id": "mapped-by-hand"}); err != nil || status/100 != 2 {
					t.Errorf("map: %d %s %v", status, b, err)
					return
				}
				send(n+1, mapped)
				if status, b, err := s.tryAPI(t.Context(), "DELETE", path, nil); err != nil || status/100 != 2 {
					t.Errorf("unmap: %d %s %v", status, b, err)
					return
				}
				send(n+2, after)
			}
		}()
	}
	wg.Wait()
	if len(mapped) != rounds {
		t.Fatalf("%d rounds were played, want %d", len(mapped), rounds)
	}
	tn.settled(3 * rounds)
	activities, skipped, err := tn.outcomes()
	if err != nil {
		t.Fatal(err)
	}
	count := func(what string, ids map[schemas.ID]bool, want, not map[string]int) {
		wrong := 0
		for id := range ids {
			if want[id.String()] != 1 || not[id.String()] != 0 {
				wrong++
			}
		}
		if wrong > 0 {
			t.Errorf("%s: %d of %d judged wrongly", what, wrong, len(ids))
		}
	}
	count("sent before the agent was mapped", before, skipped, activities)
	count("sent right after the answer that he is", mapped, activities, skipped)
	count("sent right after the answer that he is not", after, skipped, activities)
	if lines := s.sql("SELECT DISTINCT reason FROM skipped WHERE tenant_id = 'arrival'"); !slices.Equal(lines, []string{"unmapped"}) {
		t.Errorf("reasons: %v, want unmapped only", lines)
	}
	t.Run("and a replay into an empty database gives the same rows", func(t *testing.T) { replay(t, s) })
}

// replay runs a second processor with its own group and output prefix, and a
// second sink on that prefix with another database, over what halo.events
// holds, and compares all rows of both views.
func replay(t *testing.T, s *stack) {
	const group = "again"
	env := []string{
		"CLICKHOUSE_DSN=http://" + s.addr(8123) + "/again", "KAFKA_GROUP=" + group, "RETENTION_MONTHS=25",
	}
	ctl := func(args ...string) {
		t.Helper()
		p := s.processAs("haloctl", "haloctl-replay", 0, args, append(env, "TOPIC_PREFIX=again."))
		p.start()
		<-p.ended
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Fatalf("haloctl %v: exit status %d: %s", args, code, p.tail())
		}
	}
	ctl("topics", "apply")
	ctl("migrate")
	processor := s.stageAs("processor", "processor-replay", 9105, append(env, "OUTPUT_PREFIX=again.")...)
	sink := s.stageAs("sink", "sink-replay", 9106, append(env, "TOPIC_PREFIX=again.")...)
	for _, p := range []*process{processor, sink} {
		p.start()
		defer p.kill()
	}
	for _, view := range []string{
		"SELECT * FROM activities ORDER BY tenant_id, occurred_at, toString(activity_id) FORMAT TabSeparatedWithNamesAndTypes",
		"SELECT * FROM skipped ORDER BY tenant_id, occurred_at, toString(event_id) FORMAT TabSeparatedWithNamesAndTypes",
	} {
		want := s.sql(view)
		if len(want) < rounds {
			t.Fatalf("%d rows: a replay of so little proves nothing", len(want))
		}
		await(t, 60*time.Second, "the replay", func() error {
			got, err := s.trySQL("again", view)
			if err != nil {
				return err
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("%d rows, want %d; first difference: %s", len(got), len(want), difference(got, want))
			}
			return nil
		})
	}
}

func difference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("row %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
	return "one ends earlier"
}

func TestTheSameDeliveryAHundredTimesAtOnceIsOneRow(t *testing.T) {
	s := newStack(t)
	tn := s.connected("repeat", 2)
	d := tn.statusChange(1, 10)
	var wg sync.WaitGroup
	for range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if status, answer := tn.post(t.Context(), d.body); status != http.StatusOK {
				t.Errorf("a repeat was answered %d %s", status, answer)
			}
		}()
	}
	wg.Wait()
	last := tn.statusChange(2, 10)
	if status, _ := tn.post(t.Context(), last.body); status != http.StatusOK {
		t.Fatal(status)
	}
	tn.settled(2)
	// The topic's order means that all hundred are there once the last is.
	if raw := s.sql("SELECT count() >= 2 FROM outcomes_log"); raw[0] != "1" {
		t.Errorf("rows before folding: %v", raw)
	}
	activities, skipped, err := tn.outcomes()
	if err != nil || len(activities) != 2 || activities[d.id.String()] != 1 || len(skipped) != 0 {
		t.Errorf("activities %v, skipped %v, %v", activities, skipped, err)
	}
}

// settled waits until n events of the tenant are in ClickHouse.
func (tn *tenant) settled(n int) {
	tn.t.Helper()
	await(tn.t, 60*time.Second, "events in ClickHouse", func() error {
		activities, skipped, err := tn.outcomes()
		if got := len(activities) + len(skipped); err == nil && got != n {
			err = fmt.Errorf("%d of %d", got, n)
		}
		return err
	})
}
