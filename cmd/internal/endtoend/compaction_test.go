//go:build integration

package endtoend

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/worksights/halo-connector/schemas"
)

func TestTopicsThatWereCompactedGiveTheSameAnswers(t *testing.T) {
	if c := chosen(); c.kafka == embedded {
		t.Skip("the embedded Kafka compacts nothing")
	}
	t.Parallel()
	s := newStack(t)
	topics := schemas.NewTopics(s.prefix)
	tables := []string{topics.Mappings, topics.Connections, topics.Vault}
	s.compactSoon(tables)
	tn := s.connected("compacted", 1)
	const agents, times = 20, 5
	for a := range agents {
		tn.sim.AddAgent(agentWithoutUser(schemas.AgentID(100 + a)))
	}
	s.must("POST", tn.path("/connection/refresh"), nil)
	s.must("PUT", tn.path("/users"), []map[string]string{{"user_id": "by-hand", "email": "nobody@compacted.example"}})

	// Each agent is mapped and unmapped, an event sent after each. In the end
	// the even ones are mapped and the odd ones are not.
	sent := 0
	event := func(agent schemas.AgentID) {
		sent++
		d := tn.statusChange(sent, agent)
		await(t, 30*time.Second, "200", func() error { // a broker that is busy compacting may be too late
			status, answer := tn.post(t.Context(), d.body)
			if status != http.StatusOK {
				return fmt.Errorf("%d %s", status, answer)
			}
			return nil
		})
	}
	change := func(agent schemas.AgentID, mapped bool) {
		path := tn.path(fmt.Sprintf("/agents/%d/user", agent))
		if mapped {
			s.must("PUT", path, map[string]string{"user_id": "by-hand"})
		} else {
			s.must("DELETE", path, nil)
		}
		event(agent)
	}
	for range times {
		for a := range agents {
			change(schemas.AgentID(100+a), true)
			change(schemas.AgentID(100+a), false)
		}
	}
	for a := 0; a < agents; a += 2 {
		change(schemas.AgentID(100+a), true)
	}
	tn.settled(sent)
	before := s.must("GET", tn.path("/agents"), nil)

	// The active segment is never compacted: a further change closes it.
	var written int64
	left := 0
	await(t, 2*time.Minute, "compaction", func() error {
		change(100, false)
		change(100, true)
		pause(t, time.Second)
		left = 0
		keys := map[string]bool{}
		for _, r := range s.records(topics.Mappings) {
			if string(r.Key) != "compacted/100" {
				left++
				written = max(written, r.Offset)
				keys[string(r.Key)] = true
			}
		}
		if left > len(keys) {
			return fmt.Errorf("%d records of %d agents are left", left, len(keys))
		}
		return nil
	})
	if written < agents*times*2 {
		t.Fatalf("%d records were written: compaction of so few proves nothing", written)
	}
	tn.settled(sent)

	// Whoever starts now has nothing but what compaction left.
	for _, p := range s.stages() {
		p.kill()
		p.start()
	}
	for _, p := range s.stages() {
		p.ready()
	}
	var after []byte
	await(t, 60*time.Second, "the control API", func() error {
		status, b, err := s.tryAPI(t.Context(), "GET", tn.path("/agents"), nil)
		if status != http.StatusOK {
			return fmt.Errorf("%d %s %w", status, b, err)
		}
		after = b
		return nil
	})
	if withoutSince(after) != withoutSince(before) {
		t.Errorf("agents after compaction:\n%s\nbefore:\n%s", after, before)
	}
	mapped := len(s.sql("SELECT activity_id FROM activities"))
	for a := range agents {
		event(schemas.AgentID(100 + a))
	}
	tn.settled(sent)
	if got := len(s.sql("SELECT activity_id FROM activities")); got != mapped+agents/2 {
		t.Errorf("of %d agents, half of them mapped, %d got an activity", agents, got-mapped)
	}
	t.Logf("at least %d records of mappings were compacted to %d, one for each agent, and those of the agent who was changed meanwhile", written, left)
	s.replay(agents * times)
}

// compactSoon has topics compacted within seconds and not within a week.
func (s *stack) compactSoon(topics []string) {
	s.t.Helper()
	cl := s.kafkaClient()
	defer cl.Close()
	var alter []kadm.AlterConfig
	for name, value := range map[string]string{
		"segment.ms": "200", "min.cleanable.dirty.ratio": "0.01", "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "200",
	} {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
	}
	altered, err := kadm.NewClient(cl).AlterTopicConfigs(s.t.Context(), alter, topics...)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range altered {
		if r.Err != nil {
			s.t.Fatal(r.Err)
		}
	}
}

// minInSync is min.insync.replicas of each of our topics.
func (s *stack) minInSync() map[string]string {
	s.t.Helper()
	cl := s.kafkaClient()
	defer cl.Close()
	topics := schemas.NewTopics(s.prefix)
	configs, err := kadm.NewClient(cl).DescribeTopicConfigs(s.t.Context(),
		topics.Events, topics.Activities, topics.Skipped, topics.Dead, topics.Mappings, topics.Connections, topics.Vault)
	if err != nil {
		s.t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range configs {
		all[c.Name] = "unknown"
		if i := slices.IndexFunc(c.Configs, func(c kadm.Config) bool { return c.Key == "min.insync.replicas" }); i >= 0 {
			all[c.Name] = c.Configs[i].MaybeValue()
		}
	}
	return all
}

// withoutSince is the list of agents without the instants at which agent 100
// was mapped, which the test changed meanwhile.
func withoutSince(agents []byte) string {
	lines := strings.Split(string(agents), "{")
	for i, line := range lines {
		if strings.Contains(line, `"agent_id":100,`) {
			lines[i], _, _ = strings.Cut(line, `"since"`)
		}
	}
	return strings.Join(lines, "{")
}
