package stage

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
)

// Ingest assembles the edge: the producer, the table of connections, the HTTP
// endpoint.
func Ingest(ctx context.Context, cfg config.Ingest, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
	client, topics := cfg.Client("ingest"), cfg.Topics()
	traces, tracing, err := follow(ctx, log, cfg.Tracing, "ingest")
	if err != nil {
		return nil, err
	}
	producer, err := kafka.NewProducer(client, log, reg, traces.Options("ingest", "")...)
	if err != nil {
		return nil, err
	}
	reader, err := kafka.NewReader(client, topics.Connections, log, reg)
	if err != nil {
		return nil, err
	}
	connections := table.New(reader, topics.Connections, ingest.ParseConnection, log, reg)
	bounds := ingest.Config{MaxBodyBytes: cfg.MaxBodyBytes, RateLimit: cfg.RateLimit}
	if cfg.TraceEndpoint != "" {
		bounds.Tracer = traces.Tracer() // one that follows nobody costs each delivery something
	}
	edge, err := ingest.New(bounds, connections, ingest.NewKafkaLog(producer, topics, reg), log, reg)
	if err != nil {
		return nil, err
	}
	ln, err := listen(ctx, cfg.ListenAddr)
	if err != nil {
		return nil, err
	}
	log.Info("webhooks are served", "addr", ln.Addr().String())
	_, watching := watch("ingest", client, log, reg, kafka.Needs{
		Read: []string{topics.Connections}, Write: []string{topics.Events, topics.Deliveries, topics.Reached}, Tables: []string{topics.Connections},
	})
	return []daemon.Component{
		tracing,
		watching,
		closing("ingest producer", producer, log),
		{Name: "connections table", Run: connections.Run, Ready: connections.Ready},
		{Name: "ingest", Run: func(ctx context.Context) error { return edge.Run(ctx, ln) }, Ready: edge.Ready},
	}, nil
}
