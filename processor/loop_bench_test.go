package processor

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/costtest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

const loopEvents = 200_000

// The CPU that a stage's process spends per event, from Kafka to Kafka, on a
// backlog: client, barrier, judging, acknowledged outcomes, commits. Beside it
// the same work as it is usually written, with encoding/json into structs,
// ProduceSync and the client's defaults; it has no barrier and no metrics.
// Kafka is another process. Compare the two within one run.
func BenchmarkLoop(b *testing.B) {
	for _, way := range []struct {
		name  string
		start func(*testing.B, kafka.Config, string) (stop func())
	}{{"processor", startStage}, {"usual", startUsual}} {
		b.Run(way.name, func(b *testing.B) {
			cfg := filledBroker(b, 500, loopEvents)
			kafkatest.Drain(b, cfg, loopEvents, "event", func(group string) func() { return way.start(b, cfg, group) })
		})
	}
}

// What a stage's process takes that holds 100,000 mappings and has judged two
// events of each agent: the heap after a collection, and the most that the
// process ever had in memory, the test's own code included.
func BenchmarkMemory(b *testing.B) {
	cfg := filledBroker(b, 111_112, loopEvents) // nine in ten are mapped
	watcher := must(b)(kafka.NewProducer(cfg, slog.New(slog.DiscardHandler), nil))
	defer watcher.Close()
	debug.FreeOSMemory() // what other benchmarks left
	costtest.ResetPeak(b)
	groups := 0
	for b.Loop() {
		groups++
		group := "group-" + strconv.Itoa(groups)
		stop := startStage(b, cfg, group)
		kafkatest.AwaitCommits(b, watcher, group, loopEvents)
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/1e6, "heap-MB")
		b.ReportMetric(float64(costtest.Peak(0))/1e6, "peak-rss-MB")
		stop()
	}
}

func must(b *testing.B) func(*kgo.Client, error) *kgo.Client {
	return func(cl *kgo.Client, err error) *kgo.Client {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return cl
	}
}

// startStage is a processor as cmd assembles it.
func startStage(b *testing.B, cfg kafka.Config, group string) (stop func()) {
	log, reg, topics := slog.New(slog.DiscardHandler), prometheus.NewRegistry(), schemas.NewTopics("halo.")
	producer := must(b)(kafka.NewProducer(cfg, log, reg))
	member := kafka.NewMember()
	consumer := must(b)(kafka.NewConsumer(cfg, group, []string{topics.Events}, log, reg, member.Opts()...))
	reader := must(b)(kafka.NewReader(cfg, topics.Mappings, log, reg))
	mappings := table.New(reader, topics.Mappings, ParseHistory, log, reg)
	erasures := table.New(must(b)(kafka.NewReader(cfg, topics.Erasures, log, reg)), topics.Erasures, kafka.ParseErasure, log, reg)
	p, err := New(Config{Input: topics.Events, Output: topics, Weights: DefaultWeights()}, Clients{consumer, member, producer}, mappings, erasures, log, reg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 3)
	go func() { ended <- mappings.Run(ctx) }()
	go func() { ended <- erasures.Run(ctx) }()
	go func() { ended <- p.Run(ctx) }()
	return func() {
		cancel()
		for range 3 {
			if err := <-ended; err != nil {
				b.Error(err)
			}
		}
		producer.Close()
	}
}

// The structs of the usual way: the records as encoding/json sees them.
type (
	usualEvent struct {
		ID            string    `json:"id"`
		Tenant        string    `json:"tenant"`
		Connection    string    `json:"connection"`
		Kind          string    `json:"kind"`
		Ticket        uint64    `json:"ticket"`
		Assignee      uint64    `json:"assignee"`
		Actor         uint64    `json:"actor"`
		ActorType     string    `json:"actor_type"`
		EnvelopeAgent uint64    `json:"envelope_agent"`
		Status        int32     `json:"status"`
		Action        uint64    `json:"action"`
		Refusal       string    `json:"refusal"`
		EventTime     time.Time `json:"event_time"`
		OccurredAt    time.Time `json:"occurred_at"`
		ReceivedAt    time.Time `json:"received_at"`
	}
	usualOutcome struct {
		ID         string    `json:"id"`
		Tenant     string    `json:"tenant"`
		User       string    `json:"user,omitempty"`
		Category   string    `json:"category,omitempty"`
		Kind       string    `json:"kind"`
		Weight     float32   `json:"weight,omitempty"`
		Ticket     uint64    `json:"ticket"`
		Agent      uint64    `json:"agent"`
		CreditedAs string    `json:"credited_as,omitempty"`
		Reason     string    `json:"reason,omitempty"`
		Status     int32     `json:"status,omitempty"`
		EventTime  time.Time `json:"event_time"`
		OccurredAt time.Time `json:"occurred_at"`
		ReceivedAt time.Time `json:"received_at"`
	}
)

// startUsual does a processor's work the usual way, with the mappings at hand.
func startUsual(b *testing.B, cfg kafka.Config, group string) (stop func()) {
	topics := schemas.NewTopics("halo.")
	_, mappings := lifelike(500, 0)
	cl := must(b)(kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics.Events),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit()))
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			fetches := cl.PollFetches(ctx)
			if ctx.Err() != nil {
				return
			}
			var out []*kgo.Record
			for r := range fetches.RecordsAll() {
				var e usualEvent
				if err := json.Unmarshal(r.Value, &e); err != nil {
					b.Error(err)
					return
				}
				o := usualOutcome{
					ID: e.ID, Tenant: e.Tenant, Kind: e.Kind, Ticket: e.Ticket, Reason: e.Refusal,
					EventTime: e.EventTime, OccurredAt: e.OccurredAt, ReceivedAt: e.ReceivedAt,
				}
				o.Agent, o.CreditedAs = e.Assignee, "assignee"
				if e.Kind == "status_changed" || e.Kind == "updated_by_agent" {
					o.Agent, o.CreditedAs = e.Actor, "actor"
				}
				topic := topics.Skipped
				user, ok := mappings[fmt.Sprintf("%s/%d", e.Tenant, o.Agent)].At(e.ReceivedAt)
				switch {
				case o.Reason != "":
				case !ok:
					o.Reason = "unmapped"
				default:
					topic = topics.Activities
					o.User, o.Category, o.Weight, o.Status = string(user), "Ticket", 1, e.Status
				}
				value, err := json.Marshal(o)
				if err != nil {
					b.Error(err)
					return
				}
				out = append(out, &kgo.Record{Topic: topic, Key: r.Key, Value: value, Headers: r.Headers})
			}
			if err := cl.ProduceSync(ctx, out...).FirstErr(); err != nil {
				return
			}
			if err := cl.CommitUncommittedOffsets(ctx); err != nil {
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		cl.Close()
	}
}
