package clickhouse_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
)

// september is the month that load fills.
var september = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)

func load(t testing.TB, n int) driver.Conn {
	t.Helper()
	dsn := clickhousetest.DSN(t)
	if err := clickhouse.Migrate(t.Context(), dsn, 240, silent); err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	clickhousetest.Month(t, conn, september, n)
	return conn
}

// oneDay is what a timeline asks for: one user's day, by the time that people
// see, on the view.
func oneDay(user int, day time.Time) string {
	return fmt.Sprintf(`SELECT activity_id, kind, weight, ticket_id, agent_id, credited_as, actor_type, status_id, occurred_at, received_at FROM activities
		WHERE tenant_id = 'big' AND user_id = 'user-%d' AND occurred_at >= toDateTime64('%s', 3, 'UTC') AND occurred_at < toDateTime64('%s', 3, 'UTC')
		ORDER BY occurred_at DESC, activity_id LIMIT 1000`, user, day.Format(time.DateOnly), day.AddDate(0, 0, 1).Format(time.DateOnly))
}

func explain(t testing.TB, conn driver.Conn, query string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "EXPLAIN indexes = 1 "+query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// read is how many granules the plan reads, over all its reads of the table.
func read(t testing.TB, plan string) (n int) {
	t.Helper()
	reads := regexp.MustCompile(`Parts: \d+ \| Granules: (\d+)`).FindAllStringSubmatch(plan, -1)
	if len(reads) == 0 || strings.Count(plan, "FINAL: 1") != len(reads) {
		t.Fatalf("%d reads in the plan, and not all of them are folded:\n%s", len(reads), plan)
	}
	for _, m := range reads {
		granules, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		n += granules
	}
	return n
}

func TestADayOfATenantReadsItsGranulesOnlyUnderFinal(t *testing.T) {
	conn := load(t, 250_000)
	if err := conn.Exec(t.Context(), "OPTIMIZE TABLE outcomes_log FINAL"); err != nil {
		t.Fatal(err)
	}
	const month = "SELECT count() FROM activities WHERE tenant_id = 'big'"
	all := read(t, explain(t, conn, month))
	if all < 50 {
		t.Fatalf("the tenant's month has %d granules: this proves nothing", all)
	}
	day := september.AddDate(0, 0, 9)
	queries := map[string]string{
		"one user's day":              oneDay(17, day),
		"a day by toDate":             "SELECT count() FROM activities WHERE tenant_id = 'big' AND toDate(occurred_at) = '2026-09-10'",
		"a day of skips":              "SELECT count() FROM skipped WHERE tenant_id = 'big' AND toDate(occurred_at) = '2026-09-10'",
		"a day of scores":             "SELECT user_id, score FROM daily_activity WHERE tenant_id = 'big' AND day = '2026-09-10'",
		"the latest hundred of a day": "SELECT * FROM activities WHERE tenant_id = 'big' AND occurred_at >= '2026-09-10' AND occurred_at < '2026-09-11' ORDER BY occurred_at DESC LIMIT 100",
	}
	prunes := func(t *testing.T) {
		t.Helper()
		for name, query := range queries {
			plan := explain(t, conn, query)
			// A twenty-second of the month, a neighbour at either end, and what
			// has no event time.
			if n := read(t, plan); n > all/22+6 {
				t.Errorf("%s reads %d granules, and the month has %d:\n%s", name, n, all, plan)
			}
		}
	}
	prunes(t)
	// Parts of the last seconds are small: one granule from the first tenant to
	// the last. Had the day been found by a skip index, the engine would read all
	// that such a granule touches.
	for i := range 3 {
		appendSmall(t, conn, day, i)
	}
	prunes(t)
}

// appendSmall appends 200 events of all tenants at the end of day, as the sink
// does twice a second.
func appendSmall(t testing.TB, conn driver.Conn, day time.Time, i int) {
	t.Helper()
	err := conn.Exec(t.Context(), fmt.Sprintf(`INSERT INTO outcomes_log
		SELECT number %% 2 ? 'big' : 'tenant-' || toString(number %% 9), at, generateUUIDv4(), 1, '', 'user-' || toString(number %% 500),
			'Ticket', 'status_changed', 1, number, 2, 'actor', 'agent', 0, at, at
		FROM (SELECT number, toDateTime64('%s 19:00:00', 3, 'UTC') + toIntervalSecond(%d) + toIntervalMillisecond(number) AS at FROM numbers(200))`,
		day.Format(time.DateOnly), i))
	if err != nil {
		t.Fatal(err)
	}
}
