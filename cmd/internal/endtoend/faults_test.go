//go:build integration

package endtoend

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// A fault is caused under load and is over when cause returns.
type fault struct {
	name  string
	times int
	cause func()
}

// faults are all that happen to three brokers and to the programs.
func (s *three) faults(tn *tenant, l *traffic, rng *rand.Rand) []fault {
	some := func() { pause(s.stack.t, time.Duration(500+rng.IntN(1500))*time.Millisecond) }
	lost := func(node int) {
		s.must(s.Kill(node))
		some()
		s.must(s.restart(node))
		s.whole()
	}
	of := func(v breakable) func() {
		return func() { v.kill(); v.start(); some() }
	}
	return []fault{
		{"the leader of the tenant's partition is killed", 8, func() { lost(s.leader(tn.id)) }},
		{"the leading controller is killed", 6, func() { lost(s.controller()) }},
		{"a broker is frozen", 8, func() {
			node := rng.IntN(3)
			if rng.IntN(2) == 0 {
				node = s.leader(tn.id)
			}
			s.must(s.Freeze(node))
			pause(s.stack.t, time.Duration(2+rng.IntN(7))*time.Second)
			s.must(s.Thaw(node))
			s.whole()
		}},
		{"two of three brokers are gone", 5, func() { s.twoGone(tn, l, rng.IntN(3)) }},
		{"all brokers are restarted, one after the other", 3, func() {
			for node := range 3 {
				s.must(s.restart(node))
				s.whole()
			}
		}},
		{"ingest is killed", 4, of(s.ingest)},
		{"the processor is killed", 4, of(s.processor)},
		{"the sink is killed", 4, of(s.sink)},
		{"connect is killed", 4, of(s.connect)},
		{"ClickHouse is killed", 4, of(s.clickhouse)},
	}
}

// twoGone leaves one broker, fewer than min.insync.replicas: nothing may be
// answered 200 until another one is back, and everything within two seconds.
func (s *three) twoGone(tn *tenant, l *traffic, survivor int) {
	t := s.stack.t
	gone := []int{(survivor + 1) % 3, (survivor + 2) % 3}
	for _, node := range gone {
		s.must(s.Kill(node))
	}
	before := -1
	for range 4 {
		a := tn.deliver(t.Context(), l.extra().body)
		if a.status != http.StatusServiceUnavailable || a.took > 2*time.Second {
			t.Errorf("one broker of three left: answered %d after %v, %v; want 503 within 2 s", a.status, a.took, a.err)
		}
		// What was on its way when the second broker died is answered by now.
		if before < 0 {
			before, _ = l.progress()
		}
	}
	if after, _ := l.progress(); after != before {
		t.Errorf("one broker of three left: %d deliveries were answered 200", after-before)
	}
	for _, node := range gone {
		s.must(s.restart(node))
	}
	s.whole()
}

// extra is a delivery that the load does not repeat: it may be there or not.
func (l *traffic) extra() delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	d := l.tn.statusChange(l.next, 10)
	l.sent[d.id.String()] = true
	return d
}

func TestFiftyFaultsOnThreeBrokersLoseNothing(t *testing.T) {
	t.Parallel()
	rng := dice(t)
	s := newThree(t)
	for topic, isr := range s.minInSync() {
		if isr != "2" {
			t.Errorf("topic %s: min.insync.replicas is %s, want 2 of 3", topic, isr)
		}
	}
	tn := s.connected("faults", 10)
	l := tn.underLoad(8, 15*time.Millisecond)
	faults := s.faults(tn, l, rng)
	var deck []fault
	for _, f := range faults {
		for range f.times {
			deck = append(deck, f)
		}
	}
	rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	refusals := map[string]int{}
	took := map[string]time.Duration{}
	for i, f := range deck {
		keptBefore, refusedBefore := l.progress()
		began := time.Now()
		f.cause()
		kept, refused := l.progress()
		refusals[f.name] += refused - refusedBefore
		took[f.name] += time.Since(began)
		t.Logf("%2d. %s: %v, %d answered 200, %d answers were none", i+1, f.name, time.Since(began).Round(100*time.Millisecond), kept-keptBefore, refused-refusedBefore)
	}
	for _, v := range []breakable{s.ingest, s.processor, s.sink, s.connect, s.clickhouse} {
		v.ready()
	}
	l.seen(5000)
	l.stop()
	l.settled()
	s.balanced(tn)
	for _, f := range faults {
		t.Logf("%d × %s: %v each, %d answers that were no 200", f.times, f.name, (took[f.name] / time.Duration(f.times)).Round(100*time.Millisecond), refusals[f.name])
	}
	t.Logf("%d faults; %v", len(deck), l)
}

// balanced fails the test unless the views hold exactly the events that Kafka
// holds, those included that nobody was answered 200 for.
func (s *three) balanced(tn *tenant) {
	t := s.stack.t
	t.Helper()
	events := map[string]bool{}
	for _, r := range s.records(schemas.NewTopics(s.prefix).Events) {
		e, err := schemas.ParseEvent(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		events[e.ID.String()] = true
	}
	tn.settled(len(events))
	activities, skipped, err := tn.outcomes()
	if err != nil {
		t.Fatal(err)
	}
	for id := range events {
		if activities[id]+skipped[id] != 1 {
			t.Errorf("event %s is in Kafka and %d times in ClickHouse", id, activities[id]+skipped[id])
		}
	}
}
