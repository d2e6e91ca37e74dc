package endtoend

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// dice are thrown alike when HALO_CRASH_SEED repeats a run's order of faults.
func dice(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("HALO_CRASH_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HALO_CRASH_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestEveryEventAnswered200IsThereOnceWhateverIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the programs for about a minute: not under -short")
	}
	t.Parallel()
	newStack(t).crashes(32)
}

// crashes kills stages and engines under load.
func (s *stack) crashes(kills int) {
	t := s.t
	t.Helper()
	rng := dice(t)
	l := s.connected("crash", 10).underLoad(8, 4*time.Millisecond)
	victims := s.victims()
	for i := range kills {
		pause(t, time.Duration(200+rng.IntN(1200))*time.Millisecond)
		v := victims[rng.IntN(len(victims))]
		if i < len(victims) {
			v = victims[i] // each at least once
		}
		v.kill()
		v.start()
	}
	for _, v := range slices.Backward(victims) { // engines first: the stages are not ready without them
		v.ready()
	}
	l.seen(32 * kills)
	l.stop()
	l.settled()
	t.Logf("%d kills; %v", kills, l)
}

// victims are the stages and those engines that are ours to break.
func (s *stack) victims() []breakable {
	victims := []breakable{s.ingest, s.processor, s.sink, s.connect}
	for _, e := range []breakable{s.clickhouse, s.kafka} {
		if e != nil {
			victims = append(victims, e)
		}
	}
	return victims
}

func TestAKilledClickHouseIsHealed(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.mayBreak(s.clickhouse)
	tn := s.connected("healed", 4)
	l := tn.underLoad(4, 4*time.Millisecond)
	const times = 5
	for range times {
		pause(t, time.Second)
		s.clickhouse.kill()
		s.clickhouse.start()
		s.clickhouse.ready()
	}
	l.stop()
	if kept, refused := l.progress(); kept < 200 || refused != 0 {
		t.Errorf("%d deliveries answered 200, %d not: the edge needs no ClickHouse", kept, refused)
	}
	l.settled()
	for _, p := range s.ours {
		if p.dead() {
			t.Errorf("%s ended with ClickHouse", p.name)
		}
	}
	t.Logf("ClickHouse killed %d times; %v", times, l)
}
