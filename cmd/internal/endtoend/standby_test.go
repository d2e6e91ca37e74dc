package endtoend

import (
	"errors"
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
	tn.credited(11, 13, 15)
}

// credited has each of the agents act once, and wants all of it on the timeline:
// a mapping that was answered 200 and is not there was lost.
func (tn *tenant) credited(agents ...schemas.AgentID) {
	tn.t.Helper()
	sent := make(map[string]schemas.AgentID)
	for n, agent := range agents {
		d := tn.statusChange(n, agent)
		if status, answer := tn.post(tn.t.Context(), d.body); status != http.StatusOK {
			tn.t.Fatalf("%d %s", status, answer)
		}
		sent[d.id.String()] = agent
	}
	tn.settled(len(sent))
	activities, _, err := tn.outcomes()
	if err != nil {
		tn.t.Fatal(err)
	}
	for id, agent := range sent {
		if activities[id] != 1 {
			tn.t.Errorf("agent %d was mapped, and its event is not on the timeline: the mapping was lost", agent)
		}
	}
}

// twin is one of two connects that know of each other.
type twin struct {
	*process
	on *stack // the same stack, asked through this one
}

func (s *stack) twin(p *process, port int) *twin {
	on := *s
	on.apiPort = port
	return &twin{p, &on}
}

// acts says whether it answers what nobody passes on any further.
func (w *twin) acts() (bool, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+w.on.addr(w.on.apiPort)+"/v1/tenants", http.NoBody)
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+w.on.token)
	req.Header.Set("Halo-Connector-Passed-On", "1")
	resp, err := w.on.http.Do(req)
	if err != nil {
		return false, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		w.t.Errorf("%s: %s", w.name, resp.Status)
	}
	return resp.StatusCode == http.StatusOK, nil
}

func TestOfTwoConnectsThatKnowEachOtherEitherAnswersWhicheverIsKilled(t *testing.T) {
	t.Parallel()
	s := prepareStack(t)
	peer := func(port int) string { return "PEER_URL=http://" + s.addr(port) }
	s.env = append(s.env, peer(8081))
	s.begin(1)
	const rounds, agents = 3, 60
	tn := s.connected("twins", 2*agents)
	other := s.stageAs("connect", "connect-other", 9105, "LISTEN_ADDR="+s.addr(9106), peer(9106))
	other.start()
	active, standby := s.twin(s.connect, 8081), s.twin(other, 9106)

	settled := func() {
		t.Helper()
		await(t, 30*time.Second, "both are ready, and one of them acts", func() error {
			if err := errors.Join(active.unready(), standby.unready()); err != nil {
				return err
			}
			first, err := active.acts()
			if err != nil {
				return err
			}
			second, err := standby.acts()
			if err == nil && first == second {
				err = fmt.Errorf("both act or neither does: %t", first)
			}
			if second && !first {
				active, standby = standby, active
			}
			return err
		})
	}
	// Whoever is asked, a mapping is answered 200, 503, or not at all by one that
	// was killed: then the other is asked.
	mapped, asked := 0, map[int]int{}
	next := func(w *twin) error {
		t.Helper()
		agent := schemas.AgentID(11 + 2*mapped) // nobody's so far
		status, b, err := w.on.tryAPI(t.Context(), "PUT", tn.path(fmt.Sprintf("/agents/%d/user", agent)), map[string]string{"user_id": user(10)})
		asked[status]++ // 0 with an error
		switch {
		case err != nil:
			return err
		case status == http.StatusOK:
			mapped++
			return nil
		case status != http.StatusServiceUnavailable:
			t.Errorf("%d %s", status, b)
		}
		return fmt.Errorf("%d %s", status, b)
	}
	for range rounds {
		settled()
		// The vault may still change hands when the one that was started joins.
		for _, w := range []*twin{active, standby} {
			await(t, takeover, "both answer", func() error { return next(w) })
		}
		settled()
		began := time.Now()
		active.kill()
		refused := -1
		await(t, takeover, "the other takes over", func() error {
			refused++
			return next(standby)
		})
		if refused == 0 {
			t.Error("nothing was refused: the one that was killed did not act")
		}
		t.Logf("taken over %v after the kill, %d requests refused", time.Since(began).Round(time.Millisecond), refused)
		active.start()
		for range 8 { // while the other comes back
			_ = next(standby) // counted
		}
		active, standby = standby, active
	}
	settled()
	t.Logf("%d mappings; answers by status (0: none) %v", mapped, asked)
	all := make([]schemas.AgentID, mapped)
	for i := range all {
		all[i] = schemas.AgentID(11 + 2*i)
	}
	s.apiPort = 8081
	tn.credited(all...)
}
