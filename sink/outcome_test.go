package sink_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

// Versions are stored, and rows of years ago must fold with those of a replay
// today: these numbers never change.
func TestAVersionIsTheSameForEver(t *testing.T) {
	epoch := storetest.Skip(3)
	epoch.EventTime, epoch.OccurredAt, epoch.ReceivedAt = schemas.Epoch, schemas.Epoch, schemas.Epoch
	for name, tt := range map[string]struct {
		row  sink.Outcome
		want uint64
	}{
		"an activity":               {sink.OfActivity(storetest.Activity(0)), 18329372867376875506},
		"another":                   {sink.OfActivity(storetest.Activity(3)), 18329372867376695058},
		"a skip":                    {sink.OfSkip(storetest.Skip(3)), 18329372867376650859},
		"a skip that arrived first": {sink.OfSkip(epoch), 18446744073709509896},
	} {
		if got := tt.row.Version(); got != tt.want {
			t.Errorf("%s: version %d, want %d", name, got, tt.want)
		}
	}
}

func TestTheEarlierArrivalHasTheGreaterVersion(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	at := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	before := ^uint64(0)
	for n := 0; at.Year() < 2262; n++ {
		o := sink.OfActivity(storetest.Activity(n))
		if n%2 == 0 {
			o = sink.OfSkip(storetest.Skip(n))
		}
		o.ReceivedAt = at
		if v := o.Version(); v >= before {
			t.Fatalf("what arrived at %v has the version %d, and what arrived before it %d", at, v, before)
		} else {
			before = v
		}
		at = at.Add(time.Duration(1+random.Int64N(1<<random.IntN(40))) * time.Millisecond)
	}
}

func TestEveryMemberThatAReaderSeesDecidesBetweenEqualArrivals(t *testing.T) {
	a := sink.OfActivity(storetest.Activity(0))
	for name, change := range map[string]func(*sink.Outcome){
		"reason":      func(o *sink.Outcome) { o.Reason = schemas.Unmapped },
		"user":        func(o *sink.Outcome) { o.User = "user-b" },
		"category":    func(o *sink.Outcome) { o.Category = "" },
		"kind":        func(o *sink.Outcome) { o.Kind = schemas.UpdatedByUser },
		"weight":      func(o *sink.Outcome) { o.Weight = .5 },
		"ticket":      func(o *sink.Outcome) { o.Ticket++ },
		"agent":       func(o *sink.Outcome) { o.Agent++ },
		"credited as": func(o *sink.Outcome) { o.CreditedAs = schemas.CreditedActor },
		"actor type":  func(o *sink.Outcome) { o.ActorType = schemas.ActorSystem },
		"status":      func(o *sink.Outcome) { o.Status = -o.Status - 1 },
		"occurred at": func(o *sink.Outcome) { o.OccurredAt = o.OccurredAt.Add(time.Millisecond) },
		"a word that moved from one member to the next": func(o *sink.Outcome) { o.Category, o.User = "", o.User+schemas.UserID(o.Category) },
	} {
		b := a
		change(&b)
		if a.Version() == b.Version() {
			t.Errorf("rows that differ in %s have one version", name)
		}
	}
}

func TestTimesThatARowCannotHoldBecomeTheNearestThatItCan(t *testing.T) {
	first, last := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ at, want time.Time }{
		{time.Time{}, first},
		{time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC), first},
		{first, first},
		{first.Add(time.Millisecond), first.Add(time.Millisecond)},
		{schemas.Epoch, schemas.Epoch},
		{last.Add(-time.Millisecond), last.Add(-time.Millisecond)},
		{last, last},
		{last.Add(time.Millisecond), last},
		{time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC), last},
	} {
		a, s := storetest.Activity(1), storetest.Skip(1)
		a.EventTime, a.OccurredAt, a.ReceivedAt = tt.at, tt.at, tt.at
		s.EventTime, s.OccurredAt, s.ReceivedAt = tt.at, tt.at, tt.at
		for _, o := range []sink.Outcome{sink.OfActivity(a), sink.OfSkip(s)} {
			for _, got := range []time.Time{o.EventTime, o.OccurredAt, o.ReceivedAt} {
				if !got.Equal(tt.want) {
					t.Errorf("%v became %v, want %v", tt.at, got, tt.want)
				}
			}
		}
	}
}
