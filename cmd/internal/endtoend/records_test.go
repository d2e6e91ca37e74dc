package endtoend

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaClient is a client of the stack's Kafka that does not wait for long for
// a broker which may be dead or frozen.
func (s *stack) kafkaClient(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(s.brokers, ",")...),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.DialTimeout(time.Second),
		kgo.RequestTimeoutOverhead(2 * time.Second),
	}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return cl
}

// records are all records of our topics, or of those given, at the time of the
// call.
func (s *stack) records(topics ...string) []*kgo.Record {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	cl := s.kafkaClient(kgo.FetchMaxWait(100 * time.Millisecond))
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if len(topics) == 0 {
		details, err := adm.ListTopics(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, topic := range details.Names() {
			if strings.HasPrefix(topic, s.prefix) {
				topics = append(topics, topic)
			}
		}
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	// Up to the end, and not a number of records: what was compacted away is
	// not there, but its offsets are counted.
	left := map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			if left[o.Topic] == nil {
				left[o.Topic] = map[int32]kgo.Offset{}
			}
			left[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
		}
	})
	cl.AddConsumePartitions(left)
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			s.t.Fatalf("reading all records: %v", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, r)
			end, _ := ends.Lookup(r.Topic, r.Partition)
			if r.Offset >= end.Offset-1 {
				delete(left[r.Topic], r.Partition)
				if len(left[r.Topic]) == 0 {
					delete(left, r.Topic)
				}
			}
		})
	}
	return all
}
