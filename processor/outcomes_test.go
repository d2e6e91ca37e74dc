//go:build synctests

package processor_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

// outcome is a record on one of the three topics that the processor writes.
type outcome struct {
	topic, key, schema, value string
}

func outcomeOf(r *kgo.Record) outcome {
	return outcome{r.Topic, string(r.Key), kafka.Schema(r), string(r.Value)}
}

// expected is what has to become of e by the mappings as they are now; later
// changes must not change it.
func (w *world) expected(topics schemas.Topics, e schemas.Event) outcome {
	o := processor.Join(e, func(t schemas.Tenant, a schemas.AgentID) (schemas.Mapping, bool) {
		m, ok := w.mappings[schemas.Mapping{Tenant: t, Agent: a}.Key()]
		return m, ok
	}, processor.DefaultWeights())
	if o.Reason == "" {
		return outcome{topics.Activities, string(e.Tenant), schemas.ActivitySchema, string(o.Activity.AppendJSON(nil))}
	}
	return outcome{topics.Skipped, string(e.Tenant), schemas.SkipSchema, string(o.Skip.AppendJSON(nil))}
}

// balance holds the outcomes in Kafka to what was sent: each event has one, the
// same in all of its repeats, and the right one. It returns how many records
// were repeats of another, byte for byte.
func (w *world) balance(t *testing.T, topics schemas.Topics) (repeats int) {
	t.Helper()
	type arrival struct {
		id schemas.ID
		at int64
	}
	want := map[arrival]outcome{}
	for _, e := range w.sent {
		want[arrival{e.ID, e.ReceivedAt.UnixMilli()}] = w.expected(topics, e)
	}
	got := map[arrival]outcome{}
	for _, topic := range []string{topics.Activities, topics.Skipped} {
		for _, r := range w.Records(t, topic) {
			a := identify(t, r)
			at := arrival{a.id, a.receivedAt}
			if prev, again := got[at]; again {
				repeats++
				if prev != outcomeOf(r) {
					t.Errorf("two outcomes of one event:\n%+v\n%+v", prev, outcomeOf(r))
				}
			}
			got[at] = outcomeOf(r)
			if got[at] != want[at] {
				t.Errorf("event %s\nbecame %+v\nwant   %+v", a.id, got[at], want[at])
			}
		}
	}
	for at := range want {
		if _, ok := got[at]; !ok {
			t.Errorf("event %s has no outcome", at.id)
		}
	}
	dead := map[string]bool{}
	for _, r := range w.Records(t, topics.Dead) {
		where := ""
		for _, h := range r.Headers {
			where += h.Key + "=" + string(h.Value) + " "
		}
		if dead[where] {
			repeats++
		}
		dead[where] = true
	}
	if len(dead) != w.buried {
		t.Errorf("%d dead letters of %d: %v", len(dead), w.buried, dead)
	}
	return repeats
}

// folded is what the views show: for each id the outcome of the first arrival.
func (w *world) folded(t *testing.T, topics schemas.Topics) map[schemas.ID]outcome {
	t.Helper()
	first := map[schemas.ID]int64{}
	shown := map[schemas.ID]outcome{}
	for _, topic := range []string{topics.Activities, topics.Skipped} {
		for _, r := range w.Records(t, topic) {
			a := identify(t, r)
			if at, seen := first[a.id]; !seen || a.receivedAt < at {
				first[a.id], shown[a.id] = a.receivedAt, outcomeOf(r)
			}
		}
	}
	return shown
}

type identity struct {
	id         schemas.ID
	receivedAt int64
}

func identify(t *testing.T, r *kgo.Record) identity {
	t.Helper()
	if kafka.Schema(r) == schemas.ActivitySchema {
		a, err := schemas.ParseActivity(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		return identity{a.ID, a.ReceivedAt.UnixMilli()}
	}
	s, err := schemas.ParseSkip(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	return identity{s.ID, s.ReceivedAt.UnixMilli()}
}
