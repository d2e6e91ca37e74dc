package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

const applyHelp = `Create the topics that are missing and bring the others' settings up to date.
May be repeated at any time, also while stages run. What had another setting is
named in the column MENDED. The number of partitions of a topic that exists is
changed by --partitions only, upwards, and never that of a table.`

func topicsCommand(s *streams) *cobra.Command {
	topics := &cobra.Command{Use: "topics", Short: "The topics in Kafka", GroupID: groupEngines, Args: cobra.ArbitraryArgs, RunE: noSuchCommand}
	var raise int32
	apply := &cobra.Command{
		Use: "apply", Short: "Create the topics that are missing and bring the others' settings up to date", Args: exactly(0),
		Long: withEnvironment[config.Topics](applyHelp),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("partitions") && (raise < 1 || raise > 1000) {
				return fmt.Errorf("%w: --partitions: want 1 to 1000, not %d", errUsage, raise)
			}
			cfg, err := environment[config.Topics](s)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), engineTimeout)
			defer cancel()
			producer, err := kafka.NewProducer(cfg.Client("haloctl"), s.logger(), prometheus.NewRegistry())
			if err != nil {
				return err
			}
			defer producer.Close()
			specs := cfg.Topics().Specs()
			applied, err := kafka.ApplyTopics(ctx, producer, specs, kafka.TopicOptions{
				Partitions: cfg.TopicPartitions, Raise: raise, Replication: cfg.TopicReplication,
			})
			return errors.Join(s.showTopics(specs, applied), ofTopics(err))
		},
	}
	apply.Flags().Int32Var(&raise, "partitions", 0, "raise the topics that have several partitions to this many, running stages go on (default: TOPIC_PARTITIONS for new ones)")
	s.environmentFlags(apply)
	topics.AddCommand(apply)
	return topics
}

// ofTopics tells what a person must mend from what passes.
func ofTopics(err error) error {
	var code *kerr.Error
	switch {
	case err == nil, errors.Is(err, kafka.ErrPartitions), errors.Is(err, kafka.ErrFewer),
		errors.Is(err, kafka.ErrMembers), errors.Is(err, kafka.ErrNoOffsets), errors.As(err, &code) && !code.Retriable:
		return err
	}
	return fmt.Errorf("%w: Kafka: %w", control.ErrUnavailable, err)
}

func (s *streams) showTopics(specs []schemas.TopicSpec, applied map[string]kafka.AppliedTopic) error {
	type line struct {
		Topic      string   `json:"topic"`
		Created    bool     `json:"created"`
		Partitions int      `json:"partitions"`
		Mended     []string `json:"mended"`
	}
	names, lines := []string{}, []line{}
	for _, spec := range specs {
		if done, ok := applied[spec.Name]; ok {
			names = append(names, spec.Name)
			lines = append(lines, line{spec.Name, done.Created, done.Partitions, append([]string{}, done.Mended...)})
		}
	}
	if len(lines) == 0 {
		return nil
	}
	raw, err := json.Marshal(map[string]any{"topics": names, "applied": lines})
	if err != nil {
		return err
	}
	return s.show(raw, nil, func(w io.Writer) {
		fmt.Fprintln(w, "TOPIC\tKEPT\tPARTITIONS\tMENDED")
		for _, spec := range specs {
			done, ok := applied[spec.Name]
			if !ok {
				continue
			}
			kept := fmt.Sprintf("%d days", int(spec.Retention.Hours()/24))
			if spec.Compact {
				kept = "last of each key"
			}
			mended := "-"
			switch {
			case done.Created:
				mended = "created"
			case len(done.Mended) > 0:
				mended = "had " + strings.Join(done.Mended, ", ")
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", spec.Name, kept, done.Partitions, mended)
		}
	})
}
