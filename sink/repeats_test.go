package sink

import (
	"crypto/sha256"
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
			var seen repeats
			var rows Rows
			rows.Add(*row(nil))
			rows.Add(*c.second)
			if v := seen.judge(&rows, 0); v != unseen {
				t.Fatalf("the first row is %q", v)
			}
			if v := seen.judge(&rows, 1); v != c.want {
				t.Errorf("got %q, want %q", v, c.want)
			}
		})
	}
}

func TestLateRowsAreRememberedAndOldOnesForgotten(t *testing.T) {
	var seen repeats
	var rows Rows
	for n := range 4 * remembered {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
		rows.Add(Outcome{ID: schemas.ID(sum[:16])})
		if v := seen.judge(&rows, n); v != unseen {
			t.Fatalf("row %d is %q", n, v)
		}
	}
	met := func(from, to int) (n int) {
		for i := from; i < to; i++ {
			if seen.judge(&rows, i) == same {
				n++
			}
		}
		return n
	}
	const some = 1000
	if n := met(rows.Len()-some, rows.Len()); n < some*98/100 {
		t.Errorf("%d of the last %d rows are remembered", n, some)
	}
	if n := met(0, some); n > some/10 {
		t.Errorf("%d of the first %d rows are remembered", n, some)
	}
	if len(seen.rows) != remembered {
		t.Errorf("%d rows are held", len(seen.rows))
	}
}
