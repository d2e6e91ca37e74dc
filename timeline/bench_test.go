package timeline_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline"
)

// july is the first of the three months that a large tenant's benchmarks read.
var july = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

// months is a database with three months of a tenant with n events in each.
func months(t testing.TB, n int) driver.Conn {
	t.Helper()
	dsn := clickhousetest.DSN(t)
	if err := clickhouse.Migrate(t.Context(), dsn, 240, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for month := range 3 {
		clickhousetest.Month(t, conn, july.AddDate(0, 0, 30*month), n)
	}
	return conn
}

// BenchmarkReads asks for all that a page shows of a tenant with 2.5 million
// events a month, three months of them.
func BenchmarkReads(b *testing.B) {
	conn := months(b, 2_500_000)
	clickhousetest.Settle(b, conn)
	end := july.AddDate(0, 0, 90)
	tl := timeline.New(conn, nothing{}, nothing{}, func() time.Time { return end })
	var ids []schemas.ID
	rows, err := tl.Events(b.Context(), "big", control.Query{From: july.AddDate(0, 0, 40), To: july.AddDate(0, 0, 41), Limit: 1000})
	if err != nil || len(rows) < 1000 {
		b.Fatalf("%d events, %v: this proves nothing", len(rows), err)
	}
	for _, r := range rows {
		id, err := schemas.ParseID(r.ID)
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	for _, c := range []struct {
		name string
		ask  func(ctx context.Context, i int) error
	}{
		{"summary of 90 days", func(ctx context.Context, _ int) error {
			s, err := tl.Summary(ctx, "big", july, end, time.UTC)
			if err == nil && s.Coverage.Events < 7_000_000 {
				b.Errorf("%d events: this proves nothing", s.Coverage.Events)
			}
			return err
		}},
		{"explain", func(ctx context.Context, i int) error {
			_, err := tl.Explain(ctx, "big", ids[i%len(ids)])
			return err
		}},
		{"events, first page", func(ctx context.Context, _ int) error {
			_, err := tl.Events(ctx, "big", control.Query{Limit: 100})
			return err
		}},
		{"events of a ticket", func(ctx context.Context, i int) error {
			_, err := tl.Events(ctx, "big", control.Query{Ticket: 1000 + uint64(i%5000), Limit: 100})
			return err
		}},
		{"timeline, first page", func(ctx context.Context, _ int) error {
			_, err := tl.Timeline(ctx, "big", control.Query{Limit: 100})
			return err
		}},
		{"last delivery", func(ctx context.Context, _ int) error {
			_, err := tl.LastDelivery(ctx, "big")
			return err
		}},
		{"unmapped of seven days", func(ctx context.Context, _ int) error {
			_, err := tl.Unmapped(ctx, "big", end.AddDate(0, 0, -7))
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			began := time.Now()
			if err := c.ask(b.Context(), 0); err != nil { // remembers what it can
				b.Fatal(err)
			}
			first := time.Since(began)
			for b.Loop() {
				began := time.Now()
				if err := c.ask(b.Context(), len(took)); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(first.Microseconds())/1e3, "first-ms")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
			b.ReportMetric(float64(took[(len(took)-1)*95/100].Microseconds())/1e3, "p95-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// nothing is a Kafka without records and a control plane without mappings.
type nothing struct{}

func (nothing) Arrivals(context.Context, schemas.Tenant, schemas.ID, time.Time) (*schemas.Event, int, error) {
	return nil, 0, nil
}

func (nothing) Deliveries(context.Context, schemas.Tenant, int) ([]schemas.Refused, error) {
	return nil, nil
}

func (nothing) Changes(context.Context, schemas.Tenant, control.Query) ([]schemas.Change, error) {
	return nil, nil
}

func (nothing) History(context.Context, schemas.Tenant, schemas.AgentID) ([]control.Interval, error) {
	return []control.Interval{}, nil
}

func (nothing) Erased(schemas.Tenant, schemas.UserID, time.Time) bool { return false }
