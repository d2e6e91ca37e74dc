package clickhouse_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhousetest"
)

// BenchmarkOneUsersDay asks for one user's day out of a tenant with 2.5 million
// events a month, through the driver, as a timeline does.
func BenchmarkOneUsersDay(b *testing.B) {
	conn := load(b, 2_500_000)
	clickhousetest.Settle(b, conn)
	middle, last := september.AddDate(0, 0, 9), september.AddDate(0, 0, 29)
	b.Run("in the middle of the month", func(b *testing.B) { ask(b, conn, middle) })
	// The parts of the last minutes are small and hold every tenant.
	for i := range 20 {
		appendSmall(b, conn, last, i)
	}
	b.Run("the last day, with small parts", func(b *testing.B) { ask(b, conn, last) })
}

func ask(b *testing.B, conn driver.Conn, day time.Time) {
	b.Helper()
	var took []time.Duration
	found := 0
	for b.Loop() {
		began := time.Now()
		rows, err := conn.Query(b.Context(), oneDay(len(took)%500, day))
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			found++
		}
		if err := rows.Err(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	if found < len(took)*50 {
		b.Fatalf("%d rows in %d days: this proves nothing", found, len(took))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1e3, "p95-ms")
	b.ReportMetric(float64(found)/float64(len(took)), "rows/op")
	b.ReportMetric(0, "ns/op")
}
