package timeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// mostRanked is how long the lists of a summary are.
const mostRanked = 100

// Summary counts what occurred from from on and before to, in the days and hours
// of a zone.
func (t *Timeline) Summary(ctx context.Context, tenant schemas.Tenant, from, to time.Time, zone *time.Location) (control.Summary, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	sum := newSummary(zone)
	query, args := tallies(tenant, from, to)
	err := t.each(ctx, query, args, func(rows driver.Rows) error {
		var r tally
		err := rows.Scan(&r.quarterKind, &r.user, &r.reasonAgent, &r.set, &r.events, &r.score, &r.last)
		sum.add(r)
		return err
	})
	if err != nil {
		return control.Summary{}, fmt.Errorf("summary: %w", err)
	}
	return sum.done(), nil
}

// quarter is the width in which activities are counted. Every zone's days and
// hours begin on one, in our time: offsets from UTC are whole quarters of an hour.
const quarter = 15 * time.Minute

// tally is a row of the one query of a summary: of a quarter and kind, of a user,
// or of a reason and agent, as set says. Of the others it has 0 or "".
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

// tallies is one pass over the rows, for reading and folding them is what a
// summary costs. It groups by numbers: seven million rows of strings cost three
// times as much.
//
// The three reads are those of the views, for the reasons that are given there.
func tallies(tenant schemas.Tenant, from, to time.Time) (string, []any) {
	const columns = "SELECT kind, user_id, reason, agent_id, weight, reinterpretAsInt64(%[1]s) AS shown FROM outcomes_log AS log FINAL WHERE tenant_id = ? AND %[1]s >= " + at + " AND %[1]s < " + at + " AND %[2]s"
	const settings = " SETTINGS use_skip_indexes_if_final = %[1]d, use_skip_indexes_if_final_exact_mode = %[1]d, do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 0"
	plain, exact := fmt.Sprintf(settings, 0), fmt.Sprintf(settings, 1)
	one := []any{string(tenant), ceilMilli(from), ceilMilli(to)}
	return `SELECT
			if(reason = '', toUInt64(intDiv(shown, ` + fmt.Sprint(quarter.Milliseconds()) + `) * 8 + ` + numbered("kind", schemas.Kinds()) + `), 0) AS quarter_kind,
			user_id,
			if(reason = '', 0, agent_id * 8 + ` + numbered("reason", schemas.Reasons()) + `) AS reason_agent,
			toUInt64(grouping(quarter_kind, user_id, reason_agent)),
			toInt64(count()), sum(weight), max(shown)
		FROM (` +
			fmt.Sprintf(columns, "log.event_time", "log.event_time >= '2020-01-01' AND log.occurred_at = log.event_time") + plain + " UNION ALL " +
			fmt.Sprintf(columns, "log.occurred_at", "log.event_time < '2020-01-01'") + plain + " UNION ALL " +
			fmt.Sprintf(columns, "log.displaced_at", "log.event_time >= '2020-01-01' AND log.occurred_at != log.event_time") + exact + `)
		GROUP BY GROUPING SETS ((quarter_kind), (user_id), (reason_agent))`,
		append(append(append([]any{}, one...), one...), one...)
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
	zone *time.Location
	days map[dayKind]*control.DayCount
	out  control.Summary
}

type dayKind struct {
	day  string
	kind schemas.Kind
}

func newSummary(zone *time.Location) *summary {
	return &summary{zone: zone, days: make(map[dayKind]*control.DayCount), out: control.Summary{
		Coverage:      control.Coverage{Skipped: map[schemas.Reason]int64{}},
		AgentsSkipped: []control.AgentCount{},
		Users:         []control.UserCount{},
	}}
}

func (s *summary) add(r tally) {
	last := time.UnixMilli(r.last).UTC()
	switch {
	case r.set == byQuarter && r.quarterKind != 0:
		at := time.UnixMilli(int64(r.quarterKind/8) * quarter.Milliseconds()).In(s.zone)
		k := dayKind{at.Format(time.DateOnly), word(r.quarterKind%8, schemas.Kinds())}
		if s.days[k] == nil {
			s.days[k] = &control.DayCount{Day: k.day, Kind: k.kind}
		}
		s.days[k].Events += r.events
		s.days[k].Score += r.score
		s.out.ByHour[(at.Weekday()+6)%7][at.Hour()] += r.events
	case r.set == byUser && r.user != "":
		s.out.Users = append(s.out.Users, control.UserCount{UserID: schemas.UserID(r.user), Events: r.events, Score: r.score, LastAt: last})
	case r.set == bySkip:
		reason := word(r.reasonAgent%8, schemas.Reasons())
		count(&s.out.Coverage, reason, r.events)
		if reason == schemas.Unmapped {
			s.out.AgentsSkipped = append(s.out.AgentsSkipped, control.AgentCount{AgentID: schemas.AgentID(r.reasonAgent / 8), Events: r.events, LastAt: last})
		}
	}
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
