package engine

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
)

// BenchmarkInsert measures rows of the connector's shape through driver and
// front into the engine, in batches as large as the sink makes them.
func BenchmarkInsert(b *testing.B) {
	for _, rows := range []int{1_000, 10_000, 100_000} {
		for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4} {
			b.Run(fmt.Sprintf("%drows/%v", rows, method), func(b *testing.B) {
				e := start(b, b.TempDir())
				conn := dial(b, e, "", func(o *clickhouse.Options) { o.Compression = &clickhouse.Compression{Method: method} })
				mustExec(b, conn, "CREATE TABLE types "+typesTable)
				ids, texts, floats := make([]uuid.UUID, rows), make([]string, rows), make([]float32, rows)
				tickets, status, times := make([]uint64, rows), make([]int32, rows), make([]time.Time, rows)
				for i := range rows {
					ids[i], texts[i], tickets[i], times[i] = uuid.New(), "acme", uint64(i), time.UnixMilli(int64(i)*1000)
				}
				for b.Loop() {
					batch, err := conn.PrepareBatch(b.Context(), "INSERT INTO types (id, tenant, user, weight, ticket, status, at)")
					if err != nil {
						b.Fatal(err)
					}
					for i, column := range []any{ids, texts, texts, floats, tickets, status, times} {
						if err := batch.Column(i).Append(column); err != nil {
							b.Fatal(err)
						}
					}
					if err := batch.Send(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)*float64(rows)/b.Elapsed().Seconds(), "rows/s")
				b.ReportMetric(childMemory(b, e), "MB-child")
			})
		}
	}
}

// BenchmarkQuery measures what the front adds to the smallest query.
func BenchmarkQuery(b *testing.B) {
	conn := dial(b, start(b, b.TempDir()), "", nil)
	for b.Loop() {
		var one uint8
		if err := conn.QueryRow(b.Context(), "SELECT 1").Scan(&one); err != nil {
			b.Fatal(err)
		}
	}
}

// childMemory is the child's resident memory in MB (Linux; 0 elsewhere).
func childMemory(b *testing.B, e *Engine) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.child()))
	if err != nil {
		return 0
	}
	var kb float64
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &kb)
		}
	}
	return kb / 1024
}
