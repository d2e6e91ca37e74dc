package clickhouse_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
)

var silent = slog.New(slog.DiscardHandler)

func open(t *testing.T, dsn string) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func one[T any](t *testing.T, conn driver.Conn, query string) (v T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func columns(t *testing.T, conn driver.Conn, table string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT name, replaceRegexpOne(type, '^LowCardinality\\\\((.*)\\\\)$', '\\\\1') FROM system.columns WHERE database = currentDatabase() AND table = $1 ORDER BY position", table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			t.Fatal(err)
		}
		all = append(all, name+" "+typ)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMigrateMakesTheDatabaseAndTheViewsThatOthersRelyOn(t *testing.T) {
	dsn := clickhousetest.DSN(t)
	name, err := clickhouse.Database(dsn)
	if err != nil {
		t.Fatal(err)
	}
	// The database is not there yet, as on a first installation.
	if err := open(t, strings.Replace(dsn, name, "default", 1)).Exec(t.Context(), "DROP DATABASE "+name+" SYNC"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing is left to do, and nothing fails
		if err := clickhouse.Migrate(t.Context(), dsn, 25, silent); err != nil {
			t.Fatal(err)
		}
	}
	conn := open(t, dsn)
	for table, want := range map[string][]string{
		"activities": {
			"activity_id UUID", "tenant_id String", "user_id String", "category String", "kind String", "weight Float32",
			"ticket_id UInt64", "agent_id UInt64", "credited_as String", "actor_type String", "status_id Int32",
			"occurred_at DateTime64(3, 'UTC')", "received_at DateTime64(3, 'UTC')",
		},
		"skipped": {
			"event_id UUID", "tenant_id String", "kind String", "ticket_id UInt64", "agent_id UInt64", "reason String",
			"occurred_at DateTime64(3, 'UTC')", "received_at DateTime64(3, 'UTC')",
		},
		"daily_activity": {"tenant_id String", "user_id String", "day Date", "kind String", "events UInt64", "score Float64"},
	} {
		if got := columns(t, conn, table); !slices.Equal(got, want) {
			t.Errorf("%s has the columns\n%q, want\n%q", table, got, want)
		}
	}
	if n := one[uint64](t, conn, "SELECT count() FROM schema_migrations"); n != 4 {
		t.Errorf("%d migrations recorded, want 4: one was applied twice, or not recorded", n)
	}
}

func TestMigrateBringsAHalfMigratedDatabaseUpToDate(t *testing.T) {
	dsn := clickhousetest.DSN(t)
	conn := open(t, dsn)
	if err := clickhouse.Migrate(t.Context(), dsn, 25, silent); err != nil {
		t.Fatal(err)
	}
	// As after a death between a migration and its record.
	if err := conn.Exec(t.Context(), "TRUNCATE TABLE schema_migrations"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(t.Context(), "DROP VIEW skipped"); err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.Migrate(t.Context(), dsn, 25, silent); err != nil {
		t.Fatal(err)
	}
	if n := one[uint64](t, conn, "SELECT count() FROM skipped"); n != 0 {
		t.Errorf("skipped has %d rows, want none", n)
	}
}

func TestSeveralMigratesAtOnceAllSucceed(t *testing.T) {
	dsn := clickhousetest.DSN(t)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() { errs[i] = clickhouse.Migrate(t.Context(), dsn, 25, silent) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := one[uint64](t, open(t, dsn), "SELECT count() FROM schema_migrations FINAL"); n != 4 {
		t.Errorf("%d migrations recorded, want 4", n)
	}
}

func TestOneInsertMayHoldTimesOfEveryYear(t *testing.T) {
	dsn := clickhousetest.DSN(t)
	if err := clickhouse.Migrate(t.Context(), dsn, 25, silent); err != nil {
		t.Fatal(err)
	}
	conn := open(t, dsn)
	err := conn.Exec(t.Context(), `INSERT INTO outcomes_log (tenant_id, event_time, activity_id, received_at)
		SELECT 'acme', toDateTime64('1900-01-01 00:00:00', 3, 'UTC') + toIntervalDay(number * 20), generateUUIDv4(), now64(3) FROM numbers(7300)`)
	if err != nil {
		t.Fatalf("400 years of events in one insert: %v", clickhouse.Redact(err))
	}
	if n := one[uint64](t, conn, "SELECT uniqExact(_partition_id) FROM outcomes_log"); n != 97 {
		t.Errorf("%d partitions, want the 97 that the migration argues", n)
	}
}

func TestAnInsertIsNeverTakenForARepeatAndDropped(t *testing.T) {
	conn := open(t, clickhousetest.DSN(t))
	err := conn.Exec(t.Context(), "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100")
	if err != nil {
		t.Fatal(err)
	}
	insert := func(ctx context.Context) {
		if err := conn.Exec(ctx, "INSERT INTO t VALUES (7)"); err != nil {
			t.Fatal(err)
		}
	}
	insert(t.Context())
	insert(t.Context())
	if n := one[uint64](t, conn, "SELECT count() FROM t"); n != 1 {
		t.Fatalf("%d rows of two equal inserts without token: the table does not deduplicate, this proves nothing", n)
	}
	insert(clickhouse.Insert(t.Context(), "one"))
	insert(clickhouse.Insert(t.Context(), "two"))
	if n := one[uint64](t, conn, "SELECT count() FROM t"); n != 3 {
		t.Errorf("%d rows, want 3: an insert with a token of its own was dropped", n)
	}
}
