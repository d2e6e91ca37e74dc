package ingest_test

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/costtest"
)

// An edge in a process of its own, as in a container of 512 MiB, takes what once
// killed it: four hundred small bodies that unpack to two megabytes, sixty thousand
// items in one delivery, and two hundred bodies of two megabytes. A quiet tenant's
// deliveries are answered 200 meanwhile.
func TestTheEdgeStaysBelow512MiBAndServesTheOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds of both processors, and measures memory")
	}
	cfg, _ := benchBroker(t)
	const loud = 20 // tenants; the demo tenant is the quiet one
	c := startContender(t, "edge", cfg, loud)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	large := strings.Repeat(" ", 2<<20-len(changed)) + changed
	packed := zip(large)
	tooMany := "[" + strings.Repeat(`{"id":0},`, 59_999) + `{"id":0}]`

	usual := quiet(t, c.addr, 2*time.Second, nil)
	for name, load := range map[string]struct {
		body     string
		encoding string
		statuses []int
	}{
		"gzip":  {packed, "gzip", []int{200, 429, 503}},
		"items": {tooMany, "", []int{413, 429, 503}},
		"large": {large, "", []int{200, 429, 503}},
	} {
		done := make(chan struct{})
		var mu sync.Mutex
		answers := make(map[int]int)
		go func() {
			defer close(done)
			var wg sync.WaitGroup
			for i := range 400 {
				wg.Go(func() {
					r := by(tenant(i%loud), request(load.body))
					if load.encoding != "" {
						r.Header.Set("Content-Encoding", load.encoding)
					}
					got := send(t, dial, r)
					mu.Lock()
					defer mu.Unlock()
					answers[got.status]++
				})
			}
			wg.Wait()
		}()
		during := quiet(t, c.addr, 0, done)
		t.Logf("%s: answers %v; quiet tenant's p50 %v, p99 %v, usually %v, %v; peak %d MiB", name, answers,
			during.quantile(50), during.quantile(99), usual.quantile(50), usual.quantile(99), costtest.Peak(c.pid)>>20)
		// What the machine has to do besides shows in the 99th, in the half only what
		// the edge makes it wait for.
		if most := 2*usual.quantile(50) + time.Millisecond; during.quantile(50) > most {
			t.Errorf("%s: half of the quiet tenant's deliveries take more than %v", name, most)
		}
		for status := range answers {
			if !slices.Contains(load.statuses, status) {
				t.Errorf("%s: %d are answered %d", name, answers[status], status)
			}
		}
		if answers[load.statuses[0]] == 0 {
			t.Errorf("%s: nothing is answered %d: this proves nothing", name, load.statuses[0])
		}
	}
	if peak := costtest.Peak(c.pid); peak > 512<<20 {
		t.Errorf("the edge took %d MiB", peak>>20)
	}
}

// latencies are sorted.
type latencies []time.Duration

func (l latencies) quantile(percent int) time.Duration {
	return l[(len(l)-1)*percent/100].Round(10 * time.Microsecond)
}

// quiet sends the demo tenant's deliveries, one every 5 ms, for a while or until
// done. Each has to be answered 200.
func quiet(t *testing.T, addr string, while time.Duration, done <-chan struct{}) (took latencies) {
	t.Helper()
	s, err := newSender(addr, 2<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var end <-chan time.Time
	if while > 0 {
		end = time.After(while)
	}
	for n := uint64(0); ; n++ {
		start := time.Now()
		if err := s.send(n); err != nil {
			t.Fatalf("a quiet tenant's delivery: %v", err)
		}
		took = append(took, time.Since(start))
		select {
		case <-done:
			slices.Sort(took)
			return took
		case <-end:
			slices.Sort(took)
			return took
		case <-tick.C:
		}
	}
}
