package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/internal/control"
)

const exportHelp = `Write what connect knows of all tenants to FILE: connections, mappings with their
history, erasures. Credentials, names and e-mails stay sealed: keep the keyset
too, and elsewhere. Nothing is changed; connect may run.`

const restoreHelp = `Write to Kafka what its tables lack of the copy in FILE. What they hold is newer
and stays, and of a tenant that has erased somebody nothing is restored. A connect
that acts begins a new term.`

// ledgerCommand copies what connect knows. It is the one thing of a tenant that
// cannot be had again from Halo or WorkSights: whom agents were mapped to.
func ledgerCommand(s *streams) *cobra.Command {
	cmd := &cobra.Command{Use: "ledger", Short: "What connect knows of tenants, in Kafka", GroupID: groupEngines, Args: cobra.ArbitraryArgs, RunE: noSuchCommand}
	export := &cobra.Command{
		Use: "export FILE", Short: "Copy it to a file", Args: exactly(1), Long: withEnvironment[config.Topics](exportHelp),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			cfg, err := environment[config.Topics](s)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), engineTimeout)
			defer cancel()
			// Never over a copy that is there: it may be the last good one.
			file, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			n, err := ledger.Export(ctx, cfg.Client("haloctl"), cfg.Topics(), file, s.logger())
			if err == nil {
				err = file.Sync()
			}
			if err = errors.Join(err, file.Close()); err != nil {
				return errors.Join(ofLedger(err), os.Remove(args[0]))
			}
			return s.done("%d records are in %s", n, args[0])
		},
	}
	restore := &cobra.Command{
		Use: "restore FILE", Short: "Restore from a file what Kafka lacks", Args: exactly(1), Long: withEnvironment[config.Topics](restoreHelp),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := environment[config.Topics](s)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), engineTimeout)
			defer cancel()
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			n, err := ledger.Restore(ctx, cfg.Client("haloctl"), cfg.Topics(), bufio.NewReader(file), s.logger())
			if err != nil {
				return ofLedger(err)
			}
			return s.done("%d records were lacking and are restored", n)
		},
	}
	for _, c := range []*cobra.Command{export, restore} {
		s.environmentFlags(c)
		cmd.AddCommand(c)
	}
	return cmd
}

// ofLedger tells what a person must mend from what passes.
func ofLedger(err error) error {
	if errors.Is(err, ledger.ErrCopy) {
		return err
	}
	return fmt.Errorf("%w: Kafka: %w", control.ErrUnavailable, err)
}
