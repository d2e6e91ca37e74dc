package endtoend

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// takeover is how long there may be no active connect after a kill.
const takeover = 15 * time.Second

func TestAStandbyTakesOverFromAKilledConnectAndLosesNoMapping(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	tn := s.connected("standby", 10)
	pair := []*process{s.connect, s.stageAs("connect", "connect-other", 9105, "LISTEN_ADDR="+s.addr(9106))}
	ports := map[*process]int{pair[0]: 8081, pair[1]: 9106}
	pair[1].start()

	// Who is active is asked and not assumed: the vault may change hands when
	// a member joins.
	active, standby := pair[0], pair[1]
	settled := func() {
		t.Helper()
		await(t, 30*time.Second, "one active connect and one standby", func() error {
			if standby.unready() == nil {
				active, standby = standby, active
			}
			if err := active.unready(); err != nil {
				return err
			}
			resp, err := http.Get("http://" + s.addr(ports[standby]) + "/v1/openapi.json")
			if err != nil {
				return err // not up yet
			}
			resp.Body.Close()
			if standby.unready() == nil {
				t.Error("two are active")
			}
			return nil
		})
		s.apiPort = ports[active]
	}
	for round := range 3 {
		settled()
		// Nobody's so far; a request that meets the vault changing hands is
		// answered 503 and asked again.
		agent := schemas.AgentID(11 + 2*round)
		await(t, takeover, "an agent is mapped", func() error {
			status, b, err := s.tryAPI(t.Context(), "PUT", tn.path(fmt.Sprintf("/agents/%d/user", agent)), map[string]string{"user_id": user(10)})
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%d %s", status, b)
			}
			return err
		})
		killed, began := active, time.Now()
		killed.kill()
		await(t, takeover, "the other takes over", standby.unready)
		t.Logf("taken over %v after the kill", time.Since(began).Round(time.Millisecond))
		active, standby = standby, killed
		killed.start()
	}
	settled()
	sent := make(map[string]schemas.AgentID)
	for n := range 3 {
		agent := schemas.AgentID(11 + 2*n)
		d := tn.statusChange(n, agent)
		if status, answer := tn.post(t.Context(), d.body); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
		sent[d.id.String()] = agent
	}
	tn.settled(len(sent))
	activities, _, err := tn.outcomes()
	if err != nil {
		t.Fatal(err)
	}
	for id, agent := range sent {
		if activities[id] != 1 {
			t.Errorf("agent %d was mapped, and its event is not on the timeline: the mapping was lost", agent)
		}
	}
}
