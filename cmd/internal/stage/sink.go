package stage

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/sink"
)

// Sink assembles the sink: the database, its producer, the table of erasures,
// and the group member that reads outcomes.
func Sink(ctx context.Context, cfg config.Sink, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
	client, topics := cfg.Client("sink"), cfg.Topics()
	traces, tracing, err := follow(ctx, log, cfg.Tracing.Joining(), "sink")
	if err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(cfg.ClickHouseDSN.Reveal())
	if err != nil {
		return nil, err
	}
	producer, err := kafka.NewProducer(client, log, reg, traces.Options("sink", "")...)
	if err != nil {
		return nil, err
	}
	reader, err := kafka.NewReader(client, topics.Erasures, log, reg)
	if err != nil {
		return nil, err
	}
	member := kafka.NewMember()
	consumer, err := kafka.NewConsumer(client, cfg.Group(), []string{topics.Activities, topics.Skipped}, log, reg,
		append(member.Opts(), traces.Options("sink", cfg.Group())...)...)
	if err != nil {
		return nil, err
	}
	erasures := table.New(reader, topics.Erasures, kafka.ParseErasure, log, reg)
	s := sink.New(sink.Config{
		Topics:    topics,
		BatchRows: cfg.BatchRows,
		BatchWait: cfg.BatchWait,
		Tracer:    traces.Tracer(),
		Copies:    func(ctx context.Context) (clickhouse.Copies, error) { return clickhouse.Replicas(ctx, conn) },
	}, sink.Clients{Consumer: consumer, Member: member, Producer: producer}, erasures, sink.NewClickHouse(conn), log, reg)
	w, watching := watch("sink", client, log, reg, kafka.Needs{
		Read: []string{topics.Activities, topics.Skipped, topics.Erasures}, Write: []string{topics.Dead}, Tables: []string{topics.Erasures},
	})
	return []daemon.Component{
		tracing,
		watching,
		{Name: "sink database", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return conn.Close()
		}},
		closing("sink producer", producer, log),
		{Name: "sink erasures", Run: erasures.Run, Ready: erasures.Ready},
		after(w, daemon.Component{Name: "sink", Run: s.Run, Ready: s.Ready}),
	}, nil
}

// CheckSink is what Sink would find wrong before it dials anything.
func CheckSink(cfg config.Sink) error { return checkDatabase(cfg.ClickHouse) }

// checkDatabase lets the driver read the DSN, whose options only the driver
// knows.
func checkDatabase(cfg config.ClickHouse) error {
	if _, err := clickhouse.Database(cfg.ClickHouseDSN.Reveal()); err != nil {
		return fmt.Errorf("CLICKHOUSE_DSN: an option after the '?' cannot be read: %w", err)
	}
	return nil
}
