//go:build synctests

package processor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

const partitions = 3

// world is Kafka with our topics, in virtual time, and what a test has sent.
type world struct {
	*kafkatest.Cluster
	t        *testing.T
	topics   schemas.Topics
	edge     *kgo.Client // writes as ingest and connect do: a record is there once it is acknowledged
	sent     []schemas.Event
	buried   int // records sent that are no events
	mappings map[string]schemas.Mapping
}

// inWorld runs test in a bubble with a world of its own.
func inWorld(t *testing.T, test func(t *testing.T, w *world), opts ...kfake.Opt) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			Cluster: kafkatest.NewVirtual(t, opts...), t: t,
			topics: schemas.NewTopics("halo."), mappings: map[string]schemas.Mapping{},
		}
		w.CreateTopics(t, w.topics, partitions)
		w.edge = w.Client(t)
		test(t, w)
	})
}

func (w *world) write(r *kgo.Record) {
	w.t.Helper()
	if err := w.edge.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// assign maps the agent to user from now on (no user: unmaps him), and returns
// once that is acknowledged and in force.
func (w *world) assign(tenant schemas.Tenant, agent schemas.AgentID, user schemas.UserID) {
	w.t.Helper()
	m := schemas.Mapping{Tenant: tenant, Agent: agent}
	if old, ok := w.mappings[m.Key()]; ok {
		m = old
	}
	if user == "" {
		m = m.Close(time.Now())
	} else {
		m = m.Assign(user, time.Now(), "")
	}
	w.mappings[m.Key()] = m
	w.write(kafka.Record(w.topics.Mappings, m.Key(), schemas.MappingSchema, m.AppendJSON(nil)))
	time.Sleep(time.Millisecond) // records have whole milliseconds
}

// send lets a new event of the agent arrive now, and returns it once it is
// acknowledged.
func (w *world) send(tenant schemas.Tenant, agent schemas.AgentID) schemas.Event {
	w.t.Helper()
	var id schemas.ID
	binary.BigEndian.PutUint64(id[:], uint64(len(w.sent)+1))
	return w.sendAs(id, tenant, agent)
}

// sendAs is send under a given id: the id of an earlier event makes a repeat.
func (w *world) sendAs(id schemas.ID, tenant schemas.Tenant, agent schemas.AgentID) schemas.Event {
	w.t.Helper()
	now := schemas.Truncate(time.Now())
	e := schemas.Event{
		ID: id, Tenant: tenant, Connection: schemas.ConnectionIDOf(tenant),
		Kind: schemas.Kinds()[len(w.sent)%4], Ticket: 1000 + uint64(len(w.sent)), Assignee: agent, Status: 9,
		EventTime: noon, OccurredAt: now, ReceivedAt: now,
	}
	w.sent = append(w.sent, e)
	w.write(kafka.Record(w.topics.Events, string(tenant), schemas.EventSchema, e.AppendJSON(nil)))
	time.Sleep(time.Millisecond)
	return e
}

// sendJunk sends a record that is no event.
func (w *world) sendJunk(tenant schemas.Tenant) {
	w.t.Helper()
	w.buried++
	w.write(kafka.Record(w.topics.Events, string(tenant), schemas.EventSchema, []byte("junk")))
}

// committed waits, for ten minutes at most, until group has committed all that
// is in the events topic.
func (w *world) committed(group string) {
	w.t.Helper()
	adm := kadm.NewClient(w.edge)
	for range 1200 {
		if lag(w.t, adm, group, w.topics.Events) == 0 {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	w.t.Fatalf("%s does not come to the end of the events: %v", group, lag(w.t, adm, group, w.topics.Events))
}

// lag is how many records of topic the group has not committed.
func lag(t testing.TB, adm *kadm.Client, group, topic string) (n int64) {
	t.Helper()
	ends, err := adm.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	at, err := adm.FetchOffsets(t.Context(), group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		o, _ := at.Lookup(topic, end.Partition)
		n += end.Offset - max(0, o.At)
	})
	return n
}

// stage is a processor as cmd assembles it, on a wire that can be cut.
type stage struct {
	*wire
	consumer, producer *kgo.Client
	reg                *prometheus.Registry
	ready              func() error
	log                journal
	cancel             context.CancelFunc
	ended              chan struct{} // closed when Run returned
	err                error         // Run's, once ended
}

// setting is in what a stage differs from the usual.
type setting struct {
	group    string        // "": processor
	prefix   string        // of the outputs; "": halo.
	tableLag time.Duration // by how much the table is behind
	caughtUp func()        // called when the table has caught up, before the batch is judged
	wire     *wire
	grace    time.Duration
}

// watched calls caughtUp after each barrier.
type watched struct {
	processor.Mappings
	caughtUp func()
}

func (m watched) CatchUp(ctx context.Context) error {
	err := m.Mappings.CatchUp(ctx)
	if err == nil && m.caughtUp != nil {
		m.caughtUp()
	}
	return err
}

// start runs a processor until it is stopped or killed, or the test ends.
func (w *world) start(s setting) *stage {
	w.t.Helper()
	if s.group == "" {
		s.group = "processor"
	}
	output := w.topics
	if s.prefix != "" {
		output = schemas.NewTopics(s.prefix)
	}
	if s.wire == nil {
		s.wire = newWire(w.t, w.Cluster)
	}
	st := &stage{wire: s.wire, reg: prometheus.NewRegistry(), ended: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(testLog{w.t}, &st.log), nil))
	must := func(cl *kgo.Client, err error) *kgo.Client {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
		return cl
	}
	st.producer = must(kafka.NewProducer(w.Config, log, st.reg, s.wire.dialer(0)))
	member := kafka.NewMember()
	st.consumer = must(kafka.NewConsumer(w.Config, s.group, []string{w.topics.Events}, log, st.reg, append(member.Opts(), s.wire.dialer(0))...))
	reader := must(kafka.NewReader(w.Config, w.topics.Mappings, log, st.reg, s.wire.dialer(s.tableLag)))
	mappings := table.New(reader, w.topics.Mappings, processor.ParseHistory, log, st.reg)
	eraser := must(kafka.NewReader(w.Config, w.topics.Erasures, log, nil, s.wire.dialer(0)))
	erasures := table.New(eraser, w.topics.Erasures, kafka.ParseErasure, log, nil)
	p, err := processor.New(processor.Config{
		Input: w.topics.Events, Output: output, Weights: processor.DefaultWeights(), Grace: s.grace,
	}, processor.Clients{Consumer: st.consumer, Member: member, Producer: st.producer}, watched{mappings, s.caughtUp}, erasures, log, st.reg)
	if err != nil {
		w.t.Fatal(err)
	}
	st.ready = p.Ready
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	st.cancel = cancel
	tctx, stopTable := context.WithCancel(context.WithoutCancel(ctx))
	var tables sync.WaitGroup
	tables.Go(func() { _ = mappings.Run(tctx) })
	tables.Go(func() { _ = erasures.Run(tctx) })
	go func() {
		st.err = p.Run(ctx)
		stopTable() // the tables outlive the processor, as in cmd
		tables.Wait()
		st.producer.Close()
		close(st.ended)
	}()
	w.t.Cleanup(func() { _ = st.stop() })
	return st
}

// stop shuts the stage down and returns what Run returned.
func (s *stage) stop() error {
	s.cancel()
	<-s.ended
	return s.err
}

// kill ends the stage without a word to Kafka, whatever it is doing.
func (s *stage) kill() {
	s.Cut()
	_ = s.stop()
}

// journal keeps what the stage says.
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

// testLog shows what the stage says when the test fails.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}
