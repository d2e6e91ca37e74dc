//go:build synctests

package records_test

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/schemas"
)

// BenchmarkArrivals finds events of the last three days of a tenant with 80,000 a
// day, whose partition holds as many of others.
func BenchmarkArrivals(b *testing.B) {
	w := newWorld(b)
	const n = 240_000
	at := func(i int) time.Time { return start.Add(time.Duration(i) * time.Second) }
	for from := 0; from < n; from += 5000 {
		var some []*kgo.Record
		for i := from; i < from+5000; i++ {
			e := event(i%60_000, "acme", at(i))
			e.ID[2], e.ID[3] = byte(i>>16), 1
			some = append(some, record(w.topics.Events, schemas.EventSchema, "acme", e.ReceivedAt, e.AppendJSON(nil)))
		}
		w.Produce(b, some...)
	}
	var took []time.Duration
	for b.Loop() {
		i := (len(took)*7919 + 17) % n
		e := event(i%60_000, "acme", at(i))
		e.ID[2], e.ID[3] = byte(i>>16), 1
		began := time.Now()
		first, _, err := w.reader.Arrivals(b.Context(), "acme", e.ID, e.ReceivedAt)
		if err != nil || first == nil {
			b.Fatalf("%v, %v", first, err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(took[(len(took)-1)*95/100].Microseconds())/1e3, "p95-ms")
	b.ReportMetric(0, "ns/op")
}
