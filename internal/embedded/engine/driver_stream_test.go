package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

func driverScan(t *testing.T, e *Engine) {
	const n = 500_000
	rows, err := dial(t, e, "", nil).Query(t.Context(), fmt.Sprintf("SELECT number, toString(number), number / 2, [number], now64(3) FROM numbers(%d)", n))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if got := rows.Columns(); len(got) != 5 {
		t.Errorf("columns %v", got)
	}
	want := uint64(0)
	for ; rows.Next(); want++ {
		if want%50_000 != 0 {
			continue
		}
		var number uint64
		var text string
		var half float64
		var list []uint64
		var at time.Time
		if err := rows.Scan(&number, &text, &half, &list, &at); err != nil {
			t.Fatal(err)
		}
		if number != want || text != fmt.Sprint(want) || half != float64(want)/2 || len(list) != 1 {
			t.Fatalf("row %d: %d, %q, %v, %v", want, number, text, half, list)
		}
	}
	if err := rows.Err(); err != nil || want != n {
		t.Errorf("%d rows, want %d (%v)", want, n, err)
	}
}

func driverMidStream(t *testing.T, e *Engine) {
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4} {
		conn := dial(t, e, "", func(o *clickhouse.Options) { o.Compression = &clickhouse.Compression{Method: method} })
		rows, err := conn.Query(t.Context(), "SELECT throwIf(number = 300000) FROM numbers(1000000) SETTINGS max_block_size = 10000")
		if err != nil {
			t.Fatalf("%v: the error came before the first row, which proves nothing here: %v", method, err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := rows.Err(); codeFrom(err) != 395 || n == 0 {
			t.Errorf("%v: after %d rows: %v, want code 395", method, n, err)
		}
		if err := conn.Ping(t.Context()); err != nil {
			t.Errorf("%v: afterwards: %v", method, err)
		}
	}
}

// driverCancel starts queries that would run for hours, in all sessions but the
// one that watches them, and takes their clients away.
func driverCancel(t *testing.T, e *Engine) {
	conn, watch := dial(t, e, "", nil), dial(t, e, "", nil)
	for name, sql := range map[string]string{
		"before the first block":   "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1",
		"between blocks":           "SELECT number FROM numbers(1000000000000)",
		"a statement not streamed": "INSERT INTO FUNCTION null('n UInt64') SELECT number FROM numbers(1000000000000) WHERE sipHash64(number) = 1",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, sessions)
		for range sessions - 1 {
			go func() {
				rows, err := conn.Query(ctx, sql)
				if err == nil {
					for rows.Next() {
					}
					err = rows.Err()
				}
				ended <- err
			}()
		}
		waitForQueries(t, watch, sessions-1)
		cancel()
		for range sessions - 1 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: the query ended with %v", name, err)
			}
		}
		waitForQueries(t, watch, 0)
	}
	// All sessions are back: each of these needs one of its own.
	ended := make(chan error, sessions)
	for range sessions {
		go func() { ended <- dial(t, e, "", nil).Exec(t.Context(), "SELECT sleep(0.2)") }()
	}
	for range sessions {
		if err := <-ended; err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// waitForQueries returns when n long queries run in the engine.
func waitForQueries(t *testing.T, conn driver.Conn, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for running := n + 1; running != n; {
		err := conn.QueryRow(ctx, "SELECT count() FROM system.processes WHERE position(query, 'numbers(1000000000000)') > 0 AND position(query, 'processes') = 0").Scan(&running)
		if err != nil {
			t.Fatalf("%d queries run, want %d: %v", running, n, err)
		}
	}
}

func driverDeduplication(t *testing.T, e *Engine) {
	conn := dial(t, e, "", nil)
	mustExec(t, conn, "CREATE TABLE once (a UInt32) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100")
	for _, token := range []string{"first", "first", "second"} {
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": token}))
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO once")
		if err != nil {
			t.Fatal(err)
		}
		if err := batch.Append(uint32(1)); err != nil {
			t.Fatal(err)
		}
		if err := batch.Send(); err != nil {
			t.Fatal(err)
		}
	}
	var n uint64
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM once").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, want 2 (%v)", n, err)
	}
}
