package metric

import "github.com/prometheus/client_golang/prometheus"

// Promise is one of the five that the connector makes. Each has a test, a
// series of halo_promise_breaches_total and an alert of its name.
type Promise string

// The promises.
const (
	// Kept: every event of a delivery answered 200 reaches ClickHouse. A stage
	// counts records that Kafka no longer had when the stage came to them.
	Kept Promise = "kept"
	// ContentFree: nothing that a person wrote leaves the decoder. The
	// processor counts events that hold more than an event's ids and times.
	ContentFree Promise = "content_free"
	// Repeatable: the same occurrence gives the same row. The sink counts
	// repeats that gave another.
	Repeatable Promise = "repeatable"
	// AsOfArrival: an event is judged by the mappings acknowledged before it
	// arrived. The processor counts judgements that the history of the mapping
	// no longer confirms, connect mappings that were acknowledged too late.
	AsOfArrival Promise = "as_of_arrival"
	// Apart: every record carries its tenant, and its key is or begins with it.
	// A stage counts records whose key names another tenant than their value.
	Apart Promise = "apart"
)

// Promises are all promises, in the order of the constants.
func Promises() []Promise { return []Promise{Kept, ContentFree, Repeatable, AsOfArrival, Apart} }

// Breaches counts what a stage sees of broken promises: one counter for each
// promise that the stage watches, at 0 from the start, since an alert on an
// increase needs the zero before the first.
func Breaches(reg prometheus.Registerer, stage string, watched ...Promise) map[Promise]prometheus.Counter {
	vec := Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_promise_breaches_total",
		Help: "What the stage saw of a broken promise; anything above 0 needs a person. " +
			"0 proves nothing about what this stage cannot see, and a process that restarts begins at 0 again.",
	}, []string{"promise", "stage"}))
	counters := make(map[Promise]prometheus.Counter, len(watched))
	for _, p := range watched {
		counters[p] = vec.WithLabelValues(string(p), stage)
	}
	return counters
}
