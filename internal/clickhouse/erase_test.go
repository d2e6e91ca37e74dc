package clickhouse_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/schemas"
)

// crowd appends events of 20 users of two tenants, three each, and of each user's
// first event a repeat that is credited to the next user.
func crowd(t *testing.T, conn driver.Conn, at time.Time) {
	t.Helper()
	for repeat := range 2 {
		err := conn.Exec(t.Context(), fmt.Sprintf(`INSERT INTO outcomes_log (tenant_id, event_time, activity_id, version, user_id, kind, occurred_at, received_at)
			SELECT ['acme', 'other'][1 + number %% 2], at, reinterpretAsUUID(sipHash128(number)), 1000 - %[2]d, 'user-' || toString((intDiv(number, 2) + %[2]d) %% 20), 'status_changed', at, at + %[2]d
			FROM (SELECT number, toDateTime64('%[1]s', 3, 'UTC') + number AS at FROM numbers(%[3]d))`, at.Format(time.DateTime), repeat, 120-repeat*80))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// shown is what the views and the log hold, a line for each row.
func shown(t *testing.T, conn driver.Conn, of string) (lines []string) {
	t.Helper()
	for _, from := range []string{"activities", "skipped", "daily_activity", "outcomes_log"} {
		rows, err := conn.Query(t.Context(), "SELECT toString(tuple(*)) AS line FROM "+from+" WHERE "+of+" ORDER BY line")
		if from == "skipped" {
			rows, err = conn.Query(t.Context(), "SELECT toString(tuple(*)) AS line FROM skipped ORDER BY line")
		}
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, from+": "+line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

func TestAnErasedPersonIsInNoViewAndEverybodyElseIsAsBefore(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	at := time.Now().UTC().Truncate(time.Hour).Add(-48 * time.Hour)
	crowd(t, conn, at)
	const he, others = "tenant_id = 'acme' AND user_id = 'user-7'", "NOT (tenant_id = 'acme' AND user_id IN ('user-7', 'user-8'))"
	// The repeat of his first event is credited to user-8, and another's event has a
	// repeat that is credited to him.
	if n := one[uint64](t, conn, "SELECT count() FROM outcomes_log WHERE "+he); n != 4 {
		t.Fatalf("he has %d rows: this proves nothing", n)
	}
	before := shown(t, conn, others)
	of8 := one[uint64](t, conn, "SELECT count() FROM activities WHERE tenant_id = 'acme' AND user_id = 'user-8'")
	e := clickhouse.NewEraser(conn)
	rows, err := e.Erase(t.Context(), "acme", "user-7", at.Add(time.Hour))
	if err != nil || rows != 3 {
		t.Fatalf("%d rows, %v; want his 3 activities", rows, err)
	}
	for _, from := range []string{"activities", "daily_activity", "outcomes_log"} {
		if n := one[uint64](t, conn, "SELECT count() FROM "+from+" WHERE "+he); n != 0 {
			t.Errorf("%s still has %d rows of him", from, n)
		}
	}
	if n := one[uint64](t, conn, "SELECT count() FROM activities WHERE tenant_id = 'acme' AND user_id = 'user-8'"); n != of8 {
		t.Errorf("user-8 had %d activities and has %d: a repeat of the erased one's came up", of8, n)
	}
	if after := shown(t, conn, others); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("the rows of others changed: %d lines before, %d after", len(before), len(after))
	}
	// Again, and somebody whom nobody knows.
	for _, user := range []schemas.UserID{"user-7", "nobody", "' OR 1=1 --"} {
		if rows, err := e.Erase(t.Context(), "acme", user, at.Add(time.Hour)); err != nil || rows != 0 {
			t.Errorf("%s: %d rows, %v", user, rows, err)
		}
	}
}

func TestWhatArrivedAfterTheErasureStays(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	at := time.Now().UTC().Truncate(time.Hour).Add(-48 * time.Hour)
	crowd(t, conn, at)
	// His events in acme arrive in the 14th, 54th and 94th second.
	rows, err := clickhouse.NewEraser(conn).Erase(t.Context(), "acme", "user-7", at.Add(60*time.Second))
	if err != nil || rows != 2 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if n := one[uint64](t, conn, "SELECT count() FROM activities WHERE tenant_id = 'acme' AND user_id = 'user-7'"); n != 1 {
		t.Errorf("%d activities are left, want the one that arrived later", n)
	}
}

func TestAnErasedTenantIsGoneFromTheViewsAndThenFromTheParts(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	at := time.Now().UTC().Truncate(time.Hour).Add(-48 * time.Hour)
	crowd(t, conn, at)
	before := shown(t, conn, "tenant_id = 'other'")
	e := clickhouse.NewEraser(conn)
	if gone, err := e.Gone(t.Context()); err != nil || !gone {
		t.Errorf("nothing was erased, and it is not gone: %v", err)
	}
	rows, err := e.Erase(t.Context(), "acme", "", at.Add(time.Hour))
	if err != nil || rows != 60 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if n := one[uint64](t, conn, "SELECT count() FROM outcomes_log WHERE tenant_id = 'acme'"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if after := shown(t, conn, "tenant_id = 'other'"); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Error("the rows of the other tenant changed")
	}
	// Parts that were replaced are taken off the disk half a minute later; here
	// it is enough that those that are read hold nothing of him.
	if gone, err := e.Gone(t.Context()); err != nil || gone {
		t.Errorf("gone from the disk at once: %v, %v", gone, err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for one[uint64](t, conn, "SELECT count() FROM system.parts WHERE database = currentDatabase() AND active AND has_lightweight_delete") > 0 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the parts are never written anew")
		}
	}
}
