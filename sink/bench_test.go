package sink_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

// cpu is what this process has used, the engine's child process not counted.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// lifelike are n records of both topics: 40 tenants, their events in the order
// in which they arrived, every tenth a skip.
func lifelike(topics schemas.Topics, n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		a, s := storetest.Activity(i), storetest.Skip(i)
		a.Tenant = schemas.Tenant(fmt.Sprintf("tenant-%d", i%40))
		a.User, s.Tenant = schemas.UserID(fmt.Sprintf("3f1b7c52-8d1e-4a57-9d0e-%012d", i%2000)), a.Tenant
		if records[i] = kafka.Record(topics.Activities, string(a.Tenant), schemas.ActivitySchema, a.AppendJSON(nil)); i%10 == 9 {
			records[i] = kafka.Record(topics.Skipped, string(s.Tenant), schemas.SkipSchema, s.AppendJSON(nil))
		}
	}
	return records
}

const fullBatch = 50_000 // the default of BATCH_ROWS

// BenchmarkParseAndAppend is what the sink does to a row, from the record's
// bytes to the engine's answer, without Kafka: parse, turn into columns, encode,
// compress, send. ns-cpu/row is this process alone.
func BenchmarkParseAndAppend(b *testing.B) {
	store := sink.NewClickHouse(migrated(b))
	records := lifelike(schemas.NewTopics("halo."), fullBatch)
	rows, parser := new(sink.Rows), schemas.NewParser()
	runtime.GC()
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		rows.Reset()
		for _, r := range records {
			if kafka.Schema(r) == schemas.SkipSchema {
				s, err := parser.Skip(r.Value)
				if err != nil {
					b.Fatal(err)
				}
				rows.Add(sink.OfSkip(s))
				continue
			}
			a, err := parser.Activity(r.Value)
			if err != nil {
				b.Fatal(err)
			}
			rows.Add(sink.OfActivity(a))
		}
		if err := store.Append(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, cpu(b)-before, b.N*fullBatch)
}

// BenchmarkAppend is the store alone.
func BenchmarkAppend(b *testing.B) {
	store := sink.NewClickHouse(migrated(b))
	rows := new(sink.Rows)
	for i := range fullBatch {
		rows.Add(sink.OfActivity(storetest.Activity(i)))
	}
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		if err := store.Append(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, cpu(b)-before, b.N*fullBatch)
}

func perRow(b *testing.B, used time.Duration, rows int) {
	b.Helper()
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(rows), "ns-cpu/row")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLoop is the whole stage: a backlog in a Kafka on loopback, which is
// in this process and counts, into the engine, committed.
func BenchmarkLoop(b *testing.B) {
	const backlog = 8 * fullBatch
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		conn := migrated(b)
		cluster := kafkatest.New(b)
		topics := schemas.NewTopics("halo.")
		cluster.CreateTopics(b, topics, 0)
		cluster.Produce(b, lifelike(topics, backlog)...)
		run, stop := stage(b, cluster.Config, topics, conn)
		before := cpu(b)
		b.StartTimer()
		run()
		_, err := cluster.WaitGroupInfo(b.Context(), "sink", func(g *kfake.GroupInfo) bool {
			if g == nil {
				return false // nobody has joined yet
			}
			var committed int64
			for _, partitions := range g.Commits {
				for _, c := range partitions {
					committed += c.Offset
				}
			}
			return committed == backlog
		})
		b.StopTimer()
		used += cpu(b) - before
		if err := errors.Join(err, stop()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	perRow(b, used, b.N*backlog)
}

// stage is a sink as cmd assembles it, ready to run.
func stage(b *testing.B, cfg kafka.Config, topics schemas.Topics, conn driver.Conn) (run func(), stop func() error) {
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	must := func(cl *kgo.Client, err error) *kgo.Client {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return cl
	}
	member := kafka.NewMember()
	clients := sink.Clients{
		Consumer: must(kafka.NewConsumer(cfg, "sink", []string{topics.Activities, topics.Skipped}, log, reg, member.Opts()...)),
		Member:   member,
		Producer: must(kafka.NewProducer(cfg, log, reg)),
	}
	erasures := table.New(must(kafka.NewReader(cfg, topics.Erasures, log, reg)), topics.Erasures, kafka.ParseErasure, log, reg)
	s := sink.New(sink.Config{Topics: topics, BatchRows: fullBatch, BatchWait: 500 * time.Millisecond}, clients, erasures, sink.NewClickHouse(conn), log, reg)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 2)
	return func() {
			go func() { ended <- erasures.Run(ctx) }()
			go func() { ended <- s.Run(ctx) }()
		}, func() error {
			cancel()
			clients.Producer.Close()
			return errors.Join(<-ended, <-ended)
		}
}
