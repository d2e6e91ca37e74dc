//go:build synctests

package sink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

const partitions = 4

// world is a cluster with our topics, a store, and what ought to be in it. In
// every world each commit is held to the one rule: what it covers is kept.
type world struct {
	*kafkatest.Cluster
	t      *testing.T
	topics schemas.Topics
	memory *storetest.Memory
	dial   func(context.Context, string, string) (net.Conn, error)

	mu       sync.Mutex
	want     []sink.Outcome
	produced map[place]schemas.ID // the zero ID for what is to become a dead letter
	places   map[schemas.ID]place
	commits  int
}

type place struct {
	topic     string
	partition int32
	offset    int64
}

// bubble runs test in virtual time.
func bubble(t *testing.T, test func(*testing.T, *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			Cluster: kafkatest.NewVirtual(t), t: t, topics: schemas.NewTopics("halo."), memory: new(storetest.Memory),
			produced: make(map[place]schemas.ID), places: make(map[schemas.ID]place),
		}
		w.CreateTopics(t, w.topics, partitions)
		w.dial = w.Client(t).OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error))
		w.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.judge(req.(*kmsg.OffsetCommitRequest))
			return nil, nil, false
		})
		test(t, w)
	})
}

// judge fails the test if a commit covers a row that is not kept.
func (w *world) judge(req *kmsg.OffsetCommitRequest) {
	rows, _ := w.memory.Folded(context.Background())
	kept := map[schemas.ID]bool{{}: true} // of dead letters, see the tests of quarantine
	for _, o := range rows {
		kept[o.ID] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits++
	for _, topic := range req.Topics {
		for _, p := range topic.Partitions {
			for at, id := range w.produced {
				if at.topic == topic.Topic && at.partition == p.Partition && at.offset < p.Offset && !kept[id] {
					w.t.Errorf("offset %d of %s/%d is committed, and what is at %d is not kept", p.Offset, topic.Topic, p.Partition, at.offset)
					return
				}
			}
		}
	}
}

// activity and skip spread over all partitions.
func activity(n int) schemas.Activity {
	a := storetest.Activity(n)
	a.Tenant = schemas.Tenant(fmt.Sprint("tenant-", n%29))
	return a
}

func skip(n int) schemas.Skip {
	s := storetest.Skip(n)
	s.Tenant = activity(n).Tenant
	return s
}

// produce writes the events from..to, every fifth as a skip.
func (w *world) produce(from, to int) {
	w.t.Helper()
	var records []*kgo.Record
	var outcomes []sink.Outcome
	for n := from; n < to; n++ {
		if n%5 == 4 {
			s := skip(n)
			records = append(records, kafka.Record(w.topics.Skipped, string(s.Tenant), schemas.SkipSchema, s.AppendJSON(nil)))
			outcomes = append(outcomes, sink.OfSkip(s))
			continue
		}
		a := activity(n)
		records = append(records, kafka.Record(w.topics.Activities, string(a.Tenant), schemas.ActivitySchema, a.AppendJSON(nil)))
		outcomes = append(outcomes, sink.OfActivity(a))
	}
	w.write(records, outcomes)
}

// write produces records; those without outcome are to become dead letters.
func (w *world) write(records []*kgo.Record, outcomes []sink.Outcome) {
	w.t.Helper()
	// The rule knows the places only after the ack, and the sink may be faster:
	// it is never wrong for that, since it looks at what is known.
	w.Produce(w.t, records...)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range records {
		at := place{r.Topic, r.Partition, r.Offset}
		w.produced[at] = schemas.ID{}
		if i < len(outcomes) {
			w.produced[at] = outcomes[i].ID
			w.places[outcomes[i].ID] = at
			w.want = append(w.want, outcomes[i])
		}
	}
}

// settled fails unless every event is kept once and every offset committed.
func (w *world) settled() {
	w.t.Helper()
	synctest.Wait()
	got, err := w.memory.Folded(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	storetest.Same(w.t, got, w.want)
	for _, topic := range []string{w.topics.Activities, w.topics.Skipped} {
		for p := range int32(partitions) {
			if at, end := w.committed(topic, p), w.PartitionInfo(topic, p).HighWatermark; at != end {
				w.t.Errorf("%s/%d is committed up to %d of %d", topic, p, at, end)
			}
		}
	}
	if w.commits == 0 && len(w.want) > 0 {
		w.t.Error("no commit was seen: this proves nothing")
	}
}

// forget empties the store and the group's offsets: what follows is a replay.
func (w *world) forget() {
	w.t.Helper()
	w.memory = new(storetest.Memory)
	if _, err := kadm.NewClient(w.Client(w.t)).DeleteGroups(w.t.Context(), group); err != nil {
		w.t.Fatal(err)
	}
}

// hideErasures makes Kafka unable to say how far the erasures go.
func (w *world) hideErasures() *kfake.FaultHandle {
	return w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: w.topics.Erasures, Err: kerr.LeaderNotAvailable, Count: -1})
}

func (w *world) committed(topic string, p int32) int64 {
	if g := w.GroupInfo(group); g != nil {
		return g.Commits[topic][p].Offset
	}
	return 0
}

// uncommitted is how many records no commit covers.
func (w *world) uncommitted() (n int64) {
	for _, topic := range []string{w.topics.Activities, w.topics.Skipped} {
		for p := range int32(partitions) {
			n += w.PartitionInfo(topic, p).HighWatermark - w.committed(topic, p)
		}
	}
	return n
}

// journal is what a sink logs.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// process is a sink that can be killed.
type process struct {
	*sink.Sink
	Registry *prometheus.Registry
	log      journal
	cancel   context.CancelFunc
	ended    chan struct{} // closed when Run has ended
	gone     chan struct{} // closed when its clients have
	err      error

	mu    sync.Mutex
	dead  bool
	conns []net.Conn
	mute  bool // Kafka hangs
}

// step is what a store does with one Append; keep puts rows into the world's
// memory, unless the process is dead by then.
type step func(ctx context.Context, p *process, rows []sink.Outcome, keep func([]sink.Outcome)) error

// kept is the step of a store that is well.
func kept(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
	keep(rows)
	return nil
}

type storeFunc func(context.Context, []sink.Outcome) error

func (f storeFunc) Append(ctx context.Context, rows *sink.Rows) error {
	outcomes := make([]sink.Outcome, rows.Len())
	for i := range outcomes {
		outcomes[i] = rows.At(i)
	}
	return f(ctx, outcomes)
}

// retentionMonths are for how long every store of these tests keeps rows.
const retentionMonths = 25

func (f storeFunc) Retention(context.Context) (int, error) { return retentionMonths, nil }

// group and batchWait are those of a sink that nobody told otherwise.
const (
	group     = "halo.sink"
	batchWait = 500 * time.Millisecond
)

// setting is what a test may change of a sink.
type setting struct {
	sink.Config
	Kafka kafka.Config
}

var errKilled = errors.New("the process was killed")

// start runs a sink until the test ends, or it is stopped or killed.
func (w *world) start(do step, change ...func(*setting)) *process {
	w.t.Helper()
	p := &process{Registry: prometheus.NewRegistry(), ended: make(chan struct{}), gone: make(chan struct{})}
	store := storeFunc(func(ctx context.Context, rows []sink.Outcome) error {
		if p.killed() {
			return errKilled
		}
		return do(ctx, p, rows, func(rows []sink.Outcome) {
			if !p.killed() {
				_ = w.memory.Append(context.Background(), storetest.Rows(rows...))
			}
		})
	})
	cfg := setting{sink.Config{Topics: w.topics, BatchRows: 50_000, BatchWait: batchWait}, w.Config}
	for _, c := range change {
		c(&cfg)
	}
	log, opts := slog.New(slog.NewTextHandler(&p.log, nil)), append(slices.Clone(w.Opts), kgo.Dialer(p.dialer(w.dial)))
	must := func(cl *kgo.Client, err error) *kgo.Client {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
		return cl
	}
	member := kafka.NewMember()
	clients := sink.Clients{
		Consumer: must(kafka.NewConsumer(cfg.Kafka, group, []string{w.topics.Activities, w.topics.Skipped}, log, p.Registry, slices.Concat(member.Opts(), opts)...)),
		Member:   member,
		Producer: must(kafka.NewProducer(cfg.Kafka, log, p.Registry, opts...)),
	}
	erasures := table.New(must(kafka.NewReader(cfg.Kafka, w.topics.Erasures, log, p.Registry, opts...)), w.topics.Erasures, kafka.ParseErasure, log, p.Registry)
	p.Sink = sink.New(cfg.Config, clients, erasures, store, log, p.Registry)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	tctx, stopTable := context.WithCancel(context.Background())
	var table sync.WaitGroup
	table.Go(func() { _ = erasures.Run(tctx) })
	go func() {
		defer close(p.gone)
		p.err = p.Run(ctx)
		close(p.ended)
		stopTable() // the table outlives the sink, as in cmd, where each has its own time to end
		table.Wait()
		clients.Producer.Close()
	}()
	w.t.Cleanup(func() {
		if err := p.stop(); err != nil {
			w.t.Errorf("Run = %v", err)
		}
		<-p.gone
	})
	return p
}

// dialer connects as long as the process lives.
func (p *process) dialer(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if p.killed() {
			return nil, errKilled
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.dead {
			_ = conn.Close()
			return nil, errKilled
		}
		p.conns = append(p.conns, conn)
		return ear{conn, p}, nil
	}
}

// ear is a connection to a broker that may come to hang: it takes what is sent
// and never answers.
type ear struct {
	net.Conn
	p *process
}

func (e ear) Write(b []byte) (int, error) {
	e.p.mu.Lock()
	mute := e.p.mute
	e.p.mu.Unlock()
	if mute {
		return len(b), nil
	}
	return e.Conn.Write(b)
}

// hang lets Kafka hang for this process from now on.
func (p *process) hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
}

// kill is kill -9 as the others see it: from now on no byte leaves the process
// and no row is kept. It may be called from a step.
func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	p.cancel()
}

func (p *process) killed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// stop is a shutdown, and waits for its end.
func (p *process) stop() error {
	p.cancel()
	<-p.ended
	return p.err
}

// after is how long a healthy group needs to notice, rebalance and settle.
const after = time.Minute
