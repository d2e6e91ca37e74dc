package clickhousetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
)

// Month appends thirty days of events from first on, day by day, as they arrive:
// the tenant big has n of them and 500 users, nine others have a twentieth each.
// Nearly all happen between 7 and 19 o'clock on weekdays and arrive a minute
// later; a fiftieth arrives twice, a thousandth has no time of its own, a tenth is
// skipped.
func Month(t testing.TB, conn driver.Conn, first time.Time, n int) {
	t.Helper()
	weekdays := 0
	working := func(at time.Time) bool { return at.Weekday() != time.Saturday && at.Weekday() != time.Sunday }
	for day := range 30 {
		if working(first.AddDate(0, 0, day)) {
			weekdays++
		}
	}
	for day := range 30 {
		at := first.AddDate(0, 0, day)
		share := n * 96 / 100 / weekdays
		if !working(at) {
			share = n * 4 / 100 / (30 - weekdays)
		}
		err := conn.Exec(t.Context(), fmt.Sprintf(`
			INSERT INTO outcomes_log
			WITH
				number %% %[4]d AS event, -- beyond are events that arrive twice
				event < %[1]d ? 'big' : 'tenant-' || toString(event %% 9) AS tenant,
				sipHash64(%[2]d, event) AS dice,
				toDateTime64('%[3]s', 3, 'UTC') + INTERVAL 7 HOUR + toIntervalMillisecond(dice %% (12 * 3600 * 1000)) AS happened,
				happened + toIntervalMillisecond(45000 + dice %% 60000 + (number >= %[4]d ? 3600000 : 0)) AS arrived,
				dice %% 997 = 0 ? toDateTime64(0, 3, 'UTC') : happened AS stated,
				dice %% 10 = 3 AS skipped
			SELECT
				tenant, stated, reinterpretAsUUID(sipHash128(%[2]d, event)),
				bitShiftLeft(281474976710655 - toUnixTimestamp64Milli(arrived), 16) + dice %% 65536,
				skipped ? 'unmapped' : '', skipped ? '' : 'user-' || toString(intDiv(dice, 100) %% 500), skipped ? '' : 'Ticket',
				['ticket_logged', 'status_changed', 'updated_by_agent', 'updated_by_user'][1 + dice %% 4], skipped ? 0 : 1,
				1000 + intDiv(event, 7), 2 + intDiv(dice, 100) %% 500, skipped ? '' : 'assignee', skipped ? '' : 'agent', dice %% 30,
				stated = toDateTime64(0, 3, 'UTC') ? arrived : stated, arrived
			FROM numbers(%[5]d)`, share, at.Unix()/86400, at.Format(time.DateOnly), share*145/100, share*148/100))
		if err != nil {
			t.Fatalf("load %s: %v", at.Format(time.DateOnly), clickhouse.Redact(err))
		}
	}
}

// Settle waits until what was loaded within seconds is merged, as months that
// came in months are.
func Settle(t testing.TB, conn driver.Conn) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		var merging uint64
		if err := conn.QueryRow(t.Context(), "SELECT count() FROM system.merges").Scan(&merging); err != nil {
			t.Fatal(err)
		}
		if merging == 0 {
			return
		}
	}
}
