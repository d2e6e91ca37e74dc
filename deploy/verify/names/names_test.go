package names_test

import (
	"strings"
	"testing"

	"github.com/worksights/halo-connector/deploy/verify/names"
)

func TestEveryStageAndTheClientAreAsked(t *testing.T) {
	known, err := names.Gather(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"halo_ingest_deliveries_total", "halo_processor_events_total", "halo_sink_rows_total", "halo_connect_active",
		"halo_table_entries", "halo_kafka_produce_records_total", "halo_build_info", "go_goroutines", "process_start_time_seconds",
	} {
		if _, ok := known[name]; !ok {
			t.Errorf("%s is not known", name)
		}
	}
}

func TestAnExpressionThatAsksForWhatIsNotThereIsRefused(t *testing.T) {
	known, err := names.Gather(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	known.Record("halo:recorded", "stage")
	for expr, want := range map[string]string{
		`sum(rate(halo_ingest_deliveries_total{result="accepted"}[5m]))`:                   "",
		`histogram_quantile(0.99, sum by (le) (rate(halo_ingest_ack_seconds_bucket[5m])))`: "",
		`halo:recorded{stage="sink"} > 0 and on (job) up == 1`:                             "",
		`halo_consumer_lag_seconds{topic=~".*events"}`:                                     "",
		`sum(rate(halo_ingest_deliveries_total{result="accepted"}[5m])`:                    "parse error",
		`halo_ingest_delivery_total`:                                                       "no stage has",
		`halo_ingest_deliveries_total{outcome="accepted"}`:                                 "no label",
		`halo_ingest_deliveries_total{result="acepted"}`:                                   "has no result",
		`halo_ingest_deliveries_total{result=~"accepted|nothing"}`:                         "has no result",
		`halo_sink_rows_total_bucket`:                                                      "no stage has",
	} {
		_, err := known.Check(expr)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", expr, err, want)
		}
	}
}
