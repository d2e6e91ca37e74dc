package timeline_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline"
)

// granules is how many granules a query reads, over all its reads of the log.
func granules(t *testing.T, conn driver.Conn, query string, args []any) (n int, plan string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), "EXPLAIN indexes = 1 "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var text strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		text.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`Parts: \d+ \| Granules: (\d+)`).FindAllStringSubmatch(text.String(), -1)
	if len(found) == 0 {
		t.Fatalf("no read in the plan:\n%s", &text)
	}
	for _, m := range found {
		g, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		n += g
	}
	return n, text.String()
}

func TestEachQueryReadsTheGranulesThatItNeeds(t *testing.T) {
	conn := months(t, 100_000)
	if err := conn.Exec(t.Context(), "OPTIMIZE TABLE outcomes_log FINAL"); err != nil {
		t.Fatal(err)
	}
	all, _ := granules(t, conn, "SELECT count() FROM outcomes_log WHERE tenant_id = ? AND NOT ignore(event_time)", []any{"big"})
	if all < 70 {
		t.Fatalf("the tenant has %d granules: this proves nothing", all)
	}
	end := july.AddDate(0, 0, 90)
	tl := timeline.New(conn, nothing{}, nothing{}, func() time.Time { return end })
	day := july.AddDate(0, 0, 40)
	rows, err := tl.Events(t.Context(), "big", control.Query{From: day, To: day.AddDate(0, 0, 1), Outcome: control.OutcomeActivity, Limit: 50})
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d events, %v", len(rows), err)
	}
	some := rows[0]
	id, err := schemas.ParseID(some.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		ask  func() (string, []any)
		most int
	}{
		// Nothing of the other two months is read but what has no time of its own and
		// granules at either end. A granule of the bucket without times spans months.
		{"a day of arrivals", func() (string, []any) {
			return timeline.EventsQuery("big", control.Query{}, day, day.AddDate(0, 0, 1))
		}, all/60 + 5},
		{"the last hour of arrivals", func() (string, []any) {
			return timeline.EventsQuery("big", control.Query{}, end.Add(-time.Hour), time.Time{})
		}, 4},
		{"one row folded", func() (string, []any) { return timeline.FoldedQuery("big", some.OccurredAt, some.ID) }, 3},
		{"one event by its id", func() (string, []any) { return timeline.ExplainQuery("big", id) }, 6},
		{"seven days of agents who are mapped to nobody", func() (string, []any) { return timeline.UnmappedQuery("big", end.AddDate(0, 0, -7)) }, all/8 + 5},
		{"a week's summary", func() (string, []any) { return timeline.SummaryQuery("big", day, day.AddDate(0, 0, 7)) }, all/10 + 6},
	} {
		query, args := c.ask()
		if n, plan := granules(t, conn, query, args); n > c.most {
			t.Errorf("%s reads %d granules of %d, want at most %d:\n%s", c.name, n, all, c.most, plan)
		}
	}
}
