//go:build synctests

package connect_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

func TestOfTwoInstancesOneActsAndTheOtherTakesOver(t *testing.T) {
	inWorld(t, func(w *world) {
		for id := range schemas.AgentID(20) {
			w.sims[0].AddAgent(halotest.Agent{ID: id + 2})
		}
		a, b := w.active(), w.start()
		time.Sleep(20 * time.Second)
		if a.Ready() != nil {
			a, b = b, a
		}
		if a.Ready() != nil || b.Ready() == nil {
			w.Fatalf("one: %v, the other: %v", a.Ready(), b.Ready())
		}
		b.refused(http.StatusServiceUnavailable, "standby", "GET", at("acme", "/connection"), "")
		a.connect("acme", 0)

		// Mappings are made until the first one is killed, and every one that
		// was answered must be there.
		var mu sync.Mutex
		var mapped []schemas.AgentID
		var mapping sync.WaitGroup
		mapping.Go(func() {
			for id := schemas.AgentID(2); id < 22; id++ {
				if a.raw("PUT", at("acme", fmt.Sprintf("/agents/%d/user", id)), fmt.Sprintf(`{"user_id":"u-%d"}`, id)).status == http.StatusOK {
					mu.Lock()
					mapped = append(mapped, id)
					mu.Unlock()
				}
			}
		})
		time.Sleep(777 * time.Millisecond)
		a.link.cut()
		took := b.await()
		if took > 15*time.Second {
			t.Errorf("the other one took over after %v", took)
		}
		t.Logf("taken over after %v", took)
		mapping.Wait()
		if len(mapped) < 3 || len(mapped) == 20 {
			w.Fatalf("%d mappings were answered: this proves nothing", len(mapped))
		}
		for _, id := range mapped {
			if is := b.standing("acme", id); is != fmt.Sprintf("matched u-%d", id) {
				t.Errorf("agent %d is %s", id, is)
			}
		}
		if c := b.connection("acme"); c.State != "active" || c.Webhook.ID != w.live(0)[0].ID {
			t.Errorf("%+v", c)
		}
	}, halotest.Config{})
}

// When an instance comes or goes, all let go of the vault for a moment and one
// gets it back: what is asked meanwhile is refused and can be repeated at once.
func TestAnInstanceThatComesOrGoesLosesNoMapping(t *testing.T) {
	inWorld(t, func(w *world) {
		for id := range schemas.AgentID(100) {
			w.sims[0].AddAgent(halotest.Agent{ID: id + 2})
		}
		in := w.active()
		in.connect("acme", 0)
		var mapping sync.WaitGroup
		mapping.Go(func() {
			for id := schemas.AgentID(2); id < 102; id++ {
				asked := time.Now()
				for done := false; !done; {
					r := in.raw("PUT", at("acme", fmt.Sprintf("/agents/%d/user", id)), `{"user_id":"u"}`)
					if done = r.status != http.StatusServiceUnavailable; done && r.status != http.StatusOK {
						w.Errorf("%d %s", r.status, r.body)
					}
					time.Sleep(50 * time.Millisecond)
				}
				if took := time.Since(asked); took > 5*time.Second {
					w.Errorf("agent %d was mapped after %v", id, took)
				}
			}
		})
		for range 3 {
			time.Sleep(500 * time.Millisecond)
			other := w.start()
			time.Sleep(1500 * time.Millisecond)
			other.stop()
		}
		mapping.Wait()
		if n := strings.Count(w.log.String(), "REBALANCE_IN_PROGRESS"); n == 0 {
			t.Error("the group did not notice: this proves nothing")
		}
		if c := in.connection("acme"); c.Agents.Matched != 100 {
			t.Errorf("%+v", c.Agents)
		}
	}, halotest.Config{})
}

func TestAnInstanceThatEndsInGoodOrderHandsOverAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.active(), w.start()
		a.users("acme", "u", "")
		time.Sleep(5 * time.Second)
		if a.Ready() != nil {
			a, b = b, a
		}
		a.stop()
		if took := b.await(); took > 3*time.Second {
			t.Errorf("taken over after %v", took)
		}
		b.users("acme", "u", "")
	})
}

// The group takes the vault away from an instance that does not notice: its
// heartbeats are lost, its writes would get through.
func TestADeposedInstanceWritesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.active()
		a.users("acme", "u", "")
		deaf := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.CoordinatorNotAvailable, Count: -1})
		usurper := w.start()
		usurper.await()
		deaf.Remove()
		before := len(w.Records(w.T, w.topics.Vault)) + len(w.Records(w.T, w.topics.Connections))
		if a.Ready() != nil {
			t.Error("the first instance knows that it was deposed: this proves nothing")
		}
		r := a.raw("PUT", at("acme", "/users"), "[]")
		if r.status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", r.status, r.body)
		}
		if after := len(w.Records(w.T, w.topics.Vault)) + len(w.Records(w.T, w.topics.Connections)); after != before {
			t.Errorf("%d records were written by an instance that was deposed", after-before)
		}
	})
}

// A distant Kafka takes 200 ms for a commit; fifty writes at once must not take
// fifty times that, or their time is up and the term with it.
func TestWritesThatWaitShareTheProofOfOwnership(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		w.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.KeepControl()
			w.SleepControl(func() { time.Sleep(200 * time.Millisecond) })
			return nil, nil, false
		})
		commits := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: -1, Observe: true})
		began := time.Now()
		var all sync.WaitGroup
		for n := range 50 {
			all.Go(func() { in.users(fmt.Sprintf("tenant-%d", n), "u", "") })
		}
		all.Wait()
		if took := time.Since(began); took < 200*time.Millisecond || took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		if n := commits.Hits(); n < 1 || n > 5 {
			t.Errorf("%d commits for 50 writes", n)
		}
	})
}

func TestACommitThatIsRefusedEndsTheTermBeforeAnythingIsWritten(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.FencedInstanceID} {
		t.Run(code.Message, func(t *testing.T) {
			inWorld(t, func(w *world) {
				in := w.active()
				in.users("acme", "u", "")
				fault := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: code, Count: 1})
				before := len(w.Records(w.T, w.topics.Vault))
				in.refused(http.StatusServiceUnavailable, "standby", "PUT", at("acme", "/users"), "[]")
				if after := len(w.Records(w.T, w.topics.Vault)); after != before || fault.Hits() == 0 {
					t.Errorf("%d records were written, %d commits refused", after-before, fault.Hits())
				}
				in.await()
				in.users("acme", "u", "")
			})
		})
	}
}

// What an instance that takes over finds is put right before it acts.
func TestATakeOverWritesWhatShouldFollowFromTheVault(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example")
		in.connect("acme", 0)
		in.stop()
		conn, _ := w.published("acme")
		// Somebody's compaction lost the connection; a stranger left a verifier.
		w.Produce(w.T,
			kafka.Record(w.topics.Connections, string(conn.ID), schemas.ConnectionSchema, nil),
			kafka.Record(w.topics.Connections, string(schemas.ConnectionIDOf("ghost")), schemas.ConnectionSchema,
				schemas.Connection{ID: schemas.ConnectionIDOf("ghost"), Tenant: "ghost", Verifiers: conn.Verifiers}.AppendJSON(nil)),
			kafka.Record(w.topics.Mappings, "acme/2", schemas.MappingSchema, schemas.Mapping{Tenant: "acme", Agent: 2}.AppendJSON(nil)))
		in = w.active()
		if again, ok := w.published("acme"); !ok || again.WebhookID != conn.WebhookID || len(again.Verifiers) != 1 {
			t.Errorf("the edge knows %+v", again)
		}
		if _, ok := w.published("ghost"); ok {
			t.Error("a verifier is left that belongs to nobody")
		}
		if is := in.standing("acme", 2); is != "matched u-ada" {
			t.Errorf("agent 2 is %s", is)
		}
		// Nothing to do: nothing is written.
		in.stop()
		count := func() (n int) {
			for _, topic := range []string{w.topics.Vault, w.topics.Mappings, w.topics.Connections} {
				n += len(w.Records(w.T, topic))
			}
			return n
		}
		before := count()
		w.active()
		if after := count(); after != before {
			t.Errorf("a take-over with nothing to do wrote %d records", after-before)
		}
		if strings.Contains(w.log.String(), "level=ERROR") {
			t.Errorf("logged %s", w.log)
		}
	}, halotest.Config{})
}

// Whoever reads it must not look for an instance that there is not.
func TestAnInstanceThatKafkaLeavesAloneSaysSo(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.active()
		a.link.cut()
		time.Sleep(30 * time.Second)
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "Kafka did not answer") || strings.Contains(err.Error(), "another instance") {
			t.Errorf("ready says %v", err)
		}
	})
}
