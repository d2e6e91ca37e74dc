//go:build synctests

package processor_test

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// gate holds the first batch between the barrier and the judgement.
type gate struct {
	once    sync.Once
	reached chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{reached: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) hold() {
	g.once.Do(func() {
		close(g.reached)
		<-g.open
	})
}

func (w *world) outcomes(t *testing.T) int {
	return len(w.Records(t, w.topics.Activities)) + len(w.Records(t, w.topics.Skipped)) + len(w.Records(t, w.topics.Dead))
}

func TestWhatIsRefusedOrNotAnsweredIsTriedUntilItIsDone(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fault   kfake.Fault
		topic   func(schemas.Topics) string
		repeats bool // whether some are needed, to show that something happened at all
	}{
		{"outcomes written and not acknowledged", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 3}, nil, false},
		{"outcomes written and too few replicas left", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 3}, nil, false},
		{"the leader is elsewhere", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 5}, nil, false},
		{
			"activities may not be written for a while, skips may",
			kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: 5},
			func(t schemas.Topics) string { return t.Activities }, true,
		},
		{"the commit is refused as of an old generation", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.IllegalGeneration, Count: 2}, nil, false},
		{"the commit is refused as of a stranger", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownMemberID, Count: 2}, nil, false},
		{"the commit meets a coordinator that moved", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.NotCoordinator, Count: 5}, nil, false},
		{"the group is lost", kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Count: 2}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.live()
				if tt.topic != nil {
					tt.fault.Topic = tt.topic(w.topics)
				}
				mine := tt.fault
				if mine.Keys[0] == kmsg.Produce && mine.Topic == "" {
					mine.Topic = w.topics.Skipped // not the test's own writes
				}
				fault := w.Fault(mine)
				w.start(setting{})
				time.Sleep(20 * time.Second)
				w.live()
				w.committed("processor")
				if fault.Hits() == 0 {
					t.Fatal("the fault met no request: this proves nothing")
				}
				if repeats := w.balance(t, w.topics); tt.repeats && repeats == 0 {
					t.Error("the skips were not repeated with their batch: this proves nothing")
				}
			})
		})
	}
}

// Whoever starts after a commit was refused repeats the batch: what was
// acknowledged and not committed counts as not done.
func TestABatchWhoseCommitWasRefusedIsRepeatedByTheNextOwner(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.live()
		fault := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.IllegalGeneration, Count: -1})
		first := w.start(setting{})
		time.Sleep(10 * time.Second)
		done := w.outcomes(t)
		first.kill()
		once := len(w.sent) + w.buried
		if fault.Hits() == 0 || done < once {
			t.Fatalf("%d refused commits, %d outcomes of %d: this proves nothing", fault.Hits(), done, once)
		}
		if done > 10*once {
			t.Errorf("%d outcomes of %d events within ten seconds: the batch is repeated without rest", done, once)
		}
		fault.Remove()
		w.start(setting{})
		w.committed("processor")
		if repeats := w.balance(t, w.topics); repeats != done {
			t.Errorf("%d outcomes were repeated, want all %d", repeats, done)
		}
	})
}

func TestLeadersMayMoveWhileOutcomesAreProduced(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		moves := 0
		w.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.KeepControl()
			if moves++; moves%3 == 0 {
				w.ShufflePartitionLeaders()
			}
			return nil, nil, false
		})
		w.start(setting{})
		for range 5 {
			w.live()
		}
		w.committed("processor")
		if moves < 30 {
			t.Fatalf("%d produce requests only: this proves nothing", moves)
		}
		w.balance(t, w.topics)
	}, kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094))
}

// Another member joins while a batch is in hand. It gets no partition before
// the batch is settled and committed, so nothing is judged twice.
func TestPartitionsAreNotGivenAwayWhileABatchIsInHand(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.live()
		g := newGate()
		w.start(setting{caughtUp: g.hold})
		<-g.reached
		w.start(setting{})
		time.Sleep(4 * time.Second) // inside the group's patience
		if n := w.outcomes(t); n != 0 {
			t.Errorf("%d outcomes while the batch was in another's hand", n)
		}
		close(g.open)
		w.committed("processor")
		time.Sleep(10 * time.Second)
		w.live()
		w.committed("processor")
		if n := w.GroupInfo("processor"); n == nil || len(n.Members) != 2 {
			t.Fatalf("the group is %+v: this proves nothing", n)
		}
		if repeats := w.balance(t, w.topics); repeats != 0 {
			t.Errorf("%d outcomes were repeated", repeats)
		}
	})
}

// A batch takes longer than the group waits, and another member settles the
// same events and more. When the first goes on it repeats some, and its commit
// must not rewind the other's.
func TestACommitThatComesTooLateRewindsNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.live()
		g := newGate()
		late := w.start(setting{caughtUp: g.hold})
		<-g.reached
		w.start(setting{})
		time.Sleep(time.Minute)
		w.live()
		w.committed("processor")
		if n := w.outcomes(t); n != len(w.sent)+w.buried {
			t.Fatalf("the other settled %d of %d: this proves nothing", n, len(w.sent)+w.buried)
		}
		close(g.open)
		adm := kadm.NewClient(w.edge)
		for range 300 { // while the late one comes back
			time.Sleep(100 * time.Millisecond)
			if n := lag(t, adm, "processor", w.topics.Events); n != 0 {
				t.Fatalf("the group went back by %d events", n)
			}
		}
		if repeats := w.balance(t, w.topics); repeats == 0 {
			t.Error("nothing was repeated: this proves nothing")
		}
		w.live()
		w.committed("processor")
		w.balance(t, w.topics)
		if err := late.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A record may be as large as Kafka takes. With the headers of a dead letter it
// is larger, and must not stop its partition for ever.
func TestTheLargestRecordThatIsNoEventDoesNotStopTheOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start(setting{})
		junk := strings.Repeat("x", 999_900) // with what is around it nearly all of a megabyte
		for _, r := range []*kgo.Record{
			kafka.Record(w.topics.Events, "acme", schemas.EventSchema, []byte(junk)),
			kafka.Record(w.topics.Events, "acme", junk, nil),
			kafka.Record(w.topics.Events, junk, schemas.EventSchema, nil),
		} {
			w.buried++
			w.write(r)
		}
		w.live()
		w.committed("processor")
		w.balance(t, w.topics)
	})
}

// A commit that is refused in a quiet night is tried again, though no event comes.
func TestARefusedCommitIsOwedAndRepeatedWithoutTraffic(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.start(setting{})
		time.Sleep(10 * time.Second)
		fault := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownServerError, Count: -1})
		w.live()
		time.Sleep(time.Minute)
		adm, sent := kadm.NewClient(w.edge), int64(len(w.sent)+w.buried)
		if n := lag(t, adm, "processor", w.topics.Events); n != sent || fault.Hits() < 5 {
			t.Fatalf("%d of %d events are not committed after %d refusals: this proves nothing", n, sent, fault.Hits())
		}
		if n := s.counted(t, "halo_processor_failures_total", "step")["commit"]; n < 5 {
			t.Errorf("%v refused commits are counted", n)
		}
		fault.Remove()
		time.Sleep(10 * time.Second)
		if n := lag(t, adm, "processor", w.topics.Events); n != 0 {
			t.Errorf("%d events are not committed ten seconds after the refusals", n)
		}
		if repeats := w.balance(t, w.topics); repeats != 0 {
			t.Errorf("%d outcomes were repeated", repeats)
		}
	})
}

// A broker that takes outcomes and does not answer has refused nothing yet.
func TestAProcessorWhoseOutcomesAreNotAnsweredIsNotReady(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.start(setting{})
		time.Sleep(10 * time.Second)
		hung := make(chan struct{})
		w.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			for _, topic := range req.(*kmsg.ProduceRequest).Topics {
				if topic.Topic == w.topics.Skipped || w.TopicIDInfo(topic.TopicID).Topic == w.topics.Skipped {
					w.KeepControl()
					w.SleepControl(func() { <-hung })
				}
			}
			return nil, nil, false
		})
		w.send("acme", 6)
		time.Sleep(5 * time.Second)
		if err := s.ready(); err != nil {
			t.Errorf("after five seconds: %v", err)
		}
		time.Sleep(10 * time.Second)
		if err := s.ready(); err == nil || !strings.Contains(err.Error(), "has not answered for 1") {
			t.Errorf("after a quarter of a minute: %v", err)
		}
		close(hung)
		w.committed("processor")
		if err := s.ready(); err != nil {
			t.Errorf("after the answer: %v", err)
		}
		w.balance(t, w.topics)
	})
}

// Somebody lowers what a topic takes. The tenants whose outcomes fit go on; of
// those that do not the events become dead letters, and a person is told where
// and why.
func TestAnOutcomeThatIsTooLargeHoldsUpNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		adm := kadm.NewClient(w.edge)
		limit := "550"
		if _, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, w.topics.Activities); err != nil {
			t.Fatal(err)
		}
		random := make([]byte, 100) // does not compress
		rand.NewChaCha8([32]byte{7}).Read(random)
		long := schemas.UserID(hex.EncodeToString(random))
		w.assign("acme", 5, long)
		w.assign("beta", 5, "ada")
		for range 50 {
			w.send("beta", 5)
			w.send("beta", 5)
			w.send("beta", 6)
		}
		bad := w.send("acme", 5)
		for range 50 {
			w.send("beta", 5)
		}
		s := w.start(setting{})
		w.committed("processor")
		if n := len(w.Records(t, w.topics.Activities)); n < 150 {
			t.Errorf("%d activities of 150", n)
		}
		seen := map[schemas.ID]bool{}
		for _, r := range w.Records(t, w.topics.Activities) {
			seen[identify(t, r).id] = true
		}
		if len(seen) != 150 || seen[bad.ID] {
			t.Errorf("%d events have an activity, want 150", len(seen))
		}
		dead := w.Records(t, w.topics.Dead)
		if len(dead) != 1 || kafka.Schema(dead[0]) != schemas.EventSchema {
			t.Fatalf("%d dead letters", len(dead))
		}
		if e, err := schemas.ParseEvent(dead[0].Value); err != nil || e.ID != bad.ID {
			t.Errorf("the dead letter is %+v, %v", e, err)
		}
		for _, want := range []string{"topic=halo.events", "partition=", "offset=0", "output=halo.activities", "limit=550"} {
			if !strings.Contains(s.log.String(), want) {
				t.Errorf("the log does not say %s:\n%s", want, s.log.String())
			}
		}
		if err := s.ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		got := s.counted(t, "halo_processor_events_total", "outcome")
		if got["activity"] != 150 || got["dead"] != 1 || got["unmapped"] != 50 {
			t.Errorf("counted %v", got)
		}
	})
}
