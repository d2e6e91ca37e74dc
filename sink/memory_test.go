package sink

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

func TestARepeatIsToldFromAnAnswerThatChanged(t *testing.T) {
	at := time.Date(2026, 10, 2, 14, 3, 27, 0, time.UTC)
	row := func(change func(*Outcome)) *Outcome {
		o := Outcome{
			Tenant: "acme", ID: schemas.ID{1}, User: "ada", Category: schemas.Category, Kind: schemas.TicketLogged, Weight: 1,
			EventTime: at, OccurredAt: at, ReceivedAt: at.Add(time.Second),
		}
		if change != nil {
			change(&o)
		}
		return &o
	}
	for name, c := range map[string]struct {
		second *Outcome
		want   verdict
	}{
		"another event":                       {row(func(o *Outcome) { o.ID = schemas.ID{2} }), unseen},
		"the same row":                        {row(nil), same},
		"the event arrived again":             {row(func(o *Outcome) { o.ReceivedAt = at.Add(time.Minute) }), resent},
		"again, and mapped to another by now": {row(func(o *Outcome) { o.ReceivedAt, o.User = at.Add(time.Minute), "bob" }), resent},
		"the same arrival for another user":   {row(func(o *Outcome) { o.User = "bob" }), changed},
		"the same arrival, skipped":           {row(func(o *Outcome) { o.User, o.Reason = "", schemas.Unmapped }), changed},
		"at another time":                     {row(func(o *Outcome) { o.EventTime = at.Add(time.Hour) }), moved},
		"again, at another time":              {row(func(o *Outcome) { o.EventTime, o.ReceivedAt = at.Add(time.Hour), at.Add(time.Minute) }), moved},
		"of another tenant":                   {row(func(o *Outcome) { o.Tenant = "globex" }), moved},
	} {
		t.Run(name, func(t *testing.T) {
			var m memory
			if v := m.judge(row(nil)); v != unseen {
				t.Fatalf("the first row is %q", v)
			}
			if v := m.judge(c.second); v != c.want {
				t.Errorf("got %q, want %q", v, c.want)
			}
		})
	}
}

func TestTheMemoryOfRowsIsBounded(t *testing.T) {
	var m memory
	row := func(n int) *Outcome {
		var id schemas.ID
		binary.BigEndian.PutUint64(id[:], uint64(n))
		return &Outcome{ID: id}
	}
	for n := range 5 * generation {
		if v := m.judge(row(n)); v != unseen {
			t.Fatalf("row %d is %q", n, v)
		}
	}
	if n := len(m.young) + len(m.old); n > 2*generation {
		t.Errorf("%d rows are remembered, want %d at most", n, 2*generation)
	}
	if v := m.judge(row(4 * generation)); v != same {
		t.Errorf("a row of this generation is %q", v)
	}
	if v := m.judge(row(3 * generation)); v != same {
		t.Errorf("a row of the last generation is %q", v)
	}
	if v := m.judge(row(0)); v != unseen {
		t.Errorf("a row of long ago is %q", v)
	}
}
