package processor_test

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

// Nothing is dialled: metrics are there before the first record.
func TestTheMetricsAreThoseThatWereAgreed(t *testing.T) {
	reg, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	cfg, topics := kafka.Config{Brokers: []string{"127.0.0.1:1"}, ClientID: "processor"}, schemas.NewTopics("halo.")
	consumer, err := kafka.NewConsumer(cfg, "processor", []string{topics.Events}, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	producer, err := kafka.NewProducer(cfg, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	reader, err := kafka.NewReader(cfg, topics.Mappings, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	mappings := table.New(reader, topics.Mappings, processor.ParseHistory, log, reg)
	if _, err := processor.New(processor.Config{Input: topics.Events, Output: topics, Weights: processor.DefaultWeights()},
		processor.Clients{Consumer: consumer, Member: kafka.NewMember(), Producer: producer}, mappings, nil, log, reg); err != nil {
		t.Fatal(err)
	}

	metric.Lag(reg).WithLabelValues(topics.Events) // Run tells both, once Kafka was asked
	metric.NewWaiting(reg, topics.Events).Behind(topics.Events, 0)

	stage := metrictest.Values{"processor"}
	metrictest.Hold(t, reg, map[string]metrictest.Family{
		"halo_processor_events_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
			"outcome": {"activity", "unmapped", "unassigned", "unknown_kind", "stale_webhook", "undecodable", "erased", "dead"},
		}},
		"halo_processor_failures_total":  {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"step": {"barrier", "produce", "commit"}}},
		"halo_processor_mappings":        {Type: metrictest.Gauge},
		"halo_processor_barrier_seconds": {Type: metrictest.Histogram},
		"halo_freshness_seconds":         {Type: metrictest.Histogram, Labels: map[string]metrictest.Values{"stage": stage}},
		"halo_consumer_lag_records":      {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"topic": {"halo.events"}}},
		"halo_consumer_lag_seconds":      {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"topic": {"halo.events"}}},
		"halo_dead_records_total":        {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"stage": stage}},
		"halo_records_in_total":          {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"stage": stage}},
		"halo_records_out_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
			"stage": stage, "fate": {"out", "skipped", "dead", "erased", "expired"},
		}},
		"halo_promise_breaches_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{
			"stage": stage, "promise": {"kept", "content_free", "as_of_arrival", "apart"},
		}},
		"halo_table_bad_keys":          {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"topic": {"halo.mappings"}}},
		"halo_table_entries":           {Type: metrictest.Gauge, Labels: map[string]metrictest.Values{"topic": {"halo.mappings"}}},
		"halo_table_bad_records_total": {Type: metrictest.Counter, Labels: map[string]metrictest.Values{"topic": {"halo.mappings"}}},
	})
}
