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
func breaks(b testJudge, p metric.Promise) (n int) {
	for _, f := range b.breaches {
		if f.promise == p {
			n++
		}
	}
	return n
}

func TestAnEventThatHoldsMoreThanIdsAndTimesIsABreach(t *testing.T) {
	b := newTestJudge(schemas.NewTopics("halo."), acme())
	b.decide([]*kgo.Record{arrived(event(1)), arrived(event(2))})
	if len(b.breaches) != 0 {
		t.Fatalf("breaches of events as the edge writes them: %v", b.breaches)
	}
	extra := arrived(event(3))
	extra.Value = bytes.Replace(extra.Value, []byte(`{`), []byte(`{"summary":"a sentence",`), 1)
	b.decide([]*kgo.Record{extra})
	if breaks(b, metric.ContentFree) != 1 || b.activities != 1 {
		t.Errorf("breaches %v and %d activities; want one breach, and the event on its way", b.breaches, b.activities)
	}
	newer := arrived(event(5))
	newer.Value = bytes.Replace(newer.Value, []byte(`{`), []byte(`{"priority":3,`), 1)
	b.decide([]*kgo.Record{newer})
	if len(b.breaches) != 0 || b.activities != 1 {
		t.Errorf("a newer edge's member: breaches %v and %d activities; want none, and the event on its way", b.breaches, b.activities)
	}
	kind := arrived(event(4))
	kind.Value = bytes.Replace(kind.Value, []byte(`"ticket_logged"`), []byte(`"a sentence"`), 1)
	b.decide([]*kgo.Record{kind})
	if breaks(b, metric.ContentFree) != 1 {
		t.Errorf("a sentence in the place of the kind: breaches %v", b.breaches)
	}
}

func TestAKeyOfAnotherTenantIsABreach(t *testing.T) {
	b := newTestJudge(schemas.NewTopics("halo."), acme())
	r := arrived(event(1))
	r.Key = []byte("globex")
	b.decide([]*kgo.Record{r})
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
			b := newTestJudge(schemas.NewTopics("halo."), mappings)
			b.decide([]*kgo.Record{arrived(event(1))})
			mappings["acme/5"] = c.later
			got := 0
			for n := range byte(3) {
				b.decide([]*kgo.Record{arrived(event(100 + n))})
				got += breaks(b, metric.AsOfArrival)
			}
			if got != c.want {
				t.Errorf("%d breaches, want %d", got, c.want)
			}
		})
	}
	t.Run("mapped when it had been judged unmapped", func(t *testing.T) {
		mappings := fixed{}
		b := newTestJudge(schemas.NewTopics("halo."), mappings)
		b.decide([]*kgo.Record{arrived(event(1))})
		mappings["acme/5"] = acme()["acme/5"] // since noon, acknowledged after 12:00:01
		b.decide([]*kgo.Record{arrived(event(100))})
		if breaks(b, metric.AsOfArrival) != 1 {
			t.Errorf("breaches %v", b.breaches)
		}
	})
}

func TestEachBreachOfABatchIsCountedOnce(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(reg, acme(), "halo.events")
	mappings := fixed{}
	b := newTestJudge(schemas.NewTopics("halo."), mappings)
	b.decide([]*kgo.Record{arrived(event(1))})
	m.settled(b.batch, noon, silent())
	mappings["acme/5"] = acme()["acme/5"] // reaches back
	r, more, junk := arrived(event(2)), arrived(event(3)), arrived(event(4))
	r.Key, more.Value, junk.Value = []byte("globex"), bytes.Replace(more.Value, []byte(`{`), []byte(`{"summary":"a sentence",`), 1), []byte("{")
	b.decide([]*kgo.Record{r, more, junk})
	m.settled(b.batch, noon, silent())
	b.decide([]*kgo.Record{arrived(event(5))})
	m.settled(b.batch, noon, silent())
	for promise, want := range map[metric.Promise]float64{metric.Apart: 1, metric.ContentFree: 2, metric.AsOfArrival: 1} {
		if got := metrictest.Value(t, m.breaches[promise]); got != want {
			t.Errorf("%v breaches of %s, want %v", got, promise, want)
		}
	}
}

// silent is a witness that nobody listens to.
func silent() *metric.Witness { return metric.NewWitness(slog.New(slog.DiscardHandler)) }

func TestTheLogSaysWhereAPromiseIsBrokenAndNothingOfTheRecord(t *testing.T) {
	const words = "geheime-worte"
	mappings := fixed{}
	b := newTestJudge(schemas.NewTopics("halo."), mappings)
	m := newMetrics(prometheus.NewRegistry(), mappings, "halo.events")
	b.decide([]*kgo.Record{arrived(event(1))})
	m.settled(b.batch, noon, silent())
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
	b.decide(records)
	m.settled(b.batch, noon, metric.NewWitness(slog.New(slog.NewTextHandler(&out, nil))))
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
	b := newTestJudge(schemas.NewTopics("halo."), acme())
	unmapped, junk := event(2), arrived(event(3))
	unmapped.Assignee, junk.Value = 6, []byte(`{`)
	batch := []*kgo.Record{arrived(event(1)), arrived(unmapped), junk}
	missing := func() float64 {
		return metrictest.Value(t, m.balance.In) - metrictest.Value(t, m.balance.Out) -
			metrictest.Value(t, m.balance.Skipped) - metrictest.Value(t, m.balance.Dead)
	}
	b.decide(batch)
	m.settled(b.batch, noon, silent())
	if missing() != 0 || metrictest.Value(t, m.balance.In) != 3 {
		t.Fatalf("%v of %v missing", missing(), metrictest.Value(t, m.balance.In))
	}
	b.decide(batch)
	b.batch.activities-- // one is lost between the judgement and its outcome
	m.settled(b.batch, noon, silent())
	if missing() != 1 {
		t.Errorf("%v missing where one was dropped", missing())
	}
}

func TestTheAgeOfABatchIsThatOfItsOldestEvent(t *testing.T) {
	b := newBatch()
	young, old := arrived(event(1)), arrived(event(2))
	young.Timestamp, old.Timestamp = noon, noon.Add(-time.Hour)
	for _, r := range []*kgo.Record{young, old, young} {
		b.take(r)
	}
	if !b.oldest.Equal(old.Timestamp) {
		t.Errorf("%v, want %v", b.oldest, old.Timestamp)
	}
	if b.reset(); !b.oldest.IsZero() {
		t.Errorf("%v of an empty batch", b.oldest)
	}
}
