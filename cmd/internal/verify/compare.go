package verify

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/worksights/halo-connector/schemas"
)

// Difference names an event whose row is not what it should be.
type Difference struct {
	Tenant schemas.Tenant `json:"tenant"`
	Event  schemas.ID     `json:"event"`
}

// Report is what a comparison found. The lists are sorted by tenant and event.
type Report struct {
	Events     int          `json:"events"`     // of the range, each once however often it arrived
	Rows       int          `json:"rows"`       // of the range, in both views
	Missing    []Difference `json:"missing"`    // the event left no row
	Different  []Difference `json:"different"`  // the row is not what the event comes to, or the event has two
	Unexpected []Difference `json:"unexpected"` // no event accounts for the row
	Weights    int          `json:"weights"`    // rows that differ in their weight alone, which is no difference
}

// Agrees says whether every row is what it should be.
func (r Report) Agrees() bool { return len(r.Missing)+len(r.Different)+len(r.Unexpected) == 0 }

// expected is what an event should have left. The first arrival wins.
type expected struct {
	outcome outcome
	weight  float32
	also    []outcome // of arrivals in the same millisecond, between which ClickHouse decides by a digest
	erased  bool      // it should have left nothing
	inRange bool      // an arrival of it lies in the range
	row     bool      // its row was seen
}

// events are what arrived.
type events map[schemas.ID]*expected

// add notes an arrival of an event.
func (e events) add(id schemas.ID, received int64, inRange bool, o outcome, weight float32, ok bool) {
	x, known := e[id]
	switch {
	case !known:
		e[id] = &expected{outcome: o, weight: weight, erased: !ok, inRange: inRange}
		e[id].outcome.received = received
		return
	case received < x.outcome.received:
		o.received = received
		x.outcome, x.weight, x.also, x.erased = o, weight, nil, !ok
	case received == x.outcome.received && ok && o != x.outcome:
		if x.erased {
			x.outcome, x.weight, x.erased = o, weight, false
		} else if !slices.Contains(x.also, o) {
			x.also = append(x.also, o)
		}
	}
	x.inRange = x.inRange || inRange
}

// comparison goes through the rows once and then says what is left.
type comparison struct {
	events events
	oldest func(schemas.Tenant) int64 // Kafka holds all that arrived from here on, in milliseconds
	report Report
}

func compare(e events, oldest func(schemas.Tenant) int64) *comparison {
	for _, x := range e {
		x.row = false
	}
	return &comparison{events: e, oldest: oldest, report: Report{Missing: []Difference{}, Different: []Difference{}, Unexpected: []Difference{}}}
}

// row takes one row of a view. Those that arrived before what Kafka holds are
// not judged.
func (c *comparison) row(id schemas.ID, o outcome, weight float32) {
	x, known := c.events[id]
	if known && !x.inRange {
		return // it arrived in the range's margin
	}
	if o.received < c.oldest(o.tenant) && (!known || o.received < x.outcome.received) {
		if known {
			x.row = true // of an arrival that Kafka no longer has
		}
		return
	}
	c.report.Rows++
	d := Difference{o.tenant, id}
	switch {
	case !known || x.erased:
		c.report.Unexpected = append(c.report.Unexpected, d)
	case x.row: // in both views
		c.report.Different = append(c.report.Different, d)
	case o != x.outcome && !slices.Contains(x.also, o):
		c.report.Different = append(c.report.Different, d)
	case weight != x.weight && o == x.outcome:
		c.report.Weights++
	}
	if known {
		x.row = true
	}
}

// missing says whether an event has no row yet.
func (c *comparison) missing() bool {
	for _, x := range c.events {
		if x.inRange && !x.row && !x.erased {
			return true
		}
	}
	return false
}

// done is the report, once all rows were taken.
func (c *comparison) done() Report {
	r := &c.report
	for id, x := range c.events {
		if !x.inRange {
			continue
		}
		r.Events++
		if !x.row && !x.erased {
			r.Missing = append(r.Missing, Difference{x.outcome.tenant, id})
		}
	}
	for _, list := range []*[]Difference{&r.Missing, &r.Different, &r.Unexpected} {
		slices.SortFunc(*list, func(a, b Difference) int {
			return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), bytes.Compare(a.Event[:], b.Event[:]))
		})
		*list = slices.Compact(*list)
	}
	return *r
}
