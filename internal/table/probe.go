package table

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
)

// The end offset of a partition counts records, and not all of them are still
// there. Where the last ones were compacted away (tombstones, after their time)
// or deleted, the client reads over the gap and says nothing: no record with
// the offset before the end will ever arrive, and a log that waited for it
// would wait for ever. So who waits in vain looks for himself.

// probe asks Kafka whether any record is left from the offset at on. Where none
// is left the log counts as applied to its end. Where one is left nothing is
// concluded: the client will bring it.
func (l *Log) probe(ctx context.Context, at int64) error {
	starts, err := kafka.StartOffsets(ctx, l.cl, l.topic)
	if err != nil {
		return err
	}
	meta, err := kadm.NewClient(l.cl).Metadata(ctx, l.topic)
	if err != nil {
		return err
	}
	upTo, err := l.emptyUpTo(ctx, meta.Topics[l.topic], max(at, starts[0]))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if upTo > l.empty {
		l.empty = upTo
		l.announce()
	}
	return nil
}

// emptyUpTo reads from offset from on and returns the offset up to which there is
// no record: the end where there is none at all, else from.
//
// It must be all or nothing. Say the client holds a record at 3 that is not
// applied yet, while the topic already has it superseded by one at 7: "nothing
// between 3 and 7" is true of the topic, but a table that took it for applied
// would still show the value before 3. The record at 7 is on its way; with it
// the wait ends by itself.
func (l *Log) emptyUpTo(ctx context.Context, detail kadm.TopicDetail, from int64) (int64, error) {
	for at := from; ; {
		rp, err := l.fetch(ctx, detail, at)
		if err != nil {
			return 0, err
		}
		part, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
			Offset: at, Topic: l.topic, IsolationLevel: kgo.ReadCommitted(),
		}, rp, kgo.DefaultDecompressor(), nil)
		if part.Err != nil {
			return 0, part.Err
		}
		end := rp.LastStableOffset
		switch {
		case len(part.Records) > 0:
			return from, nil
		case at >= end:
			return at, nil
		case len(rp.RecordBatches) == 0:
			// Nothing at all below the end. Apache Kafka keeps an empty batch
			// in the place of the last one; other brokers keep nothing.
			return end, nil
		case next <= at:
			return from, nil
		}
		at = next
	}
}

// fetch reads at an offset once, without waiting for records.
func (l *Log) fetch(ctx context.Context, detail kadm.TopicDetail, at int64) (*kmsg.FetchResponseTopicPartition, error) {
	const atMost = 1 << 20
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset = at
	part.PartitionMaxBytes = atMost
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = l.topic
	topic.TopicID = detail.ID
	topic.Partitions = append(topic.Partitions, part)
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes = atMost
	req.IsolationLevel = 1 // read committed, as the client reads
	req.Topics = append(req.Topics, topic)

	resp, err := l.cl.Broker(int(detail.Partitions[0].Leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	fetched := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
		return nil, err
	}
	if len(fetched.Topics) != 1 || len(fetched.Topics[0].Partitions) != 1 {
		return nil, errors.New("fetch was answered without the partition it asked for")
	}
	rp := &fetched.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
		return nil, fmt.Errorf("fetch of %s: %w", l.topic, err)
	}
	// A broker over its quota answers with nothing, which proves nothing.
	if fetched.ThrottleMillis > 0 && len(rp.RecordBatches) == 0 {
		return nil, errors.New("throttled")
	}
	return rp, nil
}
