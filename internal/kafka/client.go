package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/fresh"
)

// The bounds of the clients. They are sized for a stage that stays below
// 150 MB and for an edge that answers within two seconds.
const (
	// maxBufferedRecords and maxBufferedBytes are what a producer holds while
	// Kafka is slow or gone. An event is about 500 bytes, and takes twice that in
	// memory: a full buffer is 60 MB, and covers three minutes of 300 deliveries
	// a second. It takes what one connection may have open at once, 32 deliveries
	// of 2,000 items. Beyond it Send fails at once, which the edge answers with
	// 503.
	maxBufferedRecords = 64_000
	maxBufferedBytes   = 32 << 20

	// recordLife is how long a record may wait for its acknowledgement. Nobody
	// waits for it any more then; what an outage of an hour has held up is as
	// likely to arrive by a repeat, which Halo's administrators send by hand.
	recordLife = time.Hour

	// fetchMaxBytes bounds one answer of one broker, compressed. Records of
	// ours compress to a quarter, so that a full answer is 20,000 records and
	// 8 MB in memory. With four times as much a processor of 100,000 mappings
	// took 230 MB on a backlog instead of 145 MB, and was no faster.
	fetchMaxBytes          = 2 << 20
	fetchMaxPartitionBytes = 512 << 10

	// sessionTimeout is the shortest that brokers allow by default
	// (group.min.session.timeout.ms). A killed consumer's partitions stand
	// still for this long: it is the largest part of "delivery to row" after
	// a crash. heartbeatInterval is a quarter, so that two lost heartbeats in
	// a row do not cost a rebalance.
	sessionTimeout    = 6 * time.Second
	heartbeatInterval = 1500 * time.Millisecond

	// rebalanceTimeout is how long a group waits for a member that holds a
	// batch. The default of a minute stalls all other members behind one that
	// was killed. A member that waits longer, for a database that is away, is
	// put out of the group: its commit then fails, and the new owner reads the
	// same batch again, which folds.
	rebalanceTimeout = 8 * time.Second
)

// NewProducer returns a client that produces with acks=all, idempotently and
// without linger. Use [Send] or [ProduceAll], which keep a caller's context away
// from records that share a request with others'. The caller closes the client,
// with [Finish] where records may be under way.
func NewProducer(cfg Config, log *slog.Logger, reg prometheus.Registerer, opts ...kgo.Opt) (*kgo.Client, error) {
	return newClient(cfg, "producer", log, reg, []kgo.Opt{
		// The default, spelt out since "only after the ack: 200" rests on it.
		// Idempotence is the default too and is nowhere switched off.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// A lone delivery waits for its ack. With the default of 10 ms it takes
		// 10.5 ms, with 0 it takes 0.04 to 0.2 ms; under load the records that
		// arrive while a request is in flight still share the next one.
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(maxBufferedRecords),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.RecordDeliveryTimeout(recordLife),
		// Half of the default: what a broker may wait for its replicas before
		// it answers "timed out" and we ask again. With the overhead below, a
		// broker that hangs is given up after ten seconds instead of twenty.
		kgo.ProduceRequestTimeout(5 * time.Second),
		// The same key goes to the same partition as from a Java client
		// (murmur2): tools that write by hand cannot split a tenant in two.
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}, opts)
}

// NewConsumer returns a member of group that reads topics. It commits nothing
// on its own and lets no partition go between a poll that returned records and
// AllowRebalance: call it once per poll, after the commit. Without committed
// offsets it begins with the oldest record. The caller closes the client, with
// [Leave].
func NewConsumer(cfg Config, group string, topics []string, log *slog.Logger, reg prometheus.Registerer, opts ...kgo.Opt) (*kgo.Client, error) {
	if group == "" || len(topics) == 0 {
		return nil, errors.New("a consumer needs a group and at least one topic")
	}
	ctx, end := context.WithCancel(context.Background())
	return newClient(cfg, group, log, reg, []kgo.Opt{
		kgo.WithContext(context.WithValue(ctx, endKey{}, end)),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topics...),
		// An automatic commit would cover records that are polled and not yet
		// settled: a crash right after it would lose them.
		kgo.DisableAutoCommit(),
		// Without it a rebalance may happen while a batch is being appended;
		// its commit could then rewind what the new owner committed.
		kgo.BlockRebalanceOnPoll(),
		// Eager: at a rebalance a member first lets go of all, with what it has
		// buffered, and then joins. The default is cooperative: a member that
		// was put out of the group for its slowness joins again with its old
		// partitions in hand, is given records that it had buffered, and
		// commits them as a member in good standing, behind the place to which
		// the new owner had come. The price is a pause of some milliseconds
		// for all members whenever one comes or goes.
		kgo.Balancers(kgo.StickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.RebalanceTimeout(rebalanceTimeout),
		// Both at the start, never the default of one minute back: when the
		// broker lost our place, reading again what is kept costs time and
		// folds, while skipping loses events that were answered 200.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxPartitionBytes),
		kgo.FetchMaxWait(fetchMaxWait),
	}, opts)
}

// leaveTimeout is how long a member that ends waits for the group to let it go:
// some milliseconds, unless the broker is away or hangs.
const leaveTimeout = time.Second

// endKey finds, in a consumer's context, the function that ends it.
type endKey struct{}

// Leave closes a consumer: it gives its partitions to the other members and
// leaves the group, where Kafka answers within a second. Where it does not, the
// others wait for the session to time out, which they would anyway: whatever is
// in flight is given up. Without that, a close asks a broker that hangs again
// and again, for half a minute, and whoever stops the process has called it
// stuck by then.
func Leave(member *kgo.Client) {
	if ctx, ok := member.OptValue(kgo.WithContext).(context.Context); ok {
		if end, ok := ctx.Value(endKey{}).(context.CancelFunc); ok {
			defer end()
			defer time.AfterFunc(leaveTimeout, end).Stop()
		}
	}
	member.CloseAllowingRebalance()
}

// fetchMaxWait is how long a broker holds a fetch that finds nothing; a new
// record ends the wait at once, so it costs no latency. One second instead of
// five, since a hanging broker is noticed only after this wait and the overhead.
const fetchMaxWait = time.Second

// NewReader returns a client that reads all partitions of topic from their
// first record, in no group. It is what a table follows. Control records are
// delivered too (kgo.Record.Attrs.IsControl): they take an offset, and a
// follower that never saw them would wait for ever for the last one. An offset
// that is out of range is returned as an error and never silently reset: the
// follower no longer holds what the topic says and must start over.
func NewReader(cfg Config, topic string, log *slog.Logger, reg prometheus.Registerer, opts ...kgo.Opt) (*kgo.Client, error) {
	if topic == "" {
		return nil, errors.New("a reader needs a topic")
	}
	return newClient(cfg, topic, log, reg, []kgo.Opt{
		kgo.ConsumeTopics(topic),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxPartitionBytes),
		kgo.FetchMaxWait(fetchMaxWait),
	}, opts)
}

// newClient adds what all clients share. role completes the client's name in
// metrics and logs, so that an operator can tell a stage's clients apart.
func newClient(cfg Config, role string, log *slog.Logger, reg prometheus.Registerer, own, last []kgo.Opt) (*kgo.Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	name := role
	if cfg.ClientID != "" {
		name = cfg.ClientID + "/" + role
	}
	m := newMetrics()
	opts := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID(cfg.ClientID),
		kgo.SoftwareNameAndVersion("halo-connector", "1"),
		kgo.WithLogger(&logger{log: log.With("client", name)}),
		kgo.WithHooks(m.hooks()...),
		// After "not the leader" nothing helps but new metadata. The default
		// of five seconds between two asks outlasts the two seconds in which
		// the edge must answer; with 250 ms an election is followed in time.
		kgo.MetadataMinAge(250 * time.Millisecond),
		// How long a new partition may go unread: producers find it within as
		// long, and what they put there waits for the consumers. Asking six times a
		// minute is free.
		kgo.MetadataMaxAge(10 * time.Second),
		kgo.RetryBackoffFn(backoff),
		// A host that swallows packets must not use up a request's deadline.
		kgo.DialTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(5 * time.Second),
		// Halo is quiet for minutes at a time. With the default of 30 s the
		// next delivery would pay for a new connection, TLS and SASL in its
		// ack; brokers close idle connections only after ten minutes.
		kgo.ConnIdleTimeout(5 * time.Minute),
		// We have metrics; brokers need not collect them from us.
		kgo.DisableClientMetrics(),
	}
	security, err := cfg.security(fresh.Options{Log: log, Registry: reg})
	if err != nil {
		return nil, fmt.Errorf("kafka client %s: %w", name, err)
	}
	opts = append(opts, security...)
	opts = append(opts, own...)
	opts = append(opts, last...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka client %s: %w", name, err)
	}
	if err := m.register(reg, name); err != nil {
		cl.Close()
		return nil, fmt.Errorf("kafka client %s: metrics: %w", name, err)
	}
	return cl, nil
}

// dialTimeout bounds connecting to a broker.
const dialTimeout = 3 * time.Second

// backoff waits 50 ms after the first failure and doubles up to a second, give
// or take a quarter. The default begins at 250 ms and ends at five seconds: a
// broker that restarts in one second would then be found after the edge's
// deadline. The spread keeps a fleet from asking a new broker all at once.
func backoff(fails int) time.Duration {
	const first, most = 50 * time.Millisecond, time.Second
	d := first << min(max(fails-1, 0), 5)
	d = min(d, most)
	return d*3/4 + rand.N(d/2)
}
