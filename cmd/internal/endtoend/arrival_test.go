package endtoend

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// judged are the ids of events by what was the case when they were sent.
type judged struct {
	mu                    sync.Mutex
	before, mapped, after map[schemas.ID]bool
}

func TestAnEventIsJudgedByTheMappingsOfItsArrival(t *testing.T) {
	t.Parallel()
	newStack(t).judgesAsOfArrival(1000)
}

// judgesAsOfArrival maps an agent and sends an event at once, so many times, and
// replays all of it.
func (s *stack) judgesAsOfArrival(rounds int) {
	t := s.t
	t.Helper()
	// Several tenants: what is done to one of them is done in order.
	const tenants, agents = 10, 2
	all := &judged{before: map[schemas.ID]bool{}, mapped: map[schemas.ID]bool{}, after: map[schemas.ID]bool{}}
	var made []*tenant
	var wg sync.WaitGroup
	for i := range tenants {
		tn := s.connected(schemas.Tenant(fmt.Sprintf("arrival-%d", i)), 1)
		made = append(made, tn)
		for a := range agents {
			tn.sim.AddAgent(agentWithoutUser(schemas.AgentID(100 + a)))
		}
		s.must("POST", tn.path("/connection/refresh"), nil)
		s.must("PUT", tn.path("/users"), []map[string]string{{"user_id": "mapped-by-hand", "email": "nobody@arrival.example"}})
		for a := range agents {
			wg.Go(func() { tn.play(all, schemas.AgentID(100+a), a*rounds*3, rounds/tenants/agents) })
		}
	}
	wg.Wait()
	if len(all.mapped) != rounds {
		t.Fatalf("%d rounds were played, want %d", len(all.mapped), rounds)
	}
	activities, skipped := map[string]int{}, map[string]int{}
	for _, tn := range made {
		tn.settled(3 * rounds / tenants)
		a, sk, err := tn.outcomes()
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(activities, a)
		maps.Copy(skipped, sk)
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
	count("sent before the agent was mapped", all.before, skipped, activities)
	count("sent right after the answer that he is", all.mapped, activities, skipped)
	count("sent right after the answer that he is not", all.after, skipped, activities)
	if lines := s.sql("SELECT DISTINCT reason FROM skipped WHERE tenant_id LIKE 'arrival-%'"); !slices.Equal(lines, []string{"unmapped"}) {
		t.Errorf("reasons: %v, want unmapped only", lines)
	}
	s.replay(rounds)
}

// play sends, maps, sends at once, unmaps, and sends at once, n times over.
// Only the second of three events may be on the timeline.
func (tn *tenant) play(all *judged, agent schemas.AgentID, first, n int) {
	path := tn.path(fmt.Sprintf("/agents/%d/user", agent))
	send := func(i int, into map[schemas.ID]bool) {
		d := tn.statusChange(i, agent)
		// On a busy machine an acknowledgement may come too late. Sent again, it still
		// arrives between the same two changes.
		await(tn.t, time.Minute, "200", func() error {
			if status, answer := tn.post(tn.t.Context(), d.body); status != http.StatusOK {
				return fmt.Errorf("%d %s", status, answer)
			}
			return nil
		})
		all.mu.Lock()
		into[d.id] = true
		all.mu.Unlock()
	}
	for i := first; i < first+3*n; i += 3 {
		send(i, all.before)
		if status, b, err := tn.tryAPI(tn.t.Context(), "PUT", path, map[string]string{"user_id": "mapped-by-hand"}); err != nil || status/100 != 2 {
			tn.t.Errorf("map: %d %s %v", status, b, err)
			return
		}
		send(i+1, all.mapped)
		if status, b, err := tn.tryAPI(tn.t.Context(), "DELETE", path, nil); err != nil || status/100 != 2 {
			tn.t.Errorf("unmap: %d %s %v", status, b, err)
			return
		}
		send(i+2, all.after)
	}
}

// replay runs a second processor with its own group and output prefix, and a
// second sink on that prefix with another database, over what the topic of
// events holds, and compares all rows of both views, of which there must be so
// many at least.
func (s *stack) replay(atLeast int) {
	t := s.t
	t.Helper()
	again, database := s.prefix+"again.", s.database+"_again"
	env := []string{"CLICKHOUSE_DSN=" + s.dsn(database), "RETENTION_MONTHS=25"}
	s.haloctl([]string{"TOPIC_PREFIX=" + again}, "topics", "apply")
	s.haloctl(env, "migrate")
	processor := s.stageAs("processor", "processor-replay", 9105, append(env, "OUTPUT_PREFIX="+again, "KAFKA_GROUP="+again+"processor")...)
	sink := s.stageAs("sink", "sink-replay", 9106, append(env, "TOPIC_PREFIX="+again)...)
	for _, p := range []*process{processor, sink} {
		p.start()
		defer p.kill()
	}
	for _, view := range []string{
		"SELECT * FROM activities ORDER BY tenant_id, occurred_at, toString(activity_id) FORMAT TabSeparatedWithNamesAndTypes",
		"SELECT * FROM skipped ORDER BY tenant_id, occurred_at, toString(event_id) FORMAT TabSeparatedWithNamesAndTypes",
	} {
		want := s.sql(view)
		if len(want) < atLeast {
			t.Fatalf("%d rows: a replay of so little proves nothing", len(want))
		}
		await(t, 60*time.Second, "the replay", func() error {
			got, err := s.trySQL(database, view)
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
	t.Parallel()
	s := newStack(t)
	tn := s.connected("repeat", 2)
	d := tn.statusChange(1, 10)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			// No more than 32 of a connection may be open: who is told so sends again,
			// until each of the hundred was kept.
			for {
				status, answer := tn.post(t.Context(), d.body)
				if status == http.StatusOK {
					return
				}
				if status != http.StatusTooManyRequests {
					t.Errorf("a repeat was answered %d %s", status, answer)
					return
				}
				pause(t, 20*time.Millisecond)
			}
		})
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
