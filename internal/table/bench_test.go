package table_test

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
)

func running(b *testing.B, keys int) *table.Table[string] {
	c := kafkatest.New(b, kfake.SeedTopics(1, "table"))
	var batch []*kgo.Record
	for i := range keys {
		batch = append(batch, set(fmt.Sprintf("tenant-%d/%d", i/100, i%100), fmt.Sprintf("user-%d", i)))
		if len(batch) == 10_000 || i == keys-1 {
			c.Produce(b, batch...)
			batch = nil
		}
	}
	cl, err := kafka.NewReader(c.Config, "table", slog.New(slog.DiscardHandler), nil)
	if err != nil {
		b.Fatal(err)
	}
	tbl := table.New(cl, "table", parse, slog.New(slog.DiscardHandler), nil)
	ended := make(chan error, 1)
	go func() { ended <- tbl.Run(b.Context()) }()
	b.Cleanup(func() { <-ended })
	if err := tbl.CatchUp(b.Context()); err != nil {
		b.Fatal(err)
	}
	return tbl
}

// What a barrier costs on a table that lags by nothing.
func BenchmarkCatchUp(b *testing.B) {
	tbl := running(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := tbl.CatchUp(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetBytes(b *testing.B) {
	tbl := running(b, 100_000)
	key := []byte("tenant-500/50")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := tbl.GetBytes(key); !ok {
			b.Fatal("missing")
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "heap-MB") // the broker's log included
}
