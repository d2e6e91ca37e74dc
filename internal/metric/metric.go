// Package metric holds the metrics that several stages share. A name means the
// same thing in every stage: the stages of one process share one collector and
// differ by its label, and each Help says what would mislead the reader of the
// number.
package metric

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/worksights/halo-connector/internal/build"
)

// Register registers c and returns it, or returns the collector that is there
// already under the same names and labels. So a stage need not know whether it
// is alone in its process, or is being started again. A nil reg registers
// nothing. It panics on what only a mistake in the code can cause: a name used
// with other labels or another help, or as another type.
func Register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	var there prometheus.AlreadyRegisteredError
	switch {
	case err == nil:
		return c
	case errors.As(err, &there):
		return there.ExistingCollector.(C)
	default:
		panic(err)
	}
}

// Freshness is the time from the arrival of a delivery at the edge to the
// moment at which its event is through the stage: acknowledged by Kafka, joined
// and acknowledged, appended to ClickHouse.
func Freshness(reg prometheus.Registerer) *prometheus.HistogramVec {
	return Register(reg, prometheus.NewHistogramVec(Histogram("halo_freshness_seconds",
		"Seconds from the arrival of a delivery until its event is through the stage, by our clocks. "+
			"Counts what came through: events that are stuck are missing here and show in halo_consumer_lag_records. "+
			"A replay counts with the age of its events.",
		// 1.5 is the objective for delivery to row; minutes and hours are outages.
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 1.5, 2.5, 5, 10, 30, 60, 300, 1800, 7200},
	), []string{"stage"}))
}

// Lag is how many records of the topics that the stage reads it has not settled
// yet. A topic is absent until its lag was looked at.
func Lag(reg prometheus.Registerer) *prometheus.GaugeVec {
	return Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "halo_consumer_lag_records",
		Help: "Records of the topic that this process owns and has not committed, at its last look. " +
			"Only the partitions it owns: sum over processes. Absent, and never 0, where it cannot be known: while Kafka does not answer, " +
			"while the process is not in its group, and of a topic that is gone.",
	}, []string{"topic"}))
}

// Dead is how many records were put on the dead-letter topic.
func Dead(reg prometheus.Registerer) *prometheus.CounterVec {
	return Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "halo_dead_records_total",
		Help: "Records of ours that will never parse, put on the dead-letter topic by the stage. " +
			"Counts repeats: a record read again after a crash counts again.",
	}, []string{"stage"}))
}

// Histogram describes a histogram that is both classic, for rules and
// dashboards that name a bucket, and native, for quantiles that the buckets are
// too coarse for.
func Histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		// Each native bucket is at most a tenth wider than the one before; 160
		// of them cover six orders of magnitude. A histogram that got wider is
		// made small again after an hour, so that one outlier is not for ever.
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

// Process registers what every process shows: Go's and the operating system's
// figures, and which build this is.
func Process(reg prometheus.Registerer, program string) {
	Register(reg, collectors.NewGoCollector())
	Register(reg, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b := build.Read()
	Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "halo_build_info",
		Help: "Always 1; which build runs is in the labels. A revision that ends in -dirty was built from changed files.",
	}, []string{"program", "version", "revision", "goversion"})).
		WithLabelValues(program, b.Version, b.Revision, b.Go).Set(1)
}
