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
	"github.com/worksights/halo-connector/internal/metric/metrictest"
	"github.com/worksights/halo-connector/schemas"
)

func (w *world) staff(agents int) {
	for id := range schemas.AgentID(agents) {
		w.sims[0].AddAgent(halotest.Agent{ID: id + 2})
	}
}

func TestOfTwoInstancesOneActsAndTheOtherTakesOver(t *testing.T) {
	inWorld(t, func(w *world) {
		w.staff(20)
		a := w.active()
		b := w.start()
		time.Sleep(20 * time.Second)
		if a.Ready() != nil || b.Ready() == nil {
			w.Fatalf("one: %v, the other: %v", a.Ready(), b.Ready())
		}
		if status, body := b.call("GET", at("acme", "/connection"), ""); status != http.StatusServiceUnavailable || !strings.Contains(string(body), `"standby"`) {
			t.Errorf("the standby answers %d %s", status, body)
		}
		a.connect("acme")

		// Mappings are made until the first one is killed, and every one that
		// was answered must be there.
		var mu sync.Mutex
		var mapped []schemas.AgentID
		var mapping sync.WaitGroup
		mapping.Go(func() {
			for id := schemas.AgentID(2); id < 22; id++ {
				if status, _ := a.call("PUT", at("acme", fmt.Sprintf("/agents/%d/user", id)), fmt.Sprintf(`{"user_id":"u-%d"}`, id)); status == http.StatusOK {
					mu.Lock()
					mapped = append(mapped, id)
					mu.Unlock()
				}
			}
		})
		time.Sleep(777 * time.Millisecond)
		a.link.Cut()
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
	})
}

// A rollout, or an autoscaler: standbys come and go while an operation takes as
// long as it may.
func TestTenStandbysThatComeAndGoDisturbNoConnectAndNoMapping(t *testing.T) {
	inWorld(t, func(w *world) {
		w.staff(60)
		in := w.active()
		in.connect("other")
		joins := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Count: -1, Observe: true})
		w.takes.Store(int64(3 * time.Second))
		began := time.Now()
		var work sync.WaitGroup
		work.Go(func() {
			if status, body := in.call("PUT", at("acme", "/connection"), w.credentials(0)); status != http.StatusCreated {
				w.Errorf("the connect was answered %d %s", status, body)
			}
			if took := time.Since(began); took < 30*time.Second || took > time.Minute {
				w.Errorf("the connect took %v: this proves nothing", took)
			}
		})
		work.Go(func() {
			for id := schemas.AgentID(2); id < 62; id++ {
				asked := time.Now()
				if status, body := in.call("PUT", at("other", fmt.Sprintf("/agents/%d/user", id)), `{"user_id":"u"}`); status != http.StatusOK {
					w.Errorf("agent %d: %d %s", id, status, body)
				}
				if took := time.Since(asked); took > 200*time.Millisecond {
					w.Errorf("agent %d was mapped after %v", id, took)
				}
				time.Sleep(500 * time.Millisecond)
			}
		})
		for range 10 {
			other := w.start()
			time.Sleep(2 * time.Second)
			other.stop()
			time.Sleep(2 * time.Second)
		}
		work.Wait()
		if n := joins.Hits(); n < 20 {
			t.Errorf("%d joins: this proves nothing", n)
		}
		if n := strings.Count(w.log.String(), "msg=active"); n != 1 {
			t.Errorf("%d terms", n)
		}
	})
}

func TestAnInstanceThatEndsInGoodOrderHandsOverAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.active()
		b := w.start()
		a.users("acme", "u", "")
		time.Sleep(5 * time.Second)
		a.stop()
		if took := b.await(); took > 3*time.Second {
			t.Errorf("taken over after %v", took)
		}
		b.users("acme", "u", "")
	})
}

// The group takes the vault away from an instance that does not notice: its
// heartbeats are lost, its writes get through. What it writes does not count, and
// it says so.
func TestADeposedInstanceAnswersNothingAndChangesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.active()
		a.users("acme", "u", "")
		deaf := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.CoordinatorNotAvailable, Count: -1})
		usurper := w.start()
		usurper.await()
		deaf.Remove()
		usurper.users("acme", "u", "", "v", "")
		status, body := a.call("PUT", at("acme", "/users"), "[]")
		if status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", status, body)
		}
		var users struct{ Users []any }
		usurper.want("GET", at("acme", "/users"), "", &users)
		if len(users.Users) != 2 {
			t.Errorf("%+v", users)
		}
	})
}

// Whoever reads it must not look for an instance that there is not.
func TestAnInstanceThatKafkaLeavesAloneSaysSo(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.active()
		a.link.Cut()
		time.Sleep(30 * time.Second)
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "Kafka did not answer") || strings.Contains(err.Error(), "another instance") {
			t.Errorf("ready says %v", err)
		}
	})
}

func TestAStandbyShowsThatItIsOneAndNothingElse(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.active()
		a.connect("acme")
		b := w.start()
		time.Sleep(10 * time.Second)
		for in, want := range map[*instance]float64{a: 1, b: 0} {
			if got := metrictest.Series(t, in.reg, "halo_connect_active"); got != want {
				t.Errorf("halo_connect_active is %v, want %v", got, want)
			}
		}
		families, err := b.reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			switch f.GetName() {
			case "halo_connect_connections", "halo_connect_webhook_active", "halo_connect_state":
				t.Errorf("a standby shows %s", f.GetName())
			}
		}
	})
}
