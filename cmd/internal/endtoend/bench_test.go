package endtoend

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkDeliveryToRow runs the stages as processes on the embedded engines
// and measures from outside, as Halo and an analyst would: how long a delivery
// waits for its 200, and how long until a query finds its row. Deliveries are
// sent at a fixed pace whether or not answers come: a busy afternoon of a large
// customer base, and one that comes alone, at the default BATCH_WAIT. A row is
// looked for every 10 ms, which is part of the figure.
func BenchmarkDeliveryToRow(b *testing.B) {
	for _, c := range []struct {
		name string
		env  string
		pace time.Duration
		n    int
	}{
		{"200 a second, batches of 100 ms", "BATCH_WAIT=100ms", 5 * time.Millisecond, 3000},
		{"alone", "LOG_FORMAT=text", 1310 * time.Millisecond, 15}, // meets each moment of the 500 ms
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				s := newStack(b, "LOG_LEVEL=warn", c.env)
				tn := s.connected("bench", 10)
				acks, rows := load(b, tn, c.pace, c.n)
				b.ReportMetric(millis(acks, 50), "ack-p50-ms")
				b.ReportMetric(millis(acks, 99), "ack-p99-ms")
				b.ReportMetric(millis(rows, 50), "row-p50-ms")
				b.ReportMetric(millis(rows, 99), "row-p99-ms")
				b.ReportMetric(float64(len(acks)), "deliveries")
				b.ReportMetric(0, "ns/op") // a run is as long as it was made
			}
		})
	}
}

// load sends total deliveries at a pace and returns how long each delivery waited for its
// answer, and each event for its row.
func load(b *testing.B, tn *tenant, every time.Duration, total int) (acks, rows []time.Duration) {
	b.Helper()
	// A first delivery makes connections and plans that the others find made.
	if status, answer := tn.post(b.Context(), tn.statusChange(0, 10).body); status != http.StatusOK {
		b.Fatalf("%d %s", status, answer)
	}
	tn.settled(1)

	var mu sync.Mutex
	sent := make(map[string]time.Time, total) // by event id; zero once its row was seen
	var wg sync.WaitGroup
	pace := time.NewTicker(every)
	defer pace.Stop()
	watching, stop := context.WithTimeout(b.Context(), time.Duration(total)*every+30*time.Second)
	defer stop()
	wg.Go(func() {
		look := time.NewTicker(10 * time.Millisecond)
		defer look.Stop()
		for seen := 0; seen < total; {
			select {
			case <-look.C:
			case <-watching.Done():
				return
			}
			ids, err := tn.trySQL("worksights", fmt.Sprintf("SELECT activity_id FROM activities WHERE tenant_id = '%s' AND received_at > now64(3) - 5", tn.id))
			if err != nil {
				b.Error(err)
				return
			}
			now := time.Now()
			mu.Lock()
			for _, id := range ids {
				if at := sent[id]; !at.IsZero() {
					rows = append(rows, now.Sub(at))
					sent[id] = time.Time{}
					seen++
				}
			}
			mu.Unlock()
		}
	})
	for n := 1; n <= total; n++ {
		<-pace.C
		wg.Go(func() {
			d := tn.statusChange(n, 10)
			began := time.Now()
			mu.Lock()
			sent[d.id.String()] = began
			mu.Unlock()
			status, answer := tn.post(b.Context(), d.body)
			if status != http.StatusOK {
				b.Errorf("%d %s", status, answer)
			}
			mu.Lock()
			acks = append(acks, time.Since(began))
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(rows) != total {
		b.Errorf("%d of %d rows were seen", len(rows), total)
	}
	return acks, rows
}

// millis is a percentile in milliseconds.
func millis(d []time.Duration, percent float64) float64 {
	if len(d) == 0 {
		return math.NaN()
	}
	slices.Sort(d)
	at := min(int(float64(len(d))*percent/100), len(d)-1)
	return float64(d[at].Microseconds()) / 1000
}
