package engine

import (
	"context"
	"log/slog"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// start runs an engine in a directory of its own until the test ends.
func start(t testing.TB, dir string) *Engine {
	t.Helper()
	e, err := Start(t.Context(), Config{Dir: dir, Addr: "127.0.0.1:0"}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// dial opens the driver on e with the given change to its options.
func dial(t testing.TB, e *Engine, database string, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	opts := &clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{e.Addr()}, Auth: clickhouse.Auth{Database: database}}
	if change != nil {
		change(opts)
	}
	conn, err := clickhouse.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func mustExec(t testing.TB, conn driver.Conn, sql ...string) {
	t.Helper()
	for _, s := range sql {
		if err := conn.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestTheDriverCreatesInsertsAndReads(t *testing.T) {
	e := start(t, t.TempDir())
	conn := dial(t, e, "", nil)
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustExec(t, conn, "CREATE TABLE t (a UInt32, s LowCardinality(String)) ENGINE = MergeTree ORDER BY a")
	batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO t (a, s)")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := batch.Append(uint32(i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	var n, sum uint64
	if err := conn.QueryRow(t.Context(), "SELECT count(), sum(a) FROM t").Scan(&n, &sum); err != nil {
		t.Fatal(err)
	}
	if n != 10 || sum != 45 {
		t.Errorf("count %d, sum %d; want 10, 45", n, sum)
	}
}
