//go:build synctests

package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/embedded/broker"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

func TestAConsumerKilledWhileItJoinsDoesNotKeepItsPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHaunted(t)
		// kfake does not always forget: whether it notices that nobody takes
		// its answer is a throw of a coin. Ten rounds leave no doubt.
		for round := range 10 {
			h.dieJoining(t)
			// Half of the partitions are now assigned to nobody who lives.
			h.produce(t, round)
			<-time.After(time.Second) // virtual
			if h.count() == (round+1)*partitions {
				t.Fatal("nothing was assigned to the dead consumer: this proves nothing")
			}
			<-time.After(40 * time.Second) // virtual
			if n := h.count() - round*partitions; n != partitions {
				t.Fatalf("round %d: %d of %d records are read, 40 s after a consumer died while it joined", round, n, partitions)
			}
		}
		h.end(t)
	})
}

// kfake waits for those who have not joined, and begins that wait anew whenever
// somebody joins again.
func TestADeadConsumerDoesNotHoldUpThoseWhoJoinAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHaunted(t)
		for round := range 10 { // see above
			h.dieJoining(t)
			join := h.enter(t, client(t, h.broker.Addr(), h.dial))
			answered := make(chan struct{})
			var asking sync.WaitGroup
			for asked := 0; ; asked++ {
				if asked == 10 {
					t.Fatalf("round %d: nobody may read, 50 s after a consumer died while it joined", round)
				}
				impatient := client(t, h.broker.Addr(), h.dial)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				asking.Go(func() {
					if _, err := join.RequestWith(ctx, impatient); err == nil {
						close(answered)
					}
				})
				<-ctx.Done()
				cancel()
				asking.Wait()
				impatient.Close()
				select {
				case <-answered:
				default:
					continue
				}
				break
			}
			<-time.After(40 * time.Second) // virtual: it never came to its second step, and is put out
			h.produce(t, round)
			<-time.After(40 * time.Second) // virtual
			if n := h.count() - round*partitions; n != partitions {
				t.Fatalf("round %d: %d of %d records are read in the end", round, n, partitions)
			}
		}
		h.end(t)
	})
}

const partitions = 6

// haunted is a topic with a group in which one consumer reads.
type haunted struct {
	broker   *broker.Broker
	dial     kgo.Opt
	producer *kgo.Client
	consumer *kgo.Client
	running  sync.WaitGroup

	mu   sync.Mutex
	seen map[string]bool
}

func newHaunted(t *testing.T) *haunted {
	t.Helper()
	var network kfake.VirtualNetwork
	h := &haunted{
		broker: start(t, broker.Config{Dir: t.TempDir(), Listen: network.Listen, Dial: network.DialContext, Addr: "127.0.0.1:9092"}),
		dial:   kafkatest.Dialer(&network),
		seen:   map[string]bool{},
	}
	h.producer = client(t, h.broker.Addr(), h.dial, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	specs := []schemas.TopicSpec{{Name: "log", Retention: time.Hour, Partitions: partitions}}
	if err := kafka.EnsureTopics(t.Context(), h.producer, specs, kafka.TopicOptions{Replication: 1}); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.consumer, err = kafka.NewConsumer(kafka.Config{Brokers: []string{h.broker.Addr()}}, "sink", []string{"log"}, silent, nil, h.dial); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.consumer.CloseAllowingRebalance)
	h.running.Go(func() {
		for {
			fetches := h.consumer.PollFetches(t.Context())
			h.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) { h.seen[string(r.Value)] = true })
			h.mu.Unlock()
			h.consumer.AllowRebalance() // also before the end: the client waits for it to close
			if fetches.IsClientClosed() || t.Context().Err() != nil {
				return
			}
		}
	})
	<-time.After(10 * time.Second) // virtual: it has joined
	return h
}

func (h *haunted) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.seen)
}

func (h *haunted) produce(t *testing.T, round int) {
	t.Helper()
	for p := range partitions {
		r := &kgo.Record{Topic: "log", Partition: int32(p), Value: fmt.Append(nil, round, p)}
		if err := h.producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// enter has a client get its id, and returns what it then joins with.
func (h *haunted) enter(t *testing.T, cl *kgo.Client) *kmsg.JoinGroupRequest {
	t.Helper()
	join := joinRequest(t)
	resp, err := join.RequestWith(t.Context(), cl)
	if err != nil || resp.ErrorCode != kerr.MemberIDRequired.Code {
		t.Fatalf("first join: %v %v", resp, err)
	}
	join.MemberID = resp.MemberID
	return join
}

// dieJoining has a second consumer ask to join and die before the first one has
// come to join again, and waits until that one has.
func (h *haunted) dieJoining(t *testing.T) {
	t.Helper()
	victim := client(t, h.broker.Addr(), h.dial)
	join := h.enter(t, victim)
	h.running.Go(func() { _, _ = join.RequestWith(t.Context(), victim) })
	<-time.After(100 * time.Millisecond) // virtual
	victim.Close()
	<-time.After(3 * time.Second) // virtual
}

func (h *haunted) end(t *testing.T) {
	t.Helper()
	h.consumer.CloseAllowingRebalance()
	h.producer.Close()
	h.running.Wait()
	if err := h.broker.Close(); err != nil {
		t.Fatal(err)
	}
}

// joinRequest is what a consumer like ours sends.
func joinRequest(t *testing.T) *kmsg.JoinGroupRequest {
	t.Helper()
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = []string{"log"}
	join := kmsg.NewPtrJoinGroupRequest()
	for _, name := range []string{"sticky", "cooperative-sticky"} {
		protocol := kmsg.NewJoinGroupRequestProtocol()
		protocol.Name, protocol.Metadata = name, meta.AppendTo(nil)
		join.Protocols = append(join.Protocols, protocol)
	}
	join.Group, join.ProtocolType = "sink", "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 6000, 8000
	return join
}
