package metric

import "github.com/prometheus/client_golang/prometheus"

// Balance is a stage's books: what it took in, and what became of it. In and
// the fates are counted at different places of the stage, so that a
// record which is dropped between them leaves a difference for good.
type Balance struct {
	In                 prometheus.Counter
	Out, Skipped, Dead prometheus.Counter
	Erased             prometheus.Counter // of an erased person or tenant: left nowhere
	Expired            prometheus.Counter // perhaps a repeat of what was removed at the end of its retention: not written again
}

// NewBalance returns the books of a stage.
func NewBalance(reg prometheus.Registerer, stage string) Balance {
	in := Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_records_in_total",
		Help: "Records that the stage is done with: at the edge events of deliveries answered 200, elsewhere records it will not read again. " +
			"Equals the sum of halo_records_out_total of the same process, but for the batch that is being settled. Counts repeats.",
	}, []string{"stage"}))
	out := Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_records_out_total",
		Help: "What became of the stage's records, acknowledged by Kafka or ClickHouse: out (passed on, or an activity), skipped, dead, erased (of a person or tenant who was), expired (older than rows are kept). " +
			"Skips are passed on too; they are not lost. Counts repeats: compare with halo_records_in_total of the same process, not with rows.",
	}, []string{"stage", "fate"}))
	return Balance{
		In:      in.WithLabelValues(stage),
		Out:     out.WithLabelValues(stage, "out"),
		Skipped: out.WithLabelValues(stage, "skipped"),
		Dead:    out.WithLabelValues(stage, "dead"),
		Erased:  out.WithLabelValues(stage, "erased"),
		Expired: out.WithLabelValues(stage, "expired"),
	}
}
