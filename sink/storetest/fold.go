package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

func foldsRepeats(t *testing.T, s *subject) {
	rows := outcomes(100)
	for range 3 {
		s.append(t, rows...)
	}
	s.append(t, append(reversed(rows), rows...)...) // in one batch too
	for _, o := range rows[:5] {
		s.append(t, o)
	}
	s.want(t, rows...)
}

// firstArrivalWins appends an event as it arrived first, a minute later, and
// 40 days later, when it is shown at its arrival, in each order, in one batch
// and in three.
func firstArrivalWins(t *testing.T, s *subject) {
	var want []sink.Outcome
	for i, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for _, together := range []bool{true, false} {
			var arrivals [3]sink.Outcome
			for j, late := range []time.Duration{0, time.Minute, 40 * 24 * time.Hour} {
				a := Activity(len(want))
				if together {
					a.EventTime = schemas.Epoch // folds in the bucket without time as well
				}
				a.ReceivedAt = a.ReceivedAt.Add(late)
				a.OccurredAt = schemas.OccurredAt(a.EventTime, a.ReceivedAt)
				a.User += schemas.UserID(rune('0' + j)) // mapped anew each time
				arrivals[j] = sink.OfActivity(a)
			}
			rows := []sink.Outcome{arrivals[order[0]], arrivals[order[1]], arrivals[order[2]]}
			if together {
				s.append(t, rows...)
			} else {
				for _, o := range rows {
					s.append(t, o)
				}
			}
			want = append(want, arrivals[0])
		}
		if t.Failed() {
			t.Fatalf("order %d", i)
		}
	}
	s.want(t, want...)
}

// skipStaysSkip: an event that was skipped as unmapped, whose agent is mapped
// afterwards, and which is sent again. And the other way round.
func skipStaysSkip(t *testing.T, s *subject) {
	skipped := sink.OfSkip(Skip(1))
	credited := later(sink.OfActivity(Activity(1)), time.Hour)
	s.append(t, skipped)
	s.append(t, credited)
	s.want(t, skipped)

	was := sink.OfActivity(Activity(2))
	unmapped := later(sink.OfSkip(Skip(2)), time.Hour)
	s.append(t, unmapped) // appended first, arrived second
	s.want(t, skipped, unmapped)
	s.append(t, was)
	s.want(t, skipped, was)
	s.append(t, unmapped, credited)
	s.want(t, skipped, was)
}

// sameMillisecond: two deliveries of one event that arrive in one millisecond
// and are judged differently. Which of them is shown does not matter, that it
// is the same one after every replay does.
func sameMillisecond(t *testing.T, s *subject) {
	var want []sink.Outcome
	for i := range 40 {
		a := sink.OfActivity(Activity(i))
		b := sink.OfSkip(Skip(i))
		if i%2 == 1 {
			b = a
			b.User += "-other"
		}
		if a.Version() == b.Version() {
			t.Fatalf("event %d: both rows have the version %d", i, a.Version())
		}
		best := a
		if b.Version() > a.Version() {
			best = b
		}
		rows := []sink.Outcome{a, b}
		if i%4 < 2 {
			rows = []sink.Outcome{b, a}
		}
		s.append(t, rows[0])
		s.append(t, rows[1])
		want = append(want, best)
	}
	s.want(t, want...)
}

// keysAreApart: rows that share two of tenant, event time and id are no
// repeats of one another.
func keysAreApart(t *testing.T, s *subject) {
	a := Activity(0)
	tenant, event, other := a, a, a
	tenant.Tenant = "acme-it-2"
	event.EventTime = a.EventTime.Add(time.Millisecond)
	event.OccurredAt = event.EventTime
	other.ID[15]++
	rows := []sink.Outcome{sink.OfActivity(a), sink.OfActivity(tenant), sink.OfActivity(event), sink.OfActivity(other)}
	s.append(t, rows...)
	s.want(t, rows...)
}

const soon = 2 * time.Second // a second more than a full batch takes

func returnsSoon(t *testing.T, s *subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if err := s.store.Append(ctx, Rows(outcomes(1000)...)); !errors.Is(err, context.Canceled) {
		t.Errorf("Append with a context that is done = %v, want %v", err, context.Canceled)
	}
	if d := time.Since(began); d > soon {
		t.Errorf("Append returned %v after its context was done", d)
	}
}

// abandonedIsRepeatable gives up appends of a batch at ever later moments, and
// then appends the same rows among others.
func abandonedIsRepeatable(t *testing.T, s *subject) {
	rows := outcomes(20_000)
	abandoned := 0
	for after := time.Millisecond; after <= 512*time.Millisecond; after *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		began := time.Now()
		err := s.store.Append(ctx, Rows(rows[:10_000]...))
		cancel()
		if d := time.Since(began) - after; d > soon {
			t.Errorf("Append returned %v after its context was done", d)
		}
		if err != nil {
			abandoned++
		}
	}
	t.Logf("%d of 10 appends were abandoned", abandoned)
	s.append(t, rows[5000:]...)
	s.append(t, reversed(rows[:5001])...)
	s.want(t, rows...)
}

// randomRepeats is all of the above at once, against the rule in one line: of
// the rows of one key, the one with the greatest version.
func randomRepeats(t *testing.T, s *subject) {
	const seed = 20261002
	random := rand.New(rand.NewPCG(seed, seed))
	best := make(map[key]sink.Outcome)
	for range 30 {
		var rows []sink.Outcome
		for range 1 + random.IntN(200) {
			n := random.IntN(300)
			o := sink.OfActivity(Activity(n))
			if random.IntN(3) == 0 {
				o = sink.OfSkip(Skip(n))
			}
			o = later(o, time.Duration(random.IntN(50))*20*time.Hour)
			o.OccurredAt = schemas.OccurredAt(o.EventTime, o.ReceivedAt)
			rows = append(rows, o)
			k := keyOf(o)
			if there, ok := best[k]; !ok || o.Version() > there.Version() {
				best[k] = o
			}
		}
		s.append(t, rows...)
	}
	var want []sink.Outcome
	for _, o := range best {
		want = append(want, o)
	}
	s.want(t, want...)
}
