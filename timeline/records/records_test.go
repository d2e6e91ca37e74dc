//go:build synctests

package records_test

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline"
	"github.com/worksights/halo-connector/timeline/records"
)

var _ timeline.Records = (*records.Reader)(nil)

type world struct {
	*kafkatest.Cluster
	topics schemas.Topics
	reader *records.Reader
}

func newWorld(t testing.TB) world {
	t.Helper()
	c, topics := kafkatest.New(t), schemas.NewTopics("halo.")
	c.CreateTopics(t, topics, 12)
	r, err := records.New(c.Config, topics, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), c.Opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return world{c, topics, r}
}

// Produce writes records whose times are long ago, for which a stage's producer
// would not try any more.
func (w world) Produce(t testing.TB, all ...*kgo.Record) {
	t.Helper()
	if err := w.Client(t, kgo.RecordDeliveryTimeout(0)).ProduceSync(t.Context(), all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

var start = time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)

func record(topic, schema string, tenant schemas.Tenant, at time.Time, value []byte) *kgo.Record {
	return &kgo.Record{
		Topic: topic, Key: []byte(tenant), Value: value, Timestamp: at.Add(50 * time.Millisecond),
		Headers: []kgo.RecordHeader{{Key: schemas.HeaderSchema, Value: []byte(schema)}},
	}
}

func event(n int, tenant schemas.Tenant, at time.Time) schemas.Event {
	return schemas.Event{
		ID: schemas.ID{byte(n >> 8), byte(n), 1}, Tenant: tenant, Connection: schemas.ConnectionIDOf(tenant), Kind: schemas.StatusChanged, Ticket: uint64(n),
		EventTime: at, OccurredAt: at, ReceivedAt: at,
	}
}

func (w world) events(t *testing.T, all ...schemas.Event) {
	t.Helper()
	var out []*kgo.Record
	for _, e := range all {
		out = append(out, record(w.topics.Events, schemas.EventSchema, e.Tenant, e.ReceivedAt, e.AppendJSON(nil)))
	}
	w.Produce(t, out...)
}

func TestAnEventIsFoundAsItArrivedAndItsArrivalsAreCounted(t *testing.T) {
	w := newWorld(t)
	var all []schemas.Event
	for n := range 3000 {
		all = append(all, event(n, "acme", start.Add(time.Duration(n)*time.Second)), event(n, "other", start.Add(time.Duration(n)*time.Second)))
	}
	for i := range 3 { // sent again, later
		again := event(1200, "acme", start.Add(time.Hour+time.Duration(i)*time.Minute))
		all = append(all, again)
	}
	w.events(t, all...)
	want := event(1200, "acme", start.Add(1200*time.Second))
	first, n, err := w.reader.Arrivals(t.Context(), "acme", want.ID, want.ReceivedAt)
	if err != nil || n != 4 || first == nil || !first.ReceivedAt.Equal(want.ReceivedAt) || first.Tenant != "acme" {
		t.Errorf("%+v, %d times, %v", first, n, err)
	}
	// Kafka's retention took the first.
	first, n, err = w.reader.Arrivals(t.Context(), "acme", want.ID, start.Add(time.Hour+30*time.Second))
	if err != nil || n != 2 || first == nil {
		t.Errorf("from later on: %+v, %d times, %v", first, n, err)
	}
	for name, c := range map[string]struct {
		tenant schemas.Tenant
		id     schemas.ID
		from   time.Time
	}{
		"an event that is none":      {"acme", schemas.ID{9, 9, 9}, start},
		"an event that is not there": {"acme", event(5, "", start).ID, start.Add(2 * time.Hour)},
		"a tenant without records":   {"nobody", want.ID, start},
	} {
		if first, n, err := w.reader.Arrivals(t.Context(), c.tenant, c.id, c.from); err != nil || n != 0 || first != nil {
			t.Errorf("%s: %+v, %d times, %v", name, first, n, err)
		}
	}
}

func change(n int, at time.Time) schemas.Change {
	return schemas.Change{Tenant: "acme", At: at, By: "ann", Change: schemas.ChangeMap, Agent: schemas.AgentID(2 + n), User: "u", Result: "ok"}.Identify()
}

func TestChangesAreReadFromNewToOldPageByPage(t *testing.T) {
	w := newWorld(t)
	var want []schemas.Change
	var out []*kgo.Record
	for n := range 1500 {
		c := change(n, start.Add(time.Duration(n/3)*time.Minute)) // three at one instant
		want = append(want, c)
		out = append(out, record(w.topics.Changes, schemas.ChangeSchema, "acme", c.At, c.AppendJSON(nil)))
		other := c
		other.Tenant = "other"
		out = append(out, record(w.topics.Changes, schemas.ChangeSchema, "other", c.At, other.Identify().AppendJSON(nil)))
		if n%100 == 0 { // a write that was repeated
			out = append(out, record(w.topics.Changes, schemas.ChangeSchema, "acme", c.At, c.AppendJSON(nil)))
		}
		if n%200 == 0 { // what nobody can read
			out = append(out, record(w.topics.Changes, schemas.ChangeSchema, "acme", c.At, []byte("{")))
		}
	}
	w.Produce(t, out...)
	slices.SortFunc(want, func(a, b schemas.Change) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return slices.Compare(b.ID[:], a.ID[:])
	})
	for _, c := range []struct {
		name string
		q    control.Query
	}{
		{"all", control.Query{Limit: 130}},
		{"in one page", control.Query{Limit: 1000}},
		{"since", control.Query{Limit: 70, From: start.Add(7 * time.Hour)}},
		{"a stretch", control.Query{Limit: 70, From: start.Add(2 * time.Hour), To: start.Add(3 * time.Hour)}},
		{"later", control.Query{Limit: 70, From: start.Add(100 * time.Hour)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := slices.DeleteFunc(slices.Clone(want), func(x schemas.Change) bool {
				return x.At.Before(c.q.From) || !c.q.To.IsZero() && !x.At.Before(c.q.To)
			})
			var got []schemas.Change
			for q := c.q; ; {
				rows, err := w.reader.Changes(t.Context(), "acme", q)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, rows...)
				if len(rows) < q.Limit {
					break
				}
				last := rows[len(rows)-1]
				q.After = &control.Position{At: last.At, ID: last.ID}
			}
			if !slices.Equal(got, kept) {
				t.Errorf("%d changes, want %d", len(got), len(kept))
			}
		})
	}
}

func TestRefusedDeliveriesAreToldNewestFirst(t *testing.T) {
	w := newWorld(t)
	if got, err := w.reader.Deliveries(t.Context(), "acme", 10); err != nil || len(got) != 0 {
		t.Fatalf("none was refused: %v, %v", got, err)
	}
	connection := schemas.ConnectionIDOf("acme")
	for n := range 40 {
		d := schemas.Refused{Tenant: "acme", Connection: connection, At: start.Add(time.Duration(n) * time.Minute), Result: schemas.RefusedTooLarge, Bytes: int64(n)}
		w.Produce(t, record(w.topics.Deliveries, schemas.RefusedSchema, "acme", d.At, d.AppendJSON(nil)))
	}
	got, err := w.reader.Deliveries(t.Context(), "acme", 15)
	if err != nil || len(got) != 15 || got[0].Bytes != 39 || got[14].Bytes != 25 {
		t.Errorf("%d deliveries, %v: %v", len(got), err, got)
	}
	// What is written after an answer is in the next.
	d := schemas.Refused{Tenant: "acme", Connection: connection, At: start.Add(time.Hour), Result: schemas.RefusedMalformed}
	w.Produce(t, record(w.topics.Deliveries, schemas.RefusedSchema, "acme", d.At, d.AppendJSON(nil)))
	if got, err = w.reader.Deliveries(t.Context(), "acme", 1); err != nil || len(got) != 1 || got[0].Result != schemas.RefusedMalformed {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTheLastTestIsTold(t *testing.T) {
	w := newWorld(t)
	if at, err := w.reader.LastReached(t.Context(), "acme"); err != nil || !at.IsZero() {
		t.Fatalf("there was none: %v, %v", at, err)
	}
	for n := range 3 {
		for _, tenant := range []schemas.Tenant{"acme", "globex"} {
			d := schemas.Reached{Tenant: tenant, Connection: schemas.ConnectionIDOf(tenant), At: start.Add(time.Duration(n) * time.Hour)}
			if tenant == "globex" {
				d.At = d.At.Add(time.Minute)
			}
			w.Produce(t, record(w.topics.Reached, schemas.ReachedSchema, tenant, d.At, d.AppendJSON(nil)))
		}
	}
	if at, err := w.reader.LastReached(t.Context(), "acme"); err != nil || !at.Equal(start.Add(2*time.Hour)) {
		t.Errorf("%v, %v", at, err)
	}
}

// Records of before stay where they are when partitions are added.
func TestATenantsOlderRecordsAreFoundAfterPartitionsWereAdded(t *testing.T) {
	w := newWorld(t)
	moved := schemas.Tenant("")
	place := func(tenant schemas.Tenant, n int) int {
		return kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(tenant)}, n)
	}
	for i := 0; moved == ""; i++ {
		if tenant := schemas.Tenant(fmt.Sprintf("tenant-%d", i)); place(tenant, 12) != place(tenant, 48) && place(tenant, 24) != place(tenant, 48) {
			moved = tenant
		}
	}
	w.events(t, event(1, moved, start))
	if _, err := kadm.NewClient(w.Client(t)).UpdatePartitions(t.Context(), 48, w.topics.Events); err != nil {
		t.Fatal(err)
	}
	w.events(t, event(1, moved, start.Add(time.Hour)))
	first, n, err := w.reader.Arrivals(t.Context(), moved, event(1, moved, start).ID, start)
	if err != nil || n != 2 || first == nil || !first.ReceivedAt.Equal(start) {
		t.Errorf("%+v, %d times, %v", first, n, err)
	}
}
