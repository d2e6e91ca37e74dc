//go:build synctests

package sim

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/table"
)

// rareStates are those without which a long run would prove little.
func rareStates() []string {
	return []string{
		"a delivery was sent again", "a delivery came behind a later one", "a delivery was answered 401", "a delivery was answered 503",
		"what was not answered 200 came all the same", "an edge died before its answer was seen", "nobody listened", "an ack came after the 503",
		"a mapping was not answered", "a mapping was acknowledged too late", "a reconnect was not answered", "an erasure was not answered",
		"somebody was erased", "a tenant was erased",
		"no control plane acted", "two control planes thought that they act", "a deposed instance wrote",
		"the tables could not catch up before a judgement", "a judgement waited for the tables", "outcomes were not acknowledged at first", "a commit was refused after the acks",
		"an append failed", "a commit was refused after the append", "a row was appended again",
		"the coordinators moved", "the leaders moved", "what was read was deleted", "a clock stepped",
		"the store kept an append and denied it", "the store was away",
		"killed: ingest", "killed: processor", "killed: sink", "killed: connect",
		"frozen: ingest", "frozen: processor", "frozen: sink", "frozen: connect",
		"slow: ingest", "slow: processor", "slow: sink", "slow: connect",
		"Kafka: too few replicas for a write", "Kafka: a write that the broker has and denies", "Kafka: a write times out", "Kafka: nobody leads",
		"Kafka: a disk fails under reads", "Kafka: a commit is refused", "Kafka: the end of a partition cannot be told", "Kafka: a heartbeat meets a rebalance",
	}
}

// counted are rare states that the processes count themselves: the name of a
// metric, with the value of its one label that tells.
var counted = map[[2]string]string{
	{"halo_ingest_kept_after_refusal_total", ""}:     "an ack came after the 503",
	{"halo_promise_breaches_total", "as_of_arrival"}: "a mapping was acknowledged too late",
	{"halo_processor_failures_total", "barrier"}:     "the tables could not catch up before a judgement",
	{"halo_processor_failures_total", "produce"}:     "outcomes were not acknowledged at first",
	{"halo_processor_failures_total", "commit"}:      "a commit was refused after the acks",
	{"halo_sink_failures_total", "append"}:           "an append failed",
	{"halo_sink_failures_total", "commit"}:           "a commit was refused after the append",
	{"halo_sink_repeats_total", "same"}:              "a row was appended again",
}

// count adds what the processes counted, and what the log of a table shows.
func (w *world) count() {
	lives := slices.Clone(w.dead)
	for _, p := range w.all {
		if p.up() {
			lives = append(lives, p.life)
		}
	}
	for _, l := range lives {
		families, err := l.reg.Gather()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if h := m.GetHistogram(); h != nil && f.GetName() == "halo_processor_barrier_seconds" {
					w.sometimes["a judgement waited for the tables"] += int(h.GetSampleCount())
					for _, b := range h.GetBucket() {
						if b.GetUpperBound() >= 0.1 {
							w.sometimes["a judgement waited for the tables"] -= int(b.GetCumulativeCount())
							break
						}
					}
				}
				values := []string{""}
				for _, l := range m.GetLabel() {
					values = append(values, l.GetValue())
				}
				for _, v := range values {
					if what, ok := counted[[2]string{f.GetName(), v}]; ok {
						w.sometimes[what] += int(m.GetCounter().GetValue())
					}
				}
			}
		}
	}
	w.sometimes["events were sent"] += len(w.notes.occurrences)
	w.sometimes["events were answered 200"] += len(w.notes.answered200)
}

// deposed counts the records of a table that a later term had overtaken.
func deposed(records []*kgo.Record) (n int) {
	var epoch uint64
	for _, r := range records {
		if own := table.EpochOf(r); own < epoch {
			n++
		} else {
			epoch = own
		}
	}
	return n
}

// stands tells how far each group has come, and who has which partition.
func (w *world) stands() {
	for _, group := range []string{"halo.processor", "halo.sink"} {
		info := w.GroupInfo(group)
		if info == nil {
			w.tell("nobody is in %s", group)
			continue
		}
		w.tell("%s is %s", group, info.State)
		for _, m := range info.Members {
			w.tell("  %s has %v", m.ClientID, m.Assignment)
		}
		for topic, commits := range info.Commits {
			for _, p := range w.PartitionInfos(topic) {
				w.tell("  %s/%d goes from %d to %d, committed is %d", topic, p.Partition, p.LogStartOffset, p.HighWatermark, commits[p.Partition].Offset)
			}
		}
	}
}
