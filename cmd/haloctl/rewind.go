package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/kafka"
)

const rewindHelp = `Have the sink append again what it appended in the last hours, as after the loss
of a disk of ClickHouse: a replica that answered an insert may have died before
another one had it. Repeats fold, so that too much does no harm.

Stop all sinks before, and start them afterwards. While one is in the group, or
was killed less than six seconds ago, nothing is set and the status is 1.

--by counts back from now, by the time at which the processor wrote a record.
Where the sink was behind, add by how much: what it appended an hour ago may be
older than that. It takes 90m, 36h, 7d, 2w.

It needs the rights of the sink: read its topics and its group.`

func rewindCommand(s *streams) *cobra.Command {
	rewind := &cobra.Command{Use: "rewind", Short: "Have a stage read again what it has read", GroupID: groupEngines, Args: cobra.ArbitraryArgs, RunE: noSuchCommand}
	var by string
	var yes bool
	sink := &cobra.Command{
		Use: "sink --by DURATION [--yes]", Short: "Have the sink append again what it appended lately", Args: exactly(0),
		Long: withEnvironment[config.Rewind](rewindHelp),
		RunE: func(cmd *cobra.Command, _ []string) error {
			back, err := span(by)
			if err != nil || back <= 0 {
				return fmt.Errorf("%w: --by: want how far to go back, as in 1h or 2d, not %q", errUsage, by)
			}
			cfg, err := environment[config.Rewind](s)
			if err != nil {
				return err
			}
			return s.rewindSink(cmd.Context(), cfg, time.Now().Add(-back).UTC(), yes)
		},
	}
	sink.Flags().StringVar(&by, "by", "", "how far to go back from now")
	sink.Flags().BoolVar(&yes, "yes", false, "do not ask")
	s.environmentFlags(sink)
	rewind.AddCommand(sink)
	return rewind
}

func (s *streams) rewindSink(ctx context.Context, cfg config.Rewind, since time.Time, yes bool) error {
	cl, err := kafka.NewProducer(cfg.Client("haloctl"), s.logger(), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer cl.Close()
	limited := func(do func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, engineTimeout)
		defer cancel()
		return ofTopics(do(ctx))
	}
	topics := cfg.Topics()
	var plan []kafka.Rewound
	if err := limited(func(ctx context.Context) (err error) {
		plan, err = kafka.PlanRewind(ctx, cl, cfg.Group(), []string{topics.Activities, topics.Skipped}, since)
		return err
	}); err != nil {
		return err
	}
	var records int64
	for _, r := range plan {
		records += r.From - r.To
	}
	if len(plan) > 0 {
		question := fmt.Sprintf("This has group %s append again what was written since %s: %d records of %d partitions.", cfg.Group(), when(&since), records, len(plan))
		if err := s.ask(yes, question); err != nil {
			return err
		}
		if err := limited(func(ctx context.Context) error { return kafka.Rewind(ctx, cl, cfg.Group(), plan) }); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(map[string]any{"group": cfg.Group(), "since": since, "records": records, "partitions": append([]kafka.Rewound{}, plan...)})
	if err != nil {
		return err
	}
	return s.show(raw, nil, func(w io.Writer) {
		if len(plan) == 0 {
			fmt.Fprintf(w, "Group %s has appended nothing that was written since %s: there is nothing to do.\n", cfg.Group(), when(&since))
			return
		}
		fmt.Fprintln(w, "TOPIC\tPARTITION\tFROM\tBACK TO\tRECORDS")
		for _, r := range plan {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", r.Topic, r.Partition, r.From, r.To, r.From-r.To)
		}
		fmt.Fprintf(w, "Start the sink: it appends %d records again, and repeats fold.\n", records)
	})
}
