package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// margin is how far a record's own time may lie before the arrival of its
// event: two clocks, or one that stepped.
const margin = 10 * time.Minute

// arrivals reads the events topic from an instant on, again and again up to its
// end of the moment.
type arrivals struct {
	topic  string
	client *kgo.Client
	next   map[int32]int64 // partition -> offset to be read next

	// Where records were deleted, what arrived before an instant is not judged:
	// its event may be among them.
	floor int64           // of all tenants, milliseconds
	empty map[int32]bool  // partitions that lost all they had
	parts int             // how many there are
	slot  kgo.Partitioner // the partition of a tenant
}

func (v *Verifier) openArrivals(ctx context.Context, from time.Time) (*arrivals, error) {
	asker, err := kafka.NewProducer(v.cfg.Kafka, v.cfg.Log, nil)
	if err != nil {
		return nil, err
	}
	defer asker.Close()
	a := &arrivals{topic: v.cfg.Topics.Events, next: make(map[int32]int64), empty: make(map[int32]bool), slot: kgo.StickyKeyPartitioner(nil)}
	first, err := kafka.StartOffsets(ctx, asker, a.topic)
	if err != nil {
		return nil, err
	}
	oldest, err := kadm.NewClient(asker).ListOffsetsAfterMilli(ctx, 0, a.topic)
	if err == nil {
		err = oldest.Error()
	}
	if err != nil {
		return nil, err
	}
	begin := make(map[int32]int64)
	if !from.IsZero() {
		after, err := kadm.NewClient(asker).ListOffsetsAfterMilli(ctx, from.Add(-margin).UnixMilli(), a.topic)
		if err == nil {
			err = after.Error()
		}
		if err != nil {
			return nil, err
		}
		for p, o := range after[a.topic] {
			begin[p] = o.Offset
		}
	}
	a.parts = len(first)
	offsets := make(map[int32]kgo.Offset)
	for p, start := range first {
		a.next[p] = max(start, begin[p])
		offsets[p] = kgo.NewOffset().At(a.next[p])
		switch at := oldest[a.topic][p]; {
		case start == 0:
		case at.Timestamp < 0: // nothing is left
			a.empty[p] = true
		default:
			a.floor = max(a.floor, time.UnixMilli(at.Timestamp).Add(time.Minute).UnixMilli())
		}
	}
	a.client, err = kafka.NewReader(v.cfg.Kafka, a.topic, v.cfg.Log, nil,
		kgo.ConsumeTopics(), // in its place: each partition from an offset of its own
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{a.topic: offsets}))
	return a, err
}

// oldest is the instant from which on Kafka holds all that arrived of a tenant,
// in milliseconds.
func (a *arrivals) oldest(t schemas.Tenant) int64 {
	if len(a.empty) > 0 && a.empty[int32(a.slot.ForTopic(a.topic).Partition(&kgo.Record{Key: []byte(t)}, a.parts))] {
		return 1<<63 - 1
	}
	return a.floor
}

// read gives each event up to the topic's end of this moment to add.
func (a *arrivals) read(ctx context.Context, add func(schemas.Event)) error {
	ends, err := kafka.EndOffsets(ctx, a.client, a.topic)
	if err != nil {
		return err
	}
	behind := func() bool {
		for p, end := range ends {
			if a.next[p] < end {
				return true
			}
		}
		return false
	}
	for behind() {
		fetches := a.client.PollRecords(ctx, 20_000)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("topic %s, partition %d: %w", e.Topic, e.Partition, e.Err)
		}
		for r := range fetches.RecordsAll() {
			a.next[r.Partition] = r.Offset + 1
			if r.Attrs.IsControl() || kafka.Schema(r) != schemas.EventSchema {
				continue
			}
			if e, err := schemas.ParseEvent(r.Value); err == nil { // else it is among the dead letters
				add(e)
			}
		}
	}
	return nil
}
