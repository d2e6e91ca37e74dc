//go:build integration

package endtoend

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/worksights/halo-connector/schemas"
)

// TestPartitionsAreAddedUnderLoad doubles the partitions of the event topics
// four times while three processors and three sinks share them. A tenant's
// events then lie in two partitions, in no order, and nothing may come of it.
func TestPartitionsAreAddedUnderLoad(t *testing.T) {
	if c := chosen(); c.kafka == embedded {
		t.Skip("the embedded Kafka has no use for more partitions")
	}
	t.Parallel()
	s := newStack(t)
	for i := range 2 {
		for _, p := range []*process{
			s.stageAs("processor", fmt.Sprintf("processor%d", 2+i), 9111+i),
			s.stageAs("sink", fmt.Sprintf("sink%d", 2+i), 9113+i),
		} {
			p.start()
			p.ready()
		}
	}
	tn := s.connected("spread", 10)
	cl := s.kafkaClient()
	defer cl.Close()
	events := schemas.NewTopics(s.prefix).Events
	partitions := func() int {
		details, err := kadm.NewClient(cl).ListTopics(t.Context(), events)
		if err != nil {
			t.Fatal(err)
		}
		return len(details[events].Partitions)
	}
	n := partitions()
	l := tn.underLoad(5, 10*time.Millisecond)
	for range 4 {
		pause(t, 3*time.Second)
		n *= 2
		if said := s.haloctl(s.env, "topics", "apply", "--partitions", fmt.Sprint(n)); !strings.Contains(said, fmt.Sprint(n)) {
			t.Errorf("haloctl says\n%s", said)
		}
		if got := partitions(); got != n {
			t.Fatalf("%d partitions, want %d", got, n)
		}
		pause(t, 12*time.Second) // until all clients know
	}
	l.stop()
	l.settled()
	used := map[int32]bool{}
	for _, r := range s.records(events) {
		used[r.Partition] = true
	}
	if kept, _ := l.progress(); kept < 1000 || len(used) < 2 {
		t.Fatalf("%d events on %d partitions: this proves nothing", kept, len(used))
	}
	t.Logf("%s; the tenant's events are on %d of %d partitions", l, len(used), n)
}
