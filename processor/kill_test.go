//go:build synctests

package processor_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/schemas"
)

// live sends what a processor meets in a day: agents mapped, handed over and
// unmapped, events of nobody, repeats whose answer would be another by now, and
// junk. The tenants' events lie in three different partitions.
func (w *world) live() {
	for i, tenant := range []schemas.Tenant{"acme", "beta", "zeta"} {
		w.assign(tenant, 5, "ada")
		w.send(tenant, 5)
		unmapped := w.send(tenant, 6)
		w.send(tenant, 1)
		w.assign(tenant, 6, "ben")
		w.sendAs(unmapped.ID, tenant, 6)
		w.assign(tenant, 5, "cleo")
		w.send(tenant, 5)
		w.assign(tenant, 5, "")
		w.assign(tenant, 6, "")
		w.send(tenant, 5)
		if i == 0 {
			w.sendJunk(tenant)
		}
	}
}

// moment is an instant in the life of a stage: ahead of its nth request, or
// ahead of the delivery of the answer to it.
type moment struct {
	n        int
	answered bool
}

// lifeWithDeathAt lets a processor live until the given moment, and another
// take over; n = 0 is a life without death. It returns how many requests the
// first sent, the one at which it died, and how many outcomes the second
// repeated.
func lifeWithDeathAt(t *testing.T, m moment) (requests int, death kmsg.Key, repeats int) {
	const alive = kmsg.Key(-1)
	death = alive
	inWorld(t, func(t *testing.T, w *world) {
		w.live() // before the start, so that the first batch is a large one

		wire := newWire(t, w.Cluster)
		var mu sync.Mutex // the stage's clients ask side by side
		answers := 0
		die := func(count int, k kmsg.Key) {
			if count == m.n && death == alive {
				death = k
				wire.Cut()
			}
		}
		wire.before = func(k kmsg.Key) {
			mu.Lock()
			defer mu.Unlock()
			if requests++; !m.answered {
				die(requests, k)
			}
		}
		wire.after = func(k kmsg.Key) {
			mu.Lock()
			defer mu.Unlock()
			if answers++; m.answered {
				die(answers, k)
			}
		}
		first := w.start(setting{wire: wire})
		w.live() // while it runs
		time.Sleep(3 * time.Second)
		first.kill() // if it has not died by now it has settled all
		w.start(setting{})
		w.live()
		w.committed("processor")
		repeats = w.balance(t, w.topics)

		// The first arrival wins: who was unmapped then stays so.
		shown := w.folded(t, w.topics)
		for _, e := range w.sent {
			if e.Assignee == 6 {
				if got := shown[e.ID]; got.topic != w.topics.Skipped {
					t.Errorf("event %s was unmapped when it arrived first, and is %+v", e.ID, got)
				}
			}
		}
	})
	return requests, death, repeats
}

// A processor is killed at every moment there is: ahead of each request that it
// sends, and with each answer on its way. That covers each numbered step of the
// package comment: the barrier asks for offsets, the batch is produced, the
// offsets are committed.
func TestAProcessorMayBeKilledAtAnyMoment(t *testing.T) {
	requests, _, repeats := lifeWithDeathAt(t, moment{})
	if repeats != 0 {
		t.Errorf("%d repeats although nothing happened", repeats)
	}
	repeated := 0
	deaths := map[string]int{}
	for _, answered := range []bool{false, true} {
		for n := 1; n <= requests; n++ {
			t.Run(fmt.Sprintf("request %d, answered %v", n, answered), func(t *testing.T) {
				_, death, repeats := lifeWithDeathAt(t, moment{n, answered})
				deaths[fmt.Sprint(death.Name(), " answered ", answered)]++
				if repeats > 0 {
					repeated++
				}
			})
		}
	}
	t.Logf("%d requests in a life; %d lives left repeats; deaths: %v", requests, repeated, deaths)
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets, kmsg.Produce, kmsg.OffsetCommit} {
		for _, answered := range []bool{false, true} {
			if deaths[fmt.Sprint(key.Name(), " answered ", answered)] == 0 {
				t.Errorf("nobody died at a %s, answered %v: this proves nothing", key.Name(), answered)
			}
		}
	}
	if repeated == 0 {
		t.Error("no life left repeats: this proves nothing")
	}
}
