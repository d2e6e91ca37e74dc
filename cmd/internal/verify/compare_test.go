package verify

import (
	"slices"
	"testing"

	"github.com/worksights/halo-connector/schemas"
)

func id(n byte) schemas.ID { return schemas.ID{15: n} }

func at(received int64) outcome {
	return outcome{tenant: "acme", user: "u1", kind: schemas.TicketLogged, ticket: 1, agent: 7, received: received, occurred: received}
}

func TestEveryRowIsComparedWithWhatItsEventComesTo(t *testing.T) {
	always := func(schemas.Tenant) int64 { return 0 }
	changed := func(o outcome, change func(*outcome)) outcome { change(&o); return o }
	for _, tt := range []struct {
		name                           string
		arrived                        func(events)
		rows                           func(*comparison)
		oldest                         func(schemas.Tenant) int64
		missing, different, unexpected []byte
		weights                        int
	}{
		{
			name:    "the same",
			arrived: func(e events) { e.add(id(1), 10, true, at(10), 1, true) },
			rows:    func(c *comparison) { c.row(id(1), at(10), 1) },
		},
		{
			name:    "no row",
			arrived: func(e events) { e.add(id(1), 10, true, at(10), 1, true) },
			rows:    func(*comparison) {}, missing: []byte{1},
		},
		{
			name: "a row of nothing", arrived: func(events) {},
			rows: func(c *comparison) { c.row(id(2), at(10), 1) }, unexpected: []byte{2},
		},
		{
			name:    "another user",
			arrived: func(e events) { e.add(id(1), 10, true, at(10), 1, true) },
			rows:    func(c *comparison) { c.row(id(1), changed(at(10), func(o *outcome) { o.user = "u2" }), 1) }, different: []byte{1},
		},
		{
			name:    "a skip in the place of an activity",
			arrived: func(e events) { e.add(id(1), 10, true, at(10), 1, true) },
			rows: func(c *comparison) {
				c.row(id(1), changed(at(10), func(o *outcome) { o.reason, o.user = schemas.Unmapped, "" }), 0)
			}, different: []byte{1},
		},
		{
			name:    "in both views",
			arrived: func(e events) { e.add(id(1), 10, true, at(10), 1, true) },
			rows:    func(c *comparison) { c.row(id(1), at(10), 1); c.row(id(1), at(10), 1) }, different: []byte{1},
		},
		{
			name:    "another weight is the operator's to choose",
			arrived: func(e events) { e.add(id(1), 10, true, at(10), 1, true) },
			rows:    func(c *comparison) { c.row(id(1), at(10), 0.5) }, weights: 1,
		},
		{
			name: "the first arrival wins, in whatever order they are read",
			arrived: func(e events) {
				e.add(id(1), 20, true, at(20), 1, true)
				e.add(id(1), 10, true, at(10), 1, true)
				e.add(id(1), 30, true, at(30), 1, true)
			},
			rows: func(c *comparison) { c.row(id(1), at(10), 1) },
		},
		{
			name: "the row of a later arrival",
			arrived: func(e events) {
				e.add(id(1), 10, true, at(10), 1, true)
				e.add(id(1), 20, true, at(20), 1, true)
			},
			rows: func(c *comparison) { c.row(id(1), at(20), 1) }, different: []byte{1},
		},
		{
			name: "two arrivals in one millisecond: either",
			arrived: func(e events) {
				e.add(id(1), 10, true, at(10), 1, true)
				e.add(id(1), 10, true, changed(at(10), func(o *outcome) { o.agent = 8 }), 1, true)
			},
			rows: func(c *comparison) { c.row(id(1), changed(at(10), func(o *outcome) { o.agent = 8 }), 1) },
		},
		{
			name:    "a repeat of what Kafka no longer has",
			arrived: func(e events) { e.add(id(1), 100, true, at(100), 1, true) },
			oldest:  func(schemas.Tenant) int64 { return 50 },
			rows:    func(c *comparison) { c.row(id(1), at(10), 1) },
		},
		{
			name: "a row from before what Kafka has is not judged", arrived: func(events) {},
			oldest: func(schemas.Tenant) int64 { return 50 },
			rows:   func(c *comparison) { c.row(id(3), at(10), 1) },
		},
		{
			name:    "an event before the range has no row in it",
			arrived: func(e events) { e.add(id(1), 10, false, at(10), 1, true) },
			rows:    func(*comparison) {},
		},
		{
			name:    "erased, and gone",
			arrived: func(e events) { e.add(id(1), 10, true, outcome{tenant: "acme"}, 0, false) },
			rows:    func(*comparison) {},
		},
		{
			name:    "erased, and back",
			arrived: func(e events) { e.add(id(1), 10, true, outcome{tenant: "acme"}, 0, false) },
			rows:    func(c *comparison) { c.row(id(1), at(10), 1) }, unexpected: []byte{1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			arrived := make(events)
			tt.arrived(arrived)
			if tt.oldest == nil {
				tt.oldest = always
			}
			// Twice: looking again begins anew.
			for range 2 {
				c := compare(arrived, tt.oldest)
				tt.rows(c)
				r := c.done()
				for what, pair := range map[string]struct {
					got  []Difference
					want []byte
				}{"missing": {r.Missing, tt.missing}, "different": {r.Different, tt.different}, "unexpected": {r.Unexpected, tt.unexpected}} {
					var got []byte
					for _, d := range pair.got {
						got = append(got, d.Event[15])
						if d.Tenant != "acme" {
							t.Errorf("%s: of tenant %q", what, d.Tenant)
						}
					}
					if !slices.Equal(got, pair.want) {
						t.Errorf("%s: %v, want %v", what, got, pair.want)
					}
				}
				if r.Weights != tt.weights {
					t.Errorf("weights: %d, want %d", r.Weights, tt.weights)
				}
				if r.Agrees() != (tt.missing == nil && tt.different == nil && tt.unexpected == nil) {
					t.Errorf("agrees: %v", r.Agrees())
				}
			}
		})
	}
}
