package sink_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/costtest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

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
	before := costtest.CPU()
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
	perRow(b, costtest.CPU()-before, b.N*fullBatch)
}

// BenchmarkAppend is the store alone.
func BenchmarkAppend(b *testing.B) {
	store := sink.NewClickHouse(migrated(b))
	rows := new(sink.Rows)
	for i := range fullBatch {
		rows.Add(sink.OfActivity(storetest.Activity(i)))
	}
	b.ReportAllocs()
	before := costtest.CPU()
	for b.Loop() {
		if err := store.Append(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, costtest.CPU()-before, b.N*fullBatch)
}

func perRow(b *testing.B, used time.Duration, rows int) {
	b.Helper()
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(rows), "ns-cpu/row")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLoop is the whole stage on a backlog, from Kafka to the engine, both
// of them other processes: client, parsing, inserts, commits. Beside it the same
// work as it is usually written, with encoding/json into structs, a row at a
// time, and the clients' defaults; it has no erasures, dead letters or metrics.
// Compare the two within one run.
func BenchmarkLoop(b *testing.B) {
	const backlog = 8 * fullBatch
	for _, way := range []struct {
		name  string
		start func(*testing.B, kafka.Config, driver.Conn, string) (stop func())
	}{{"sink", startStage}, {"usual", startUsual}} {
		b.Run(way.name, func(b *testing.B) {
			cfg, conn := kafkatest.Apart(b, strconv.Itoa(backlog)), migrated(b)
			kafkatest.Drain(b, cfg, backlog, "row", func(group string) func() { return way.start(b, cfg, conn, group) })
		})
	}
}

func client(b *testing.B) func(*kgo.Client, error) *kgo.Client {
	return func(cl *kgo.Client, err error) *kgo.Client {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return cl
	}
}

// startStage is a sink as cmd assembles it.
func startStage(b *testing.B, cfg kafka.Config, conn driver.Conn, group string) (stop func()) {
	log, reg, topics := slog.New(slog.DiscardHandler), prometheus.NewRegistry(), schemas.NewTopics("halo.")
	member := kafka.NewMember()
	clients := sink.Clients{
		Consumer: client(b)(kafka.NewConsumer(cfg, group, []string{topics.Activities, topics.Skipped}, log, reg, member.Opts()...)),
		Member:   member,
		Producer: client(b)(kafka.NewProducer(cfg, log, reg)),
	}
	erasures := table.New(client(b)(kafka.NewReader(cfg, topics.Erasures, log, reg)), topics.Erasures, kafka.ParseErasure, log, reg)
	s := sink.New(sink.Config{Topics: topics, BatchRows: fullBatch, BatchWait: 500 * time.Millisecond}, clients, erasures, sink.NewClickHouse(conn), log, reg)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 2)
	go func() { ended <- erasures.Run(ctx) }()
	go func() { ended <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			b.Error(err)
		}
		clients.Producer.Close()
	}
}

// usualOutcome is a record of either topic as encoding/json sees it.
type usualOutcome struct {
	ID         string    `json:"id"`
	Tenant     string    `json:"tenant"`
	User       string    `json:"user"`
	Category   string    `json:"category"`
	Kind       string    `json:"kind"`
	Weight     float32   `json:"weight"`
	Ticket     uint64    `json:"ticket"`
	Agent      uint64    `json:"agent"`
	CreditedAs string    `json:"credited_as"`
	ActorType  string    `json:"actor_type"`
	Reason     string    `json:"reason"`
	Status     int32     `json:"status"`
	EventTime  time.Time `json:"event_time"`
	OccurredAt time.Time `json:"occurred_at"`
	ReceivedAt time.Time `json:"received_at"`
}

// startUsual does a sink's work the usual way.
func startUsual(b *testing.B, cfg kafka.Config, conn driver.Conn, group string) (stop func()) {
	topics := schemas.NewTopics("halo.")
	cl := client(b)(kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics.Activities, topics.Skipped),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit()))
	ctx, cancel := context.WithCancel(b.Context())
	consume := func() error {
		for {
			batch, err := conn.PrepareBatch(ctx, "INSERT INTO outcomes_log (tenant_id, event_time, activity_id, version, reason, user_id, category, kind, weight,"+
				" ticket_id, agent_id, credited_as, actor_type, status_id, occurred_at, received_at)")
			if err != nil {
				return err
			}
			first := time.Now()
			for batch.Rows() < fullBatch && (batch.Rows() == 0 || time.Since(first) < 500*time.Millisecond) {
				pctx, polled := context.WithDeadline(ctx, time.Now().Add(100*time.Millisecond))
				fetches := cl.PollFetches(pctx)
				polled()
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if batch.Rows() == 0 {
					first = time.Now()
				}
				for r := range fetches.RecordsAll() {
					var o usualOutcome
					if err := json.Unmarshal(r.Value, &o); err != nil {
						return err
					}
					version := uint64(1<<48-1-o.ReceivedAt.UnixMilli()) << 16
					if err := batch.Append(o.Tenant, o.EventTime, o.ID, version, o.Reason, o.User, o.Category, o.Kind, o.Weight,
						o.Ticket, o.Agent, o.CreditedAs, o.ActorType, o.Status, o.OccurredAt, o.ReceivedAt); err != nil {
						return err
					}
				}
			}
			if err := batch.Send(); err != nil {
				return err
			}
			if err := cl.CommitUncommittedOffsets(ctx); err != nil {
				return err
			}
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- consume() }()
	return func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
		cl.Close()
	}
}
