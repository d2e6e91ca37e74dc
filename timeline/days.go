package timeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/schemas"
)

// days remembers what whole days came to, so that a summary of three months reads
// what is new since the last one and not seven million rows again.
//
// What is remembered of a day is true as long as the same parts of the log hold the
// day's rows, with as many of the tenant's rows in each: a part never changes.
// Every row that is appended, folded, altered, erased or expired is in a part of
// another name, or is missing from the count. Which parts there are is asked each
// time, and costs reading one small column.
type days struct {
	mu      sync.Mutex
	tenants map[schemas.Tenant]*dayBook
	uses    uint64
}

// dayBook is what is known of a tenant. Its days are by their number since 1970.
type dayBook struct {
	parts map[part][]int64
	days  map[int64]day
	held  int    // tallies, in all days
	used  uint64 // when it was last asked for
}

// part is a part of the log as the tenant sees it: its name, and how many of its
// rows are the tenant's.
type part struct {
	name string
	rows uint64
}

// day is what a day came to while the parts were those.
type day struct {
	parts   string
	tallies []tally
}

// mostTallies bounds what is remembered, at some 70 bytes each. A tenant with 2.5
// million activities a month has a thousand a day.
const mostTallies = 300_000

const dayLength = 24 * time.Hour

func newDays() *days { return &days{tenants: make(map[schemas.Tenant]*dayBook)} }

// recall is what is remembered of the days, and of those that have to be read the
// parts that hold them now: "" where that is not known.
func (t *Timeline) recall(ctx context.Context, tenant schemas.Tenant, wanted []int64) (known map[int64][]tally, parts map[int64]string, err error) {
	known, parts = make(map[int64][]tally), make(map[int64]string)
	if len(wanted) == 0 {
		return known, parts, nil
	}
	there, err := t.parts(ctx, tenant, wanted)
	if err != nil {
		return nil, nil, err
	}
	holds, unread := t.days.holding(tenant, there)
	if len(unread) > 0 {
		read, whole, err := t.holding(ctx, tenant, unread)
		if err != nil {
			return nil, nil, err
		}
		if !whole { // merged meanwhile
			return known, parts, nil
		}
		t.days.hold(tenant, there, read)
		for p, in := range read {
			holds[p] = in
		}
	}
	names := make(map[int64][]string)
	for p, in := range holds {
		for _, d := range in {
			names[d] = append(names[d], fmt.Sprintf("%s:%d", p.name, p.rows))
		}
	}
	t.days.mu.Lock()
	defer t.days.mu.Unlock()
	book := t.days.book(tenant)
	for _, d := range wanted {
		slices.Sort(names[d])
		parts[d] = strings.Join(names[d], " ") + "."
		if have, ok := book.days[d]; ok && have.parts == parts[d] {
			known[d] = have.tallies
		}
	}
	return known, parts, nil
}

// parts are those of the log that may hold the days, whole.
func (t *Timeline) parts(ctx context.Context, tenant schemas.Tenant, wanted []int64) ([]part, error) {
	var there []part
	err := t.each(ctx, "SELECT _part, count() FROM outcomes_log WHERE tenant_id = ? AND _partition_id IN ('"+strings.Join(partitionIDs(wanted), "', '")+"') GROUP BY _part",
		[]any{string(tenant)}, func(rows driver.Rows) error {
			var p part
			err := rows.Scan(&p.name, &p.rows)
			there = append(there, p)
			return err
		})
	return there, err
}

// partitionIDs are the partitions of days, as outcomes_log is cut.
func partitionIDs(wanted []int64) (ids []string) {
	for _, d := range wanted {
		id, at := "0", time.Unix(d*int64(dayLength/time.Second), 0).UTC()
		if at.Year() >= 2020 && at.Year() < 2044 {
			id = fmt.Sprint(at.Year()*10 + (int(at.Month())+2)/3)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// holding reads which days parts hold; whole is false where one of them is not
// there any more as it was.
func (t *Timeline) holding(ctx context.Context, tenant schemas.Tenant, of []part) (in map[part][]int64, whole bool, err error) {
	in = make(map[part][]int64)
	left := make(map[string]uint64)
	var names []string
	for _, p := range of {
		in[p], left[p.name] = nil, p.rows
		names = append(names, "'"+p.name+"'") // the engine wrote it
	}
	read := make(map[string][]int64)
	err = t.each(ctx, fmt.Sprintf("SELECT _part, intDiv(reinterpretAsInt64(event_time), %d) AS day, count() FROM outcomes_log WHERE tenant_id = ? AND _part IN (%s) GROUP BY _part, day",
		dayLength.Milliseconds(), strings.Join(names, ", ")), []any{string(tenant)}, func(rows driver.Rows) error {
		var name string
		var d int64
		var n uint64
		err := rows.Scan(&name, &d, &n)
		read[name] = append(read[name], d)
		left[name] -= n
		return err
	})
	for p := range in {
		in[p] = read[p.name]
		if left[p.name] != 0 {
			return nil, false, err
		}
	}
	return in, true, err
}

// holding is what is known of which days the parts hold, and of which parts it is not.
func (r *days) holding(tenant schemas.Tenant, there []part) (holds map[part][]int64, unread []part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	book := r.book(tenant)
	holds = make(map[part][]int64)
	for _, p := range there {
		if in, ok := book.parts[p]; ok {
			holds[p] = in
		} else {
			unread = append(unread, p)
		}
	}
	return holds, unread
}

// hold notes which days parts hold, and forgets parts that are gone: those of the
// partitions of the parts that are there.
func (r *days) hold(tenant schemas.Tenant, there []part, read map[part][]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	book := r.book(tenant)
	asked := make(map[string]bool)
	for _, p := range there {
		asked[partition(p)] = true
	}
	for p := range book.parts {
		if asked[partition(p)] && !slices.Contains(there, p) {
			delete(book.parts, p)
		}
	}
	for p, in := range read {
		book.parts[p] = in
	}
}

func partition(p part) string {
	id, _, _ := strings.Cut(p.name, "_")
	return id
}

// keep remembers what days came to, and forgets tenants that nobody asked for.
func (r *days) keep(tenant schemas.Tenant, parts map[int64]string, came map[int64][]tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	book := r.book(tenant)
	for d, tallies := range came {
		book.held += len(tallies) - len(book.days[d].tallies)
		book.days[d] = day{parts[d], tallies}
	}
	for {
		held, idlest := 0, tenant
		for t, b := range r.tenants {
			if held += b.held; b.used < r.tenants[idlest].used {
				idlest = t
			}
		}
		if held <= mostTallies {
			return
		}
		delete(r.tenants, idlest)
		if idlest == tenant {
			return
		}
	}
}

// book is what is known of a tenant. mu is held.
func (r *days) book(tenant schemas.Tenant) *dayBook {
	r.uses++
	b := r.tenants[tenant]
	if b == nil {
		b = &dayBook{parts: make(map[part][]int64), days: make(map[int64]day)}
		r.tenants[tenant] = b
	}
	b.used = r.uses
	return b
}
