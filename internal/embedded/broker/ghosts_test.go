//go:build synctests

package broker_test

import (
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
		var network kfake.VirtualNetwork
		b := start(t, broker.Config{Dir: t.TempDir(), Listen: network.Listen, Addr: "127.0.0.1:9092"})
		dial := kafkatest.Dialer(&network)
		producer := client(t, b.Addr(), dial, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		const partitions = 6
		specs := []schemas.TopicSpec{{Name: "log", Retention: time.Hour, Partitions: partitions}}
		if err := kafka.EnsureTopics(t.Context(), producer, specs, kafka.TopicOptions{Replication: 1}); err != nil {
			t.Fatal(err)
		}
		consumer, err := kafka.NewConsumer(kafka.Config{Brokers: []string{b.Addr()}}, "sink", []string{"log"}, silent, nil, dial)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(consumer.CloseAllowingRebalance)
		var mu sync.Mutex
		seen := map[string]bool{}
		var reading sync.WaitGroup
		reading.Go(func() {
			for {
				fetches := consumer.PollFetches(t.Context())
				mu.Lock()
				fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true })
				mu.Unlock()
				consumer.AllowRebalance() // also before the end: the client waits for it to close
				if fetches.IsClientClosed() || t.Context().Err() != nil {
					return
				}
			}
		})
		<-time.After(10 * time.Second) // virtual: it has joined

		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(seen)
		}
		// kfake does not always forget: whether it notices that nobody takes
		// its answer is a throw of a coin. Ten rounds leave no doubt.
		for round := range 10 {
			// A second consumer gets its id, asks to join, and dies before the
			// first one has come to join again.
			victim := client(t, b.Addr(), dial)
			join := joinRequest(t)
			resp, err := join.RequestWith(t.Context(), victim)
			if err != nil || resp.ErrorCode != kerr.MemberIDRequired.Code {
				t.Fatalf("first join: %v %v", resp, err)
			}
			join.MemberID = resp.MemberID
			reading.Go(func() { _, _ = join.RequestWith(t.Context(), victim) })
			<-time.After(100 * time.Millisecond) // virtual
			victim.Close()

			// Half of the partitions are now assigned to nobody who lives.
			<-time.After(3 * time.Second) // virtual
			for p := range partitions {
				r := &kgo.Record{Topic: "log", Partition: int32(p), Value: fmt.Append(nil, round, p)}
				if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(time.Second) // virtual
			if count() == (round+1)*partitions {
				t.Fatal("nothing was assigned to the dead consumer: this proves nothing")
			}
			<-time.After(40 * time.Second) // virtual
			if n := count() - round*partitions; n != partitions {
				t.Fatalf("round %d: %d of %d records are read, 40 s after a consumer died while it joined", round, n, partitions)
			}
		}
		consumer.CloseAllowingRebalance()
		producer.Close()
		reading.Wait()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
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
