package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/control"
)

// migrateTimeout is longer than all that a migration waits for by itself, so
// that what it found out is said, and not that the time was up.
const migrateTimeout = 5 * time.Minute

func migrateCommand(s *streams) *cobra.Command {
	var printed, yes bool
	migrate := &cobra.Command{
		Use: "migrate [--yes] [--print]", Short: "Create the database, its tables and views, and set how long rows are kept", GroupID: groupEngines, Args: exactly(0),
		Long: withEnvironment[config.Migrate](`Create the database, its tables and views, and set how long rows are kept.

May be repeated at any time: what is missing is made, what is not as it should be
is mended or named. A retention that would delete rows is set only with --yes.
With CLICKHOUSE_CLUSTER every host of the cluster gets a replica; a database of
engine Replicated or Shared needs no cluster, and is left to itself.`),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := environment[config.Migrate](s)
			if err != nil {
				return err
			}
			m := clickhouse.Migration{DSN: cfg.ClickHouseDSN.Reveal(), Months: cfg.RetentionMonths, Cluster: cfg.Cluster, MayDelete: yes}
			if printed {
				return m.Print(s.out)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), migrateTimeout)
			defer cancel()
			done, err := m.Apply(ctx, s.logger())
			if err != nil {
				return migrateError(err)
			}
			return s.showMigrated(cfg.RetentionMonths, done)
		},
	}
	migrate.Flags().BoolVar(&printed, "print", false, "write the statements and connect nowhere")
	migrate.Flags().BoolVar(&yes, "yes", false, "delete the rows that are older than a shorter retention")
	s.environmentFlags(migrate)
	return migrate
}

// migrateError says who must act: only what time mends is worth a repeat.
func migrateError(err error) error {
	var would clickhouse.WouldDelete
	switch {
	case errors.As(err, &would):
		return fmt.Errorf("%w: %w; nothing was deleted and the retention is as it was. To delete them: haloctl migrate --yes", errUsage, would)
	case clickhouse.ClassOf(err) == clickhouse.Unavailable:
		return fmt.Errorf("%w: ClickHouse: %w", control.ErrUnavailable, err)
	}
	return fmt.Errorf("ClickHouse: %w", err)
}

func (s *streams) showMigrated(months int, done clickhouse.Done) error {
	raw, err := json.Marshal(map[string]any{"retention_months": months, "rewriting_parts": done.Rewriting})
	if err != nil {
		return err
	}
	return s.show(raw, nil, func(w io.Writer) {
		fmt.Fprintf(w, "The database is up to date; rows are kept for %d months.\n", months)
		if done.Rewriting > 0 {
			fmt.Fprintf(w, "ClickHouse is still rewriting %d parts in the background; nothing has to wait for it.\n", done.Rewriting)
		}
	})
}
