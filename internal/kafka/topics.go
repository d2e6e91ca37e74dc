package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/schemas"
)

// TopicOptions is what depends on the cluster and not on the topic.
type TopicOptions struct {
	Partitions int32 // of the topics that have several; 0: as the spec says
	// Raise is how many partitions those topics are to have that have several
	// and exist with fewer; 0: they keep what they have.
	Raise       int32
	Replication int16 // 0: the cluster's default
	// NoCompaction makes compacted topics plain ones that are kept for ever:
	// the same table, a longer log. For the embedded broker, whose compaction
	// does not survive a crash.
	NoCompaction bool
	// MaxBytes bounds each partition of the topics that are not compacted,
	// beside their retention time; 0: no bound. For the embedded broker, which
	// reads its whole log when it starts.
	MaxBytes int64
}

// The clocks of compaction.
const (
	// tombstones outlive any stop of a process: one that was down for longer
	// starts from an empty table anyway, one that was merely slow still sees
	// the deletion.
	deleteRetention = 7 * 24 * time.Hour
	// a change stays readable for an hour, so that whoever debugs a mapping
	// made a moment ago finds each step of it.
	minCompactionLag = time.Hour
	// and is folded within a week however quiet the topic is, so that what was
	// revoked does not lie on disk for ever.
	maxCompactionLag = 7 * 24 * time.Hour
	segmentAge       = 24 * time.Hour
)

// ErrFewer says that a topic has more partitions than were asked for. Kafka can
// take none away.
var ErrFewer = errors.New("has more partitions than that, and Kafka takes none away")

// AppliedTopic is what [ApplyTopics] did with one topic.
type AppliedTopic struct {
	Created    bool
	Partitions int
	Mended     []string // what was not as the spec says, such as "cleanup.policy=delete"
}

// EnsureTopics is [ApplyTopics] for whoever only wants to know that all is well.
func EnsureTopics(ctx context.Context, cl *kgo.Client, specs []schemas.TopicSpec, o TopicOptions) error {
	_, err := ApplyTopics(ctx, cl, specs, o)
	return err
}

// ApplyTopics creates the topics that are missing and gives those that exist
// the configuration of their spec. It may be repeated at any time and by
// several processes at once. The number of partitions of an existing topic is
// left as it is, unless [TopicOptions.Raise] asks for more.
//
// Where Kafka refuses something of one topic the others are applied all the
// same, and the error names each that is not as it has to be: one wraps
// [ErrPartitions] for a table in pieces, which nothing mends but a new topic.
func ApplyTopics(ctx context.Context, cl *kgo.Client, specs []schemas.TopicSpec, o TopicOptions) (map[string]AppliedTopic, error) {
	adm := kadm.NewClient(cl)
	all := make(map[string]AppliedTopic, len(specs))
	var errs []error
	for _, spec := range specs {
		done, err := applyTopic(ctx, cl, adm, spec, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("topic %s: %w", spec.Name, err))
			var code *kerr.Error
			if !errors.As(err, &code) && !errors.Is(err, ErrPartitions) && !errors.Is(err, ErrFewer) {
				break // nobody answers, and nobody will for the next one
			}
			continue
		}
		all[spec.Name] = done
	}
	return all, errors.Join(errs...)
}

func applyTopic(ctx context.Context, cl *kgo.Client, adm *kadm.Client, spec schemas.TopicSpec, o TopicOptions) (done AppliedTopic, err error) {
	partitions := spec.Partitions
	// A spec of one partition means one: of a table for its one order of all
	// changes, of the dead letters since nothing reads them side by side.
	if several := max(o.Partitions, o.Raise); several > 0 && spec.Partitions > 1 {
		partitions = several
	}
	if partitions <= 0 {
		partitions = -1 // the cluster's default
	}
	replication := o.Replication
	if replication <= 0 {
		replication = -1
	}
	configs := topicConfigs(spec, o, int(o.Replication))
	created, err := adm.CreateTopic(ctx, partitions, replication, configs, spec.Name)
	if err == nil {
		err = created.Err
	}
	replicas := int(created.ReplicationFactor)
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists):
		if done.Partitions, replicas, err = shapeOf(ctx, adm, spec.Name); err != nil {
			return done, err
		}
	case err != nil:
		return done, err
	default:
		done.Created, done.Partitions = true, int(created.NumPartitions)
		if o.Replication > 0 {
			return done, nil
		}
	}
	// How many replicas there are is known only now: the cluster chose the
	// number, or whoever created the topic did.
	configs = topicConfigs(spec, o, replicas)
	if !done.Created {
		done.Mended = unlike(ctx, adm, spec.Name, configs)
	}
	if err := setConfigs(ctx, adm, spec.Name, configs); err != nil {
		return done, err
	}
	switch {
	case spec.Compact && done.Partitions != 1:
		return done, fmt.Errorf("%w: it has %d; stop the stages, and make it anew from a copy of its records", ErrPartitions, done.Partitions)
	case spec.Compact:
		return done, loses(ctx, cl, spec.Name)
	case spec.Partitions > 1 && o.Raise > 0:
		done.Partitions, err = raise(ctx, adm, spec.Name, done.Partitions, int(o.Raise))
	}
	return done, err
}

// raise adds the partitions that are missing to n. Nothing rests on a tenant
// staying in the partition that it had: judgement and fold do not depend on the
// order of events.
func raise(ctx context.Context, adm *kadm.Client, topic string, has, n int) (int, error) {
	switch {
	case has > n:
		return has, fmt.Errorf("%w: it has %d, asked for %d", ErrFewer, has, n)
	case has == n:
		return has, nil
	}
	updated, err := adm.UpdatePartitions(ctx, n, topic)
	if err == nil {
		err = updated.Error()
	}
	if err != nil {
		return has, err
	}
	return n, nil
}

// loses is the error of a table that would lose records although it was just
// told not to.
func loses(ctx context.Context, cl *kgo.Client, topic string) error {
	faults, err := policyFaults(ctx, cl, []string{topic})
	if err != nil || len(faults) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", kerr.PolicyViolation, faults[0].words)
}

// unlike lists the settings that a topic has otherwise than they are to be.
// Where Kafka does not tell, none: they are set in any case.
func unlike(ctx context.Context, adm *kadm.Client, topic string, want map[string]*string) (all []string) {
	described, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil
	}
	for _, r := range described {
		for _, c := range r.Configs {
			if value, ok := want[c.Key]; ok && c.Value != nil && *c.Value != *value {
				all = append(all, c.Key+"="+*c.Value)
			}
		}
	}
	return all
}

func setConfigs(ctx context.Context, adm *kadm.Client, topic string, configs map[string]*string) error {
	alter := make([]kadm.AlterConfig, 0, len(configs))
	for name, value := range configs {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: value})
	}
	altered, err := adm.AlterTopicConfigs(ctx, alter, topic)
	if err != nil {
		return err
	}
	for _, r := range altered {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

func shapeOf(ctx context.Context, adm *kadm.Client, topic string) (partitions, replicas int, err error) {
	details, err := adm.ListTopics(ctx, topic)
	if err == nil {
		err = details.Error()
	}
	return len(details[topic].Partitions), details[topic].Partitions.NumReplicas(), err
}

func topicConfigs(spec schemas.TopicSpec, o TopicOptions, replicas int) map[string]*string {
	c := make(map[string]*string)
	set := func(name, value string) { c[name] = &value }
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	switch {
	case spec.Compact && !o.NoCompaction:
		set("cleanup.policy", "compact")
		set("min.compaction.lag.ms", ms(minCompactionLag))
		set("max.compaction.lag.ms", ms(maxCompactionLag))
		set("delete.retention.ms", ms(deleteRetention))
		set("segment.ms", ms(segmentAge))
	case spec.Compact:
		// Spelt out, both: a broker-wide bound would eat the tables.
		set("cleanup.policy", "delete")
		set("retention.ms", "-1")
		set("retention.bytes", "-1")
	default:
		set("cleanup.policy", "delete")
		set("retention.ms", ms(spec.Retention))
		if o.MaxBytes > 0 {
			set("retention.bytes", strconv.FormatInt(o.MaxBytes, 10))
		}
	}
	// With acks=all and one in-sync replica, "acknowledged" means one disk. By
	// the replicas that the topic has and not by those that were asked for: two
	// in sync, of a topic that was created with one, is a topic that takes
	// nothing any more.
	if replicas >= 3 {
		set("min.insync.replicas", "2")
	}
	return c
}

// EndOffsets reads, now, the offset after the last record of every partition
// of topic. A record acknowledged before the call has a smaller offset; that
// holds for partitions added a moment ago too, since the list of partitions is
// asked anew. Fails at once where the topic does not exist, and with ctx where a
// partition has no leader for so long. It costs two requests.
func EndOffsets(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	return listOffsets(ctx, cl, topic, kadm.NewClient(cl).ListEndOffsets)
}

// StartOffsets reads, now, the offset of the first record that every partition
// of topic still has; the end offset where it has none. It fails and costs as
// [EndOffsets] does.
func StartOffsets(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	return listOffsets(ctx, cl, topic, kadm.NewClient(cl).ListStartOffsets)
}

type lister func(context.Context, ...string) (kadm.ListedOffsets, error)

// listOffsets asks until ctx ends as long as the answer is "not now". A leader
// that moved after we looked it up answers so, and kadm does not ask again.
func listOffsets(ctx context.Context, cl *kgo.Client, topic string, list lister) (map[int32]int64, error) {
	for fails := 1; ; fails++ {
		offsets, err := listOffsetsOnce(ctx, cl, topic, list)
		if err == nil || !passes(err) {
			return offsets, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(backoff(fails)):
		}
	}
}

// passes says whether err is Kafka's and goes away by itself. A topic that does
// not exist is not waited for, although Kafka calls it retriable.
func passes(err error) bool {
	var code *kerr.Error
	return errors.As(err, &code) && code.Retriable && code != kerr.UnknownTopicOrPartition
}

func listOffsetsOnce(ctx context.Context, cl *kgo.Client, topic string, list lister) (map[int32]int64, error) {
	// kadm takes the partitions from the client's cache, which may be
	// MetadataMinAge old and not know the newest. The tiny limit replaces what
	// is cached, so that list finds it fresh.
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	if _, err := cl.RequestCachedMetadata(ctx, req, time.Nanosecond); err != nil {
		return nil, fmt.Errorf("partitions of topic %s: %w", topic, err)
	}
	listed, err := list(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of topic %s: %w", topic, err)
	}
	offsets := make(map[int32]int64, len(listed[topic]))
	for p, o := range listed[topic] {
		offsets[p] = o.Offset
	}
	if len(offsets) == 0 {
		return nil, fmt.Errorf("offsets of topic %s: %w", topic, kerr.UnknownTopicOrPartition)
	}
	return offsets, nil
}
