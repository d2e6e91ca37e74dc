package stage

import (
	"context"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

// Processor assembles the processor: its producer, the tables of mappings and of
// erasures, and the group member that reads events.
func Processor(ctx context.Context, cfg config.Processor, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
	client, topics, output := cfg.Client("processor"), cfg.Topics(), schemas.NewTopics(cfg.Output())
	traces, tracing, err := follow(ctx, log, cfg.Tracing.Joining(), "processor")
	if err != nil {
		return nil, err
	}
	producer, err := kafka.NewProducer(client, log, reg, traces.Options("processor", "")...)
	if err != nil {
		return nil, err
	}
	reader, err := kafka.NewReader(client, topics.Mappings, log, reg)
	if err != nil {
		return nil, err
	}
	member := kafka.NewMember()
	consumer, err := kafka.NewConsumer(client, cfg.Group(), []string{topics.Events}, log, reg,
		slices.Concat(member.Opts(), traces.Options("processor", cfg.Group()))...)
	if err != nil {
		return nil, err
	}
	eraser, err := kafka.NewReader(client, topics.Erasures, log, reg)
	if err != nil {
		return nil, err
	}
	mappings := table.New(reader, topics.Mappings, processor.ParseHistory, log, reg)
	erasures := table.New(eraser, topics.Erasures, kafka.ParseErasure, log, reg)
	p, err := processor.New(processor.Config{
		Input:   topics.Events,
		Output:  output,
		Weights: cfg.Processor(),
	}, processor.Clients{Consumer: consumer, Member: member, Producer: producer}, mappings, erasures, log, reg)
	if err != nil {
		return nil, err
	}
	w, watching := watch("processor", client, log, reg, kafka.Needs{
		Read:   []string{topics.Events, topics.Mappings, topics.Erasures},
		Write:  []string{output.Activities, output.Skipped, output.Dead},
		Tables: []string{topics.Mappings, topics.Erasures},
	})
	return []daemon.Component{
		tracing,
		watching,
		closing("processor producer", producer, log),
		{Name: "mappings table", Run: mappings.Run, Ready: mappings.Ready},
		{Name: "processor erasures", Run: erasures.Run, Ready: erasures.Ready},
		after(w, daemon.Component{Name: "processor", Run: p.Run, Ready: p.Ready}),
	}, nil
}
