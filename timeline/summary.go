package timeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// mostRanked bounds the lists of a summary.
const mostRanked = 1000

// Summary counts what occurred from from on and before to, in the days and hours
// of a zone.
func (t *Timeline) Summary(ctx context.Context, tenant schemas.Tenant, from, to time.Time, zone *time.Location) (control.Summary, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	sum := newSummary(zone)
	whole := wholeDays(from, to)
	known, parts, err := t.recall(ctx, tenant, whole)
	if err != nil {
		return control.Summary{}, fmt.Errorf("summary: %w", err)
	}
	came := make(map[int64][]tally)
	for _, d := range whole {
		if _, ok := known[d]; !ok {
			came[d] = nil // also where nothing happened
		}
		for _, r := range known[d] {
			sum.add(r)
		}
	}
	query, args := tallies(tenant, pieces(from, to, whole, known), from, to)
	err = t.each(ctx, query, args, func(rows driver.Rows) error {
		var r tally
		var d int64
		if err := rows.Scan(&d, &r.quarterKind, &r.user, &r.reasonAgent, &r.set, &r.events, &r.score, &r.last); err != nil {
			return err
		}
		sum.add(r)
		if _, wanted := came[d]; wanted {
			came[d] = append(came[d], r)
		}
		return nil
	})
	if err != nil {
		return control.Summary{}, fmt.Errorf("summary: %w", err)
	}
	if len(came) == 0 {
		return sum.done(), nil
	}
	// What was appended between the two looks was perhaps counted and perhaps not.
	_, after, err := t.recall(ctx, tenant, whole)
	if err != nil {
		return control.Summary{}, fmt.Errorf("summary: %w", err)
	}
	maps.DeleteFunc(came, func(d int64, _ []tally) bool { return parts[d] == "" || parts[d] != after[d] })
	t.days.keep(tenant, parts, came)
	return sum.done(), nil
}

// quarter is the width in which activities are counted. Every zone's days and
// hours begin on one, in our time: offsets from UTC are whole quarters of an hour.
const quarter = 15 * time.Minute

// tally is a row of the one query of a summary, of a day of UTC: of a quarter and
// kind, of a user, or of a reason and agent, as set says. Of the others it has 0
// or "".
type tally struct {
	quarterKind uint64 // quarters since 1970, times 8, plus the kind; 0 for skips
	user        string // "" for skips
	reasonAgent uint64 // the agent, times 8, plus the reason; 0 for activities
	set         uint64
	events      int64
	score       float64
	last        int64
}

// The values of grouping(quarter_kind, user_id, reason_agent): a bit is set
// where the column is not grouped by.
const (
	byQuarter = 0b011
	byUser    = 0b101
	bySkip    = 0b110
)

// piece is a stretch of time, in milliseconds since 1970.
type piece struct{ from, to int64 }

// wholeDays are the days of UTC that lie in a stretch of time whole, from 2020 on:
// an event time before that is none.
func wholeDays(from, to time.Time) (whole []int64) {
	const length = int64(dayLength / time.Millisecond)
	first := max(ceilMilli(from), firstShown.UnixMilli())
	for d := (first + length - 1) / length; (d+1)*length <= ceilMilli(to); d++ {
		whole = append(whole, d)
	}
	return whole
}

var firstShown = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// pieces is what is left of a stretch of time without the days that are known.
func pieces(from, to time.Time, whole []int64, known map[int64][]tally) (left []piece) {
	const length = int64(dayLength / time.Millisecond)
	at := ceilMilli(from)
	until := func(end int64) {
		if at < end {
			left = append(left, piece{at, end})
		}
	}
	for _, d := range whole {
		if _, ok := known[d]; ok {
			until(d * length)
			at = (d + 1) * length
		}
	}
	until(ceilMilli(to))
	return left
}

// tallies is one pass over the rows, for reading and folding them is what a
// summary costs. It groups by numbers: seven million rows of strings cost three
// times as much.
//
// The three reads are those of the views, for the reasons that are given there: of
// what is shown at its event time the pieces, and what is shown at its arrival in
// the whole stretch. The day is that of the first, and 0 for the others. That
// displaced_at is 2000 says that occurred_at is event_time, and is read faster.
func tallies(tenant schemas.Tenant, some []piece, from, to time.Time) (string, []any) {
	const columns = "SELECT %s AS day, kind, user_id, reason, agent_id, weight, reinterpretAsInt64(%s) AS shown FROM outcomes_log AS log FINAL WHERE tenant_id = ? AND "
	const settings = " SETTINGS use_skip_indexes_if_final = %[1]d, use_skip_indexes_if_final_exact_mode = %[1]d, do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 0"
	plain, exact := fmt.Sprintf(settings, 0), fmt.Sprintf(settings, 1)
	var reads []string
	var args []any
	if len(some) > 0 {
		args = append(args, string(tenant))
		var ranges []string
		for _, p := range some {
			ranges = append(ranges, "log.event_time >= "+at+" AND log.event_time < "+at)
			args = append(args, p.from, p.to)
		}
		reads = append(reads, fmt.Sprintf(columns, fmt.Sprintf("intDiv(reinterpretAsInt64(log.event_time), %d)", dayLength.Milliseconds()), "log.event_time")+
			"("+strings.Join(ranges, " OR ")+") AND log.event_time >= '2020-01-01' AND log.displaced_at = toDateTime64('2000-01-01 00:00:00', 3, 'UTC')"+plain)
	}
	shown := func(column, which, settings string) {
		reads = append(reads, fmt.Sprintf(columns, "toInt64(0)", column)+column+" >= "+at+" AND "+column+" < "+at+" AND "+which+settings)
		args = append(args, string(tenant), ceilMilli(from), ceilMilli(to))
	}
	shown("log.occurred_at", "log.event_time < '2020-01-01'", plain)
	shown("log.displaced_at", "log.event_time >= '2020-01-01' AND log.occurred_at != log.event_time", exact)
	return `SELECT
			day,
			if(reason = '', toUInt64(intDiv(shown, ` + fmt.Sprint(quarter.Milliseconds()) + `) * 8 + ` + numbered("kind", schemas.Kinds()) + `), 0) AS quarter_kind,
			user_id,
			if(reason = '', 0, agent_id * 8 + ` + numbered("reason", schemas.Reasons()) + `) AS reason_agent,
			toUInt64(grouping(quarter_kind, user_id, reason_agent)),
			toInt64(count()), sum(weight), max(shown)
		FROM (` + strings.Join(reads, " UNION ALL ") + `)
		GROUP BY GROUPING SETS ((day, quarter_kind), (day, user_id), (day, reason_agent))`, args
}

// numbered is the place of a word in a closed list, from 1 on; 0 where it is none.
func numbered[T ~string](column string, words []T) string {
	var texts, numbers []string
	for i, w := range words {
		texts = append(texts, "'"+string(w)+"'")
		numbers = append(numbers, fmt.Sprint(i+1))
	}
	return fmt.Sprintf("transform(%s, [%s], [%s], 0)", column, strings.Join(texts, ", "), strings.Join(numbers, ", "))
}

// word is what numbered gave the number n.
func word[T ~string](n uint64, words []T) T {
	if n == 0 || n > uint64(len(words)) {
		return ""
	}
	return words[n-1]
}

// summary is what has been counted so far.
type summary struct {
	zone     *time.Location
	quarters map[uint64]slot
	days     map[dayKind]*control.DayCount
	users    map[string]*control.UserCount
	skipped  map[schemas.AgentID]*control.AgentCount
	out      control.Summary
}

type dayKind struct {
	day  string
	kind schemas.Kind
}

// slot is a quarter in the zone.
type slot struct {
	day           string
	weekday, hour int
}

func newSummary(zone *time.Location) *summary {
	return &summary{
		zone: zone, quarters: make(map[uint64]slot), days: make(map[dayKind]*control.DayCount),
		users: make(map[string]*control.UserCount), skipped: make(map[schemas.AgentID]*control.AgentCount),
		out: control.Summary{Coverage: control.Coverage{Skipped: map[schemas.Reason]int64{}}, AgentsSkipped: []control.AgentCount{}, Users: []control.UserCount{}},
	}
}

func (s *summary) add(r tally) {
	switch {
	case r.set == byQuarter && r.quarterKind != 0:
		at := s.slot(r.quarterKind / 8)
		k := dayKind{at.day, word(r.quarterKind%8, schemas.Kinds())}
		d := made(s.days, k, control.DayCount{Day: k.day, Kind: k.kind})
		d.Events += r.events
		d.Score += r.score
		s.out.ByHour[at.weekday][at.hour] += r.events
	case r.set == byUser && r.user != "":
		u := made(s.users, r.user, control.UserCount{UserID: schemas.UserID(r.user)})
		u.Events += r.events
		u.Score += r.score
		u.LastAt = later(u.LastAt, r.last)
	case r.set == bySkip:
		reason := word(r.reasonAgent%8, schemas.Reasons())
		count(&s.out.Coverage, reason, r.events)
		if reason == schemas.Unmapped {
			agent := schemas.AgentID(r.reasonAgent / 8)
			a := made(s.skipped, agent, control.AgentCount{AgentID: agent})
			a.Events += r.events
			a.LastAt = later(a.LastAt, r.last)
		}
	}
}

// made is what m has of k, at first the value.
func made[K comparable, V any](m map[K]*V, k K, first V) *V {
	if m[k] == nil {
		m[k] = &first
	}
	return m[k]
}

func later(t time.Time, millis int64) time.Time {
	if at := time.UnixMilli(millis).UTC(); at.After(t) {
		return at
	}
	return t
}

func (s *summary) slot(number uint64) slot {
	m, ok := s.quarters[number]
	if !ok {
		at := time.UnixMilli(int64(number) * quarter.Milliseconds()).In(s.zone)
		m = slot{at.Format(time.DateOnly), int(at.Weekday()+6) % 7, at.Hour()}
		s.quarters[number] = m
	}
	return m
}

// count adds events to a coverage.
func count(c *control.Coverage, reason schemas.Reason, n int64) {
	c.Events += n
	if reason == "" {
		c.Activities += n
	} else {
		c.Skipped[reason] += n
	}
}

func (s *summary) done() control.Summary {
	s.out.ByDay = make([]control.DayCount, 0, len(s.days))
	for _, d := range s.days {
		s.out.ByDay = append(s.out.ByDay, *d)
	}
	for _, u := range s.users {
		s.out.Users = append(s.out.Users, *u)
	}
	for _, a := range s.skipped {
		s.out.AgentsSkipped = append(s.out.AgentsSkipped, *a)
	}
	order := schemas.Kinds()
	slices.SortFunc(s.out.ByDay, func(a, b control.DayCount) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)))
	})
	slices.SortFunc(s.out.Users, func(a, b control.UserCount) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Events, a.Events), cmp.Compare(a.UserID, b.UserID))
	})
	slices.SortFunc(s.out.AgentsSkipped, func(a, b control.AgentCount) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.AgentID, b.AgentID))
	})
	s.out.Users = s.out.Users[:min(len(s.out.Users), mostRanked)]
	s.out.AgentsSkipped = s.out.AgentsSkipped[:min(len(s.out.AgentsSkipped), mostRanked)]
	return s.out
}
