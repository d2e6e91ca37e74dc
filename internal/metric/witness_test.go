package metric_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/worksights/halo-connector/internal/metric"
)

// A writer gone wrong writes a hundred records a second for an hour, and
// beside it one record breaks another promise.
func TestAFloodOfBreachesDoesNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := metric.NewWitness(slog.New(slog.NewTextHandler(&out, nil)))
		const hour = 360_000
		for i := range int64(hour) {
			w.Saw(metric.ContentFree, metric.Place{Topic: "halo.events", Partition: 3, Offset: i})
			if i == hour/2 {
				w.Saw(metric.Apart, metric.Place{Topic: "halo.events", Partition: 3, Offset: i}, "tenant", "acme")
			}
			time.Sleep(10 * time.Millisecond)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if n := len(lines); n < 300 || n > 400 {
			t.Errorf("%d lines of %d breaches, want some six a minute", n, hour)
		}
		for i, want := range []string{"offset=0 unsaid=0", "offset=1 unsaid=0"} {
			if !strings.Contains(lines[i], want) {
				t.Errorf("line %d is %q, want %s", i, lines[i], want)
			}
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, "unsaid=999") {
			t.Errorf("the last line does not say what was left out: %s", last)
		}
		if !strings.Contains(out.String(), "promise=apart topic=halo.events partition=3 offset=180000 unsaid=0 tenant=acme") {
			t.Error("the flood of one promise hid the breach of another")
		}
	})
}
