package table_test

import (
	"context"
	"errors"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
)

// The offset before the end of a topic is not always the offset of a record.
func TestCatchUpEndsWhereTheLastRecordIsGone(t *testing.T) {
	for _, tt := range []struct {
		name string
		fill func(t *testing.T, c *kafkatest.Cluster)
		want map[string]string
	}{
		{"nothing was ever written", func(*testing.T, *kafkatest.Cluster) {}, nil},
		{"the last records are compacted away, in their place an empty batch", func(t *testing.T, c *kafkatest.Cluster) {
			compactTail(t, c, emptyBatch(1, 2))
		}, map[string]string{"a": "1"}},
		{"the last records are compacted away, in their place nothing", func(t *testing.T, c *kafkatest.Cluster) {
			compactTail(t, c, nil)
		}, map[string]string{"a": "1"}},
		{"all records were deleted", func(t *testing.T, c *kafkatest.Cluster) {
			c.Produce(t, set("a", "1"), set("b", "1"))
			if err := c.DeleteRecords("table", 0, 2); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"the last record is a transaction's end", func(t *testing.T, c *kafkatest.Cluster) {
			inTransaction(t, c, kgo.TryCommit, set("a", "1"))
		}, map[string]string{"a": "1"}},
		{"the last transaction was aborted", func(t *testing.T, c *kafkatest.Cluster) {
			c.Produce(t, set("a", "1"))
			inTransaction(t, c, kgo.TryAbort, set("a", "2"))
		}, map[string]string{"a": "1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
			c.Opts = append(c.Opts, kgo.DisableFetchSessions())
			tt.fill(t, c)
			tbl, _ := follow(t, c)
			catchUp(t, tbl)
			if tbl.Len() != len(tt.want) {
				t.Errorf("table has %d keys, want %d", tbl.Len(), len(tt.want))
			}
			for k, want := range tt.want {
				if v, _ := tbl.Get(k); v != want {
					t.Errorf("Get(%s) = %q, want %q", k, v, want)
				}
			}
			// And what comes afterwards is still seen.
			c.Produce(t, set("later", "1"))
			catchUp(t, tbl)
			if v, _ := tbl.Get("later"); v != "1" {
				t.Errorf("Get(later) = %q", v)
			}
		})
	}
}

// compactTail writes a, b and b's tombstone and then lets the topic look as it
// does when the last two are compacted away, with left in their place.
func compactTail(t *testing.T, c *kafkatest.Cluster, left []byte) {
	t.Helper()
	for _, r := range []*kgo.Record{set("a", "1"), set("b", "1"), tombstone("b")} {
		c.Produce(t, r)
	}
	c.ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		if len(req.Topics) == 0 {
			return nil, nil, false
		}
		asked := &req.Topics[0].Partitions[0]
		switch asked.FetchOffset {
		case 0:
			req.MaxBytes, asked.PartitionMaxBytes = 1, 1 // the first batch only
			return nil, nil, false
		case 1, 2:
			if left == nil {
				asked.FetchOffset = 3 // what is there from 1 on begins at 3
				return nil, nil, false
			}
			part := kmsg.NewFetchResponseTopicPartition()
			part.HighWatermark, part.LastStableOffset, part.LogStartOffset = 3, 3, 0
			part.RecordBatches = left
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
			topic.Partitions = append(topic.Partitions, part)
			resp := req.ResponseKind().(*kmsg.FetchResponse)
			resp.Topics = append(resp.Topics, topic)
			return resp, nil, true
		}
		return nil, nil, false
	})
}

// emptyBatch is what Apache Kafka leaves of the last records of a log: a batch
// that covers their offsets and holds none.
func emptyBatch(first, last int64) []byte {
	b := kmsg.RecordBatch{
		FirstOffset: first, LastOffsetDelta: int32(last - first), Magic: 2,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, PartitionLeaderEpoch: -1,
	}
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

func inTransaction(t *testing.T, c *kafkatest.Cluster, end kgo.TransactionEndTry, r *kgo.Record) {
	t.Helper()
	cl := c.Client(t, kgo.TransactionalID("tx"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

func TestCatchUpWaitsForARecordInAnOpenTransaction(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	tbl, _ := follow(t, c)
	cl := c.Client(t, kgo.TransactionalID("tx"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), set("a", "1")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := tbl.CatchUp(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("CatchUp = %v before the transaction's end; the record is acknowledged and not applied", err)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	catchUp(t, tbl)
	if v, _ := tbl.Get("a"); v != "1" {
		t.Errorf("Get(a) = %q", v)
	}
}

// waitStopped is closed once the table has stopped by itself.
func waitStopped(t *testing.T, tbl *table.Table[string]) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for !errors.Is(tbl.CatchUp(t.Context()), table.ErrStopped) {
			if t.Context().Err() != nil {
				return
			}
		}
	}()
	return stopped
}
