package ingest_test

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// 300 deliveries a second, whatever the edge does: a delivery is sent when it
// is due, over another connection where all are waiting, and its latency counts
// from that instant. A generator that waits for answers would send fewer while
// the edge is slow, and measure least where it matters.
func BenchmarkAck300PerSecond18K(b *testing.B) { benchmarkAck(b, 18<<10) }
func BenchmarkAck300PerSecond2K(b *testing.B)  { benchmarkAck(b, 2<<10) }

func benchmarkAck(b *testing.B, size int) {
	const perSecond = 300
	addr := benchEdge(b)
	free := make(chan *sender, 1024) // as many as may ever wait at once
	dial := func() *sender {
		s, err := newSender(addr, size)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.conn.Close() })
		return s
	}
	for range 8 {
		s := dial()
		if err := s.send(0); err != nil { // the first of a connection pays for it
			b.Fatal(err)
		}
		free <- s
	}
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		due := start.Add(time.Duration(i) * time.Second / perSecond)
		time.Sleep(time.Until(due))
		var s *sender
		select {
		case s = <-free:
		default:
			s = dial()
		}
		wg.Go(func() {
			if err := s.send(uint64(i + 1)); err != nil {
				b.Error(err)
			}
			took[i] = time.Since(due)
			free <- s
		})
	}
	wg.Wait()
	slices.Sort(took)
	for name, share := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
		b.ReportMetric(float64(took[(len(took)-1)*share/100])/float64(time.Millisecond), name)
	}
}
