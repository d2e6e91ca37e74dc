package clickhouse_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
)

func kept(t *testing.T, dsn string) string {
	t.Helper()
	return one[string](t, open(t, dsn), "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes_log'")
}

func TestMigrateSetsTheRetention(t *testing.T) {
	dsn := clickhousetest.DSN(t)
	for _, months := range []int{25, 3, 25} {
		if err := clickhouse.Migrate(t.Context(), dsn, months, silent); err != nil {
			t.Fatal(err)
		}
		if engine, want := kept(t, dsn), fmt.Sprintf("TTL toDateTime(received_at) + toIntervalMonth(%d) ", months); !strings.Contains(engine, want) {
			t.Errorf("engine %q, want %q in it", engine, want)
		}
	}
	for _, months := range []int{0, -1, 241} {
		if err := clickhouse.Migrate(t.Context(), dsn, months, silent); !errors.Is(err, clickhouse.ErrRetention) {
			t.Errorf("a retention of %d months: %v, want %v", months, err, clickhouse.ErrRetention)
		}
	}
}

// fillMonths appends a row for each of the last n months.
func fillMonths(t *testing.T, dsn string, n int) {
	t.Helper()
	err := open(t, dsn).Exec(t.Context(), fmt.Sprintf(`INSERT INTO outcomes_log (tenant_id, event_time, activity_id, occurred_at, received_at)
		SELECT 'acme', at, generateUUIDv4(), at, at FROM (SELECT now64(3, 'UTC') - toIntervalMonth(number) - toIntervalHour(1) AS at FROM numbers(%d))`, n))
	if err != nil {
		t.Fatal(err)
	}
}

func TestAShorterRetentionDeletesNothingUntoldAndSaysHowMuch(t *testing.T) {
	dsn := clickhousetest.DSN(t)
	if err := clickhouse.Migrate(t.Context(), dsn, 25, silent); err != nil {
		t.Fatal(err)
	}
	fillMonths(t, dsn, 12)
	err := clickhouse.Migrate(t.Context(), dsn, 3, silent)
	var would clickhouse.WouldDelete
	if !errors.As(err, &would) || would.Rows != 9 || would.Months != 3 {
		t.Fatalf("%v, want that 9 rows would be deleted", err)
	}
	if engine := kept(t, dsn); !strings.Contains(engine, "toIntervalMonth(25)") {
		t.Errorf("it was set all the same: %s", engine)
	}
	if err := clickhouse.Migrate(t.Context(), dsn, 30, silent); err != nil {
		t.Errorf("a longer one: %v", err)
	}
	done, err := clickhouse.Migration{DSN: dsn, Months: 3, MayDelete: true}.Apply(t.Context(), silent)
	if err != nil || done.Rewriting != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if n := one[uint64](t, open(t, dsn), "SELECT count() FROM outcomes_log"); n != 3 {
		t.Errorf("%d rows are left, want 3", n)
	}
}

// A mutation that does not get on is no reason to say that the change failed, and
// none to say that all is done.
func TestWorkThatIsLeftToTheBackgroundIsSaid(t *testing.T) {
	dsn := clickhousetest.DSN(t)
	if err := clickhouse.Migrate(t.Context(), dsn, 25, silent); err != nil {
		t.Fatal(err)
	}
	fillMonths(t, dsn, 2)
	conn := open(t, dsn)
	if err := conn.Exec(t.Context(), "SYSTEM STOP MERGES outcomes_log"); err != nil {
		t.Fatal(err)
	}
	defer clickhouse.SetRewritePatience(0)()
	done, err := clickhouse.Migration{DSN: dsn, Months: 26}.Apply(t.Context(), silent)
	if err != nil || done.Rewriting == 0 {
		t.Errorf("%+v, %v: want parts that are being rewritten", done, err)
	}
	if engine := kept(t, dsn); !strings.Contains(engine, "toIntervalMonth(26)") {
		t.Errorf("it is not set: %s", engine)
	}
	if err := conn.Exec(t.Context(), "SYSTEM START MERGES outcomes_log"); err != nil {
		t.Fatal(err)
	}
}

// Hosts that are hardened have no database "default".
func TestMigrateNeedsNoDatabaseDefault(t *testing.T) {
	dsn := clickhousetest.DSN(t)
	name, err := clickhouse.Database(dsn)
	if err != nil {
		t.Fatal(err)
	}
	way := without(t, dsn, "default")
	for _, there := range []bool{true, false} {
		if !there {
			if err := open(t, dsn).Exec(t.Context(), "DROP DATABASE "+name+" SYNC"); err != nil {
				t.Fatal(err)
			}
		}
		if err := clickhouse.Migrate(t.Context(), way, 25, silent); err != nil {
			t.Errorf("our database is there: %v; %v", there, err)
		}
	}
	if clickhouse.Migrate(t.Context(), strings.Replace(way, name, "default", 1), 25, silent) == nil {
		t.Error("the database default is there: this proves nothing")
	}
}
