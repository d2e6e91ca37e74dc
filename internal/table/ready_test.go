//go:build synctests

package table_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
)

func TestATableIsReadyOnceTheTopicIsThereAndRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t)
		tbl, _ := follow(t, c)
		time.Sleep(10 * time.Minute)
		err := tbl.Ready()
		if !errors.Is(err, table.ErrNotReady) {
			t.Fatalf("Ready without a topic = %v, want %v", err, table.ErrNotReady)
		}
		t.Log("the reason shown:", err)
		if err := c.CreateTopic("table", 1, nil); err != nil {
			t.Fatal(err)
		}
		c.Produce(t, set("a", "1"))
		time.Sleep(10 * time.Second)
		if err := tbl.Ready(); err != nil {
			t.Fatalf("Ready ten seconds after the topic came = %v", err)
		}
		if v, _ := tbl.Get("a"); v != "1" {
			t.Errorf("ready, and Get(a) = %q", v)
		}
	})
}

func TestDuringAnOutageCatchUpFailsAndAfterwardsTheTableIsCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "table"))
		tbl, _ := follow(t, c)
		catchUp(t, tbl)
		outage := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets}, Err: kerr.KafkaStorageError, Count: -1})
		c.Produce(t, set("a", "1"))
		for range 30 {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			began := time.Now()
			err := tbl.CatchUp(ctx)
			cancel()
			if err == nil {
				t.Fatal("caught up with a topic that cannot be read")
			}
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("CatchUp took %v, beyond its context", d)
			}
		}
		if outage.Hits() == 0 {
			t.Fatal("the outage met no request: this proves nothing")
		}
		outage.Remove()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := tbl.CatchUp(ctx); err != nil {
			t.Fatal(err)
		}
		if v, _ := tbl.Get("a"); v != "1" {
			t.Errorf("Get(a) = %q after the outage", v)
		}
	})
}

func TestLeadersMayMoveUnderTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094), kfake.SeedTopics(1, "table"))
		tbl, _ := follow(t, c)
		for i := range 20 {
			key := string(rune('a' + i))
			c.Produce(t, set(key, "1"))
			c.ShufflePartitionLeaders()
			catchUp(t, tbl)
			if _, ok := tbl.Get(key); !ok {
				t.Fatalf("round %d: %s is missing", i, key)
			}
		}
	})
}

// Whoever looks first, be it the watch over the topic or a catch-up that finds
// less than was read, an operator is told the same.
func TestATopicThatGoesBackwardsEndsTheTableAndSaysWhetherItIsAnother(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lose   func(t *testing.T, c *kafkatest.Cluster)
		want   error
		saying string
	}{
		{"it was deleted and made again", func(t *testing.T, c *kafkatest.Cluster) {
			if err := c.DeleteTopic("table"); err != nil {
				t.Fatal(err)
			}
			if err := c.CreateTopic("table", 1, nil); err != nil {
				t.Fatal(err)
			}
		}, kafka.ErrReplaced, "topic table was deleted and made again: it ends at 0, read up to 2"},
		{"it is the same and lost its last record", func(_ *testing.T, c *kafkatest.Cluster) {
			c.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				part := kmsg.NewListOffsetsResponseTopicPartition()
				part.Offset = 1
				topic := kmsg.NewListOffsetsResponseTopic()
				topic.Topic = "table"
				topic.Partitions = append(topic.Partitions, part)
				resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
				resp.Topics = append(resp.Topics, topic)
				return resp, nil, true
			})
		}, table.ErrRewound, "topic holds less than was read from it: it ends at 1, read up to 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "table"))
				tbl, stop := follow(t, c)
				c.Produce(t, set("a", "1"), set("b", "1"))
				catchUp(t, tbl)
				time.Sleep(time.Second)
				if err := tbl.Ready(); err != nil {
					t.Fatal(err)
				}
				tt.lose(t, c)
				if err := tbl.CatchUp(t.Context()); !errors.Is(err, tt.want) {
					t.Fatalf("CatchUp = %v", err)
				}
				time.Sleep(time.Second)
				if err := tbl.Ready(); !errors.Is(err, table.ErrStopped) {
					t.Errorf("Ready = %v, want %v", err, table.ErrStopped)
				}
				if err := stop(); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.saying) {
					t.Errorf("Run = %v, want %v that says %q", err, tt.want, tt.saying)
				}
			})
		})
	}
}
