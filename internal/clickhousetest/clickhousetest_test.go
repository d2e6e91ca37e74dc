package clickhousetest_test

import (
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhousetest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

func open(t *testing.T, dsn string) driver.Conn {
	opts, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	var before uint64
	count := func(conn driver.Conn) (n uint64) {
		if err := conn.QueryRow(t.Context(), "SELECT count() FROM system.databases WHERE startsWith(name, 'test_')").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	outer := open(t, clickhousetest.DSN(t))
	before = count(outer)
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			conn := open(t, clickhousetest.DSN(t))
			// Fails if the other subtest's table is here.
			if err := conn.Exec(t.Context(), "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a"); err != nil {
				t.Fatal(err)
			}
			if n := count(conn); n != before+1 {
				t.Errorf("%d test databases, want %d", n, before+1)
			}
		})
	}
	if n := count(outer); n != before {
		t.Errorf("%d test databases after the tests, want %d: one was not dropped", n, before)
	}
}
