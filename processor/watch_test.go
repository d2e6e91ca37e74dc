package processor

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
	"github.com/worksights/halo-connector/schemas"
)

// breaks is how often the batch breaks the promise.
func breaks(b *batch, p metric.Promise) (n int) {
	for _, f := range b.breaches {
		if f.promise == p {
			n++
		}
	}
	return n
}

func TestAnEventThatHoldsMoreThanIdsAndTimesIsABreach(t *testing.T) {
	b := newBatch(schemas.NewTopics("halo."), acme(), DefaultWeights())
	b.judge([]*kgo.Record{arrived(event(1)), arrived(event(2))})
	if len(b.breaches) != 0 {
		t.Fatalf("breaches of events as the edge writes them: %v", b.breaches)
	}
	extra := arrived(event(3))
	extra.Value = bytes.Replace(extra.Value, []byte(`{`), []byte(`{"summary":"a sentence",`), 1)
	b.judge([]*kgo.Record{extra})
	if breaks(b, metric.ContentFree) != 1 || b.activities != 1 {
		t.Errorf("breaches %v and %d activities; want one breach, and the event on its way", b.breaches, b.activities)
	}
	kind := arrived(event(4))
	kind.Value = bytes.Replace(kind.Value, []byte(`"ticket_logged"`), []byte(`"a sentence"`), 1)
	b.judge([]*kgo.Record{kind})
	if breaks(b, metric.ContentFree) != 1 {
		t.Errorf("a sentence in the place of the kind: breaches %v", b.breaches)
	}
}

func TestAKeyOfAnotherTenantIsABreach(t *testing.T) {
	b := newBatch(schemas.NewTopics("halo."), acme(), DefaultWeights())
	r := arrived(event(1))
	r.Key = []byte("globex")
	b.judge([]*kgo.Record{r})
	if breaks(b, metric.Apart) != 1 || string(b.records[0].Key) != "acme" {
		t.Errorf("breaches %v, key %s", b.breaches, b.records[0].Key)
	}
}

// An event at 12:00:01 was credited to ada. What the table says of that instant
// later must not differ.
func TestAMappingThatReachesBackBehindAJudgementIsABreach(t *testing.T) {
	for name, c := range map[string]struct {
		later schemas.Mapping
		want  int
	}{
		"mapped to another from now on": {acme()["acme/5"].Assign("bob", noon.Add(90*time.Second), ""), 0},
		"unmapped from now on":          {acme()["acme/5"].Close(noon.Add(90 * time.Second)), 0},
		"another user since noon":       {schemas.Mapping{Tenant: "acme", Agent: 5}.Assign("bob", noon, ""), 1},
		"unmapped since before":         {acme()["acme/5"].Close(noon.Add(time.Second)), 1},
	} {
		t.Run(name, func(t *testing.T) {
			mappings := acme()
			b := newBatch(schemas.NewTopics("halo."), mappings, DefaultWeights())
			b.judge([]*kgo.Record{arrived(event(1))})
			mappings["acme/5"] = c.later
			b.judge([]*kgo.Record{arrived(event(100))})
			b.judge([]*kgo.Record{arrived(event(101))})
			if got := breaks(b, metric.AsOfArrival); got != c.want {
				t.Errorf("%d breaches, want %d", got, c.want)
			}
		})
	}
	t.Run("mapped when it had been judged unmapped", func(t *testing.T) {
		mappings := fixed{}
		b := newBatch(schemas.NewTopics("halo."), mappings, DefaultWeights())
		b.judge([]*kgo.Record{arrived(event(1))})
		mappings["acme/5"] = acme()["acme/5"] // since noon, acknowledged after 12:00:01
		b.judge([]*kgo.Record{arrived(event(100))})
		if breaks(b, metric.AsOfArrival) != 1 {
			t.Errorf("breaches %v", b.breaches)
		}
	})
}

func TestABreachIsCountedOnceAlthoughTheBatchIsTriedAgain(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(reg, acme(), "halo.events")
	mappings := fixed{}
	b := newBatch(schemas.NewTopics("halo."), mappings, DefaultWeights())
	b.judge([]*kgo.Record{arrived(event(1))})
	m.settled(b, noon, silent())
	mappings["acme/5"] = acme()["acme/5"] // reaches back
	r, more, junk := arrived(event(2)), arrived(event(3)), arrived(event(4))
	r.Key, more.Value, junk.Value = []byte("globex"), append(more.Value, ' '), []byte("{")
	for range 3 {
		b.judge([]*kgo.Record{r, more, junk})
	}
	m.settled(b, noon, silent())
	b.judge([]*kgo.Record{arrived(event(5))})
	m.settled(b, noon, silent())
	for promise, want := range map[metric.Promise]float64{metric.Apart: 1, metric.ContentFree: 2, metric.AsOfArrival: 1} {
		if got := metrictest.Value(t, m.breaches[promise]); got != want {
			t.Errorf("%v breaches of %s after three tries, want %v", got, promise, want)
		}
	}
}

// silent is a witness that nobody listens to.
func silent() *metric.Witness { return metric.NewWitness(slog.New(slog.DiscardHandler)) }

func TestTheLogSaysWhereAPromiseIsBrokenAndNothingOfTheRecord(t *testing.T) {
	const words = "geheime-worte"
	mappings := fixed{}
	b := newBatch(schemas.NewTopics("halo."), mappings, DefaultWeights())
	m := newMetrics(prometheus.NewRegistry(), mappings, "halo.events")
	b.judge([]*kgo.Record{arrived(event(1))})
	m.settled(b, noon, silent())
	mappings["acme/5"] = acme()["acme/5"] // reaches back
	more, junk, foreign, stranger := arrived(event(2)), arrived(event(3)), arrived(event(4)), arrived(event(5))
	more.Value = bytes.Replace(more.Value, []byte(`{`), []byte(`{"`+words+`":"`+words+`",`), 1)
	junk.Value, junk.Key = []byte(`{"`+words), []byte(words+" of a junk record")
	foreign.Key, stranger.Key = []byte("globex"), []byte(words+" of a customer")
	records := []*kgo.Record{more, junk, foreign, stranger}
	for i, r := range records {
		r.Topic, r.Partition, r.Offset = "halo.events", 7, int64(100+i)
	}
	var out bytes.Buffer
	b.judge(records)
	m.settled(b, noon, metric.NewWitness(slog.New(slog.NewTextHandler(&out, nil))))
	for _, want := range []string{
		"promise=content_free topic=halo.events partition=7 offset=100 unsaid=0 tenant=acme\n",
		"promise=content_free topic=halo.events partition=7 offset=101 unsaid=0\n",
		"promise=apart topic=halo.events partition=7 offset=102 unsaid=0 tenant=acme key=globex\n",
		"promise=apart topic=halo.events partition=7 offset=103 unsaid=0 tenant=acme key=\"(no tenant)\"\n",
		"promise=as_of_arrival topic=halo.events partition=7 offset=100 unsaid=0 tenant=acme\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	if strings.Contains(out.String(), words) || t.Failed() {
		t.Errorf("logged:\n%s", out.String())
	}
}

// The books of a stage balance because in and out are counted apart: a batch
// that lost an event on the way shows it.
func TestTheBooksShowAnEventThatWasDropped(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(reg, acme(), "halo.events")
	b := newBatch(schemas.NewTopics("halo."), acme(), DefaultWeights())
	unmapped, junk := event(2), arrived(event(3))
	unmapped.Assignee, junk.Value = 6, []byte(`{`)
	batch := []*kgo.Record{arrived(event(1)), arrived(unmapped), junk}
	missing := func() float64 {
		return metrictest.Value(t, m.balance.In) - metrictest.Value(t, m.balance.Out) -
			metrictest.Value(t, m.balance.Skipped) - metrictest.Value(t, m.balance.Dead)
	}
	b.judge(batch)
	m.settled(b, noon, silent())
	m.done(batch)
	if missing() != 0 || metrictest.Value(t, m.balance.In) != 3 {
		t.Fatalf("%v of %v missing", missing(), metrictest.Value(t, m.balance.In))
	}
	b.judge(batch[:2])
	m.settled(b, noon, silent())
	m.done(batch)
	if missing() != 1 {
		t.Errorf("%v missing where one was dropped", missing())
	}
}

func TestTheLagInSecondsIsThatOfTheOldestEventInHand(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(reg, acme(), "halo.events")
	seconds := func() float64 { return metrictest.Value(t, m.waiting) }
	if seconds() != 0 {
		t.Fatalf("%v s before the first event", seconds())
	}
	young, old := arrived(event(1)), arrived(event(2))
	young.Timestamp, old.Timestamp = time.Now(), time.Now().Add(-time.Hour)
	batch := []*kgo.Record{young, old}
	m.took(batch, 0)
	if s := seconds(); s < 3600 || s > 3660 {
		t.Errorf("%v s with an event of an hour ago in hand", s)
	}
	m.done(batch)
	if seconds() != 0 {
		t.Errorf("%v s with nothing in hand", seconds())
	}
}
