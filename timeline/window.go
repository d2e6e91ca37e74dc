package timeline

import (
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/control"
)

// conditions are the WHERE of a query and what it names.
type conditions struct {
	conds []string
	args  []any
}

func (c conditions) and(cond string, args ...any) conditions {
	return conditions{append(append([]string{}, c.conds...), cond), append(append([]any{}, c.args...), args...)}
}

func (c conditions) where() string { return strings.Join(c.conds, " AND ") }

// at is how an instant stands in a query: in milliseconds, for the driver would
// cut a time.Time to seconds.
const at = "fromUnixTimestamp64Milli(?, 'UTC')"

// span adds From <= column < To; a zero time is no bound.
func (c conditions) span(column string, from, to time.Time) conditions {
	if !from.IsZero() {
		c = c.and(column+" >= "+at, ceilMilli(from))
	}
	if !to.IsZero() {
		c = c.and(column+" < "+at, ceilMilli(to))
	}
	return c
}

// behind adds that a row comes after p in a list that is sorted by column and id,
// both descending. ids are compared as text: ClickHouse sorts a UUID by its
// second half, and a cursor that rests on that would break when it changes.
func (c conditions) behind(p *control.Position, column string) conditions {
	if p == nil {
		return c
	}
	// The first condition is what prunes; the second is exact.
	return c.and(column+" <= "+at, p.At.UnixMilli()).
		and("("+column+" < "+at+" OR toString(activity_id) < ?)", p.At.UnixMilli(), p.ID.String())
}

// ceilMilli makes bounds between two milliseconds mean what they say of rows
// that lie on whole ones. ClickHouse's DateTime64 begins in 1900 and ends in 2299.
func ceilMilli(t time.Time) int64 {
	t = clampTime(t)
	n := t.UnixMilli()
	if time.UnixMilli(n).Before(t) {
		n++
	}
	return n
}

var (
	firstTime = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(2299, 1, 1, 0, 0, 0, 0, time.UTC)
)

func clampTime(t time.Time) time.Time {
	if t.Before(firstTime) {
		return firstTime
	}
	if t.After(lastTime) {
		return lastTime
	}
	return t
}

// windows cuts a walk from new to old into stretches, each four times as long
// as the one before it: the newest hundred of a year are nearly always in its
// last hour, and a query that were not told so would sort the year. The first is
// open at its end, for clocks differ, and the last at its beginning.
type windows struct {
	from, to time.Time // of what was asked; zero: no bound
	next     time.Time // where the next one ends; zero at first
	width    time.Duration
	over     bool
}

const firstWindow = time.Hour

// newWindows is the walk of q at the instant now.
func newWindows(q control.Query, now time.Time) *windows {
	w := &windows{from: q.From, to: q.To, width: firstWindow, next: now}
	if q.After != nil && (w.to.IsZero() || q.After.At.Before(w.to)) {
		w.to = q.After.At.Add(time.Millisecond)
	}
	if !w.to.IsZero() && w.to.Before(now) {
		w.next = w.to
	}
	return w
}

// step is the next window; ok is false after the last.
func (w *windows) step() (from, to time.Time, ok bool) {
	if w.over {
		return from, to, false
	}
	if w.width > firstWindow {
		to = w.next
	} else {
		to = w.to // the first
	}
	from = w.next.Add(-w.width)
	w.next, w.width = from, w.width*4
	const longest = 400 * 24 * time.Hour
	if w.width > longest*4 || !w.from.IsZero() && !from.After(w.from) {
		from, w.over = w.from, true
	}
	return from, to, true
}
