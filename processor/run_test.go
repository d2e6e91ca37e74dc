//go:build synctests

package processor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

// A replay is a second processor with its own group and its own topics. Since
// the first run the agents were mapped otherwise, and the stage was restarted.
func TestAReplayGivesTheSameBytes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.live()
		first := w.start(setting{})
		w.live()
		w.committed("processor")
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		w.live()
		w.start(setting{})
		w.committed("processor")
		for _, tenant := range []schemas.Tenant{"acme", "beta", "zeta"} {
			w.assign(tenant, 5, "zoe")
			w.assign(tenant, 6, "zoe")
		}

		again := schemas.NewTopics("again.")
		w.CreateTopics(t, again, partitions)
		w.start(setting{group: "replay", prefix: "again."})
		w.committed("replay")
		w.balance(t, again)
		for _, pair := range [][2]string{{w.topics.Activities, again.Activities}, {w.topics.Skipped, again.Skipped}, {w.topics.Dead, again.Dead}} {
			was, is := w.Records(t, pair[0]), w.Records(t, pair[1])
			if len(was) == 0 || len(was) != len(is) {
				t.Fatalf("%s has %d records, its replay %d", pair[0], len(was), len(is))
			}
			for i := range was {
				a, b := outcomeOf(was[i]), outcomeOf(is[i])
				b.topic = a.topic
				if a != b || was[i].Partition != is[i].Partition {
					t.Errorf("record %d of partition %d was %+v\nand is now of partition %d %+v", i, was[i].Partition, a, is[i].Partition, b)
				}
			}
		}
	})
}

func TestTheOutcomesOfATenantKeepTheOrderOfItsEvents(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.assign("acme", 5, "ada")
		for range 500 {
			w.send("acme", 5)
		}
		w.start(setting{})
		w.committed("processor")
		records := w.Records(t, w.topics.Activities)
		if len(records) != 500 {
			t.Fatalf("%d activities of 500", len(records))
		}
		for i, r := range records {
			if identify(t, r).id != w.sent[i].ID {
				t.Fatalf("activity %d is not that of event %d", i, i)
			}
		}
	})
}

func TestAShutdownSettlesTheBatchInHandAndLeavesTheGroup(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.live()
		g := newGate()
		s := w.start(setting{caughtUp: g.hold})
		<-g.reached
		s.cancel()
		time.Sleep(time.Second)
		close(g.open)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if n := lag(t, kadm.NewClient(w.edge), "processor", w.topics.Events); n != 0 {
			t.Errorf("%d events of the batch in hand are not committed", n)
		}
		if repeats := w.balance(t, w.topics); repeats != 0 {
			t.Errorf("%d repeats", repeats)
		}
		if info := w.GroupInfo("processor"); info != nil && len(info.Members) != 0 {
			t.Errorf("the next owner has to wait for %d members", len(info.Members))
		}
	})
}

func TestAShutdownWithoutKafkaTakesNoLongerThanItsGrace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.live()
		g := newGate()
		s := w.start(setting{caughtUp: g.hold, grace: 2 * time.Second})
		<-g.reached
		s.Cut()
		close(g.open)
		time.Sleep(time.Minute)
		began := time.Now()
		s.cancel()
		select {
		case <-s.ended:
			t.Error("the batch in hand was given up at once")
		case <-time.After(1900 * time.Millisecond):
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		// Leaving the group of a Kafka that is away is given up by the client.
		if d := time.Since(began); d > 15*time.Second {
			t.Errorf("the shutdown took %v", d)
		}
		if n := w.outcomes(t); n != 0 {
			t.Errorf("%d outcomes", n)
		}
		w.start(setting{})
		w.committed("processor")
		w.balance(t, w.topics)
	})
}

func TestKafkaMayBeAwayForMinutes(t *testing.T) {
	t.Run("while nothing is in hand", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			s := w.start(setting{})
			w.live()
			w.committed("processor")
			for range 3 {
				s.Cut()
				w.live()
				time.Sleep(7 * time.Minute)
				s.Mend()
				w.live()
				w.committed("processor")
			}
			w.balance(t, w.topics)
		})
	})
	t.Run("while a batch is in hand", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.live()
			g := newGate()
			s := w.start(setting{caughtUp: g.hold})
			<-g.reached
			s.Cut()
			close(g.open)
			w.live()
			time.Sleep(7 * time.Minute)
			if n := w.outcomes(t); n != 0 {
				t.Fatalf("%d outcomes over a wire that is cut: this proves nothing", n)
			}
			s.Mend()
			w.live()
			w.committed("processor")
			w.balance(t, w.topics)
		})
	})
	t.Run("from the start", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			wire := newWire(t, w.Cluster)
			wire.Cut()
			w.start(setting{wire: wire})
			w.live()
			time.Sleep(7 * time.Minute)
			wire.Mend()
			w.committed("processor")
			w.balance(t, w.topics)
		})
	})
}

func TestAClientClosedUnderTheProcessorEndsIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.start(setting{})
		w.live()
		w.committed("processor")
		s.consumer.CloseAllowingRebalance()
		<-s.ended
		if !errors.Is(s.err, processor.ErrClosed) {
			t.Errorf("Run = %v, want %v", s.err, processor.ErrClosed)
		}
	})
}
