// Package records reads a tenant's records back from Kafka: an event as it
// arrived, the deliveries that were refused, the audit trail.
//
// It promises that an answer holds what was acknowledged before the question, is
// bounded in time and memory, and costs nobody else anything: it reads the
// partitions in which the tenant's records can be, in no group, and commits
// nothing.
package records

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// ErrTooLong says that a list was not read far enough in the time that there is.
var ErrTooLong = errors.New("the topic was not read far enough in time")

const (
	// patience is how long one call reads.
	patience = 5 * time.Second
	// atOnce bounds how many calls read at a time, and so what they hold: a call's
	// client holds a few fetches of at most fetchBytes.
	atOnce     = 4
	fetchBytes = 4 << 20
)

// Reader reads records back. It may be used by several goroutines at once.
type Reader struct {
	cfg    kafka.Config
	opts   []kgo.Opt
	topics schemas.Topics
	log    *slog.Logger
	admin  *kgo.Client
	turns  chan struct{}
}

// New returns a reader of the topics. opts are the last options of its clients.
func New(cfg kafka.Config, topics schemas.Topics, log *slog.Logger, reg prometheus.Registerer, opts ...kgo.Opt) (*Reader, error) {
	// Of a reader's client that consumes nothing, for questions about offsets.
	admin, err := kafka.NewReader(cfg, "records", log, reg, append(slices.Clone(opts), kgo.ConsumeTopics())...)
	if err != nil {
		return nil, err
	}
	return &Reader{cfg, opts, topics, log, admin, make(chan struct{}, atOnce)}, nil
}

// Close ends the reader. No call is to be under way.
func (r *Reader) Close() { r.admin.Close() }

// turn waits for one of the places and bounds the call.
func (r *Reader) turn(ctx context.Context) (context.Context, func(), error) {
	select {
	case r.turns <- struct{}{}:
		ctx, cancel := context.WithTimeout(ctx, patience)
		return ctx, func() { cancel(); <-r.turns }, nil
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("wait for a turn to read Kafka: %w", context.Cause(ctx))
	}
}

// reach is what a topic's partitions hold: from the first record that was
// written at the instant asked for, or later, to the end.
type reach map[int32]span

type span struct{ start, end int64 }

// reach asks for the partitions in which the tenant's records can be, of which
// there is more than one only where partitions were added. from and to bound the
// time of writing; zero is no bound.
func (r *Reader) reach(ctx context.Context, topic string, tenant schemas.Tenant, from, to time.Time) (reach, error) {
	adm := kadm.NewClient(r.admin)
	ends, err := listed(adm.ListEndOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	var starts kadm.ListedOffsets
	if from.IsZero() {
		starts, err = listed(adm.ListStartOffsets(ctx, topic))
	} else {
		starts, err = listed(adm.ListOffsetsAfterMilli(ctx, from.UnixMilli(), topic))
	}
	if err == nil && !to.IsZero() {
		ends, err = listed(adm.ListOffsetsAfterMilli(ctx, to.UnixMilli(), topic))
	}
	if err != nil {
		return nil, err
	}
	of := make(reach)
	for _, p := range partitions(tenant, len(ends[topic])) {
		s := span{starts[topic][p].Offset, ends[topic][p].Offset}
		if s.start >= 0 && s.start < s.end {
			of[p] = s
		}
	}
	return of, nil
}

func listed(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets: %w", err)
	}
	return offsets, nil
}

// firstPartitions is how many a topic has when it is created, see
// [schemas.Topics.Specs]. Those that were added doubled it.
const firstPartitions = 12

// partitions are those in which a tenant's records can be in a topic of n: where
// they go now, and where they went while the topic had fewer.
func partitions(tenant schemas.Tenant, n int) (all []int32) {
	place := func(n int) {
		p := int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(tenant)}, n))
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	if n == 0 {
		return nil
	}
	place(n)
	for few := firstPartitions; few < n; few *= 2 {
		place(few)
	}
	return all
}

// read hands each record of the spans to each, and returns once all were read or
// each is false; with ErrTooLong where ctx ended first.
func (r *Reader) read(ctx context.Context, topic string, of reach, each func(*kgo.Record) bool) error {
	if len(of) == 0 {
		return nil
	}
	from := make(map[int32]kgo.Offset, len(of))
	left := make(map[int32]int64, len(of))
	for p, s := range of {
		from[p], left[p] = kgo.NewOffset().At(s.start), s.end
	}
	// The last options win: of a reader, the partitions in place of the topic.
	opts := append(slices.Clone(r.opts), kgo.ConsumeTopics(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes), kgo.MaxConcurrentFetches(1))
	// A registry of its own: a client that lives for milliseconds is no matter for
	// a dashboard.
	cl, err := kafka.NewReader(r.cfg, topic, r.log, prometheus.NewRegistry(), opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return ErrTooLong
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s: %w", topic, e.Err)
		}
		for record := range fetches.RecordsAll() {
			end, reading := left[record.Partition]
			if !reading || record.Offset >= end {
				delete(left, record.Partition)
				continue
			}
			if !record.Attrs.IsControl() && !each(record) {
				return nil
			}
			if record.Offset == end-1 {
				delete(left, record.Partition)
			}
		}
	}
	return nil
}
