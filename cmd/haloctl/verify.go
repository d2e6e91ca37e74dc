package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/cmd/internal/verify"
	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// verifyPatience is how long differences are looked at again: the sink appends
// within a second, and one that was just restarted catches up in less than this.
const verifyPatience = time.Minute

var errDifferences = errors.New("ClickHouse does not show what arrived")

func verifyCommand(s *streams) *cobra.Command {
	var from, to string
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "verify", Short: "Judge what arrived anew and compare every row in ClickHouse", GroupID: groupEngines, Args: exactly(0),
		Long: withEnvironment[config.Verify](`Judge every event that Kafka still has anew, and compare what it comes to with
the row that ClickHouse shows. Each difference is a line with the event's id.

--from and --to bound the arrival (received_at) and take what timeline takes; by
default all is compared, from the oldest record to now. Rows older than what
Kafka has are not judged. What is not appended yet is waited for.

Exit status: 0 all agree, 1 there are differences, 2 wrong usage, 4 an engine
does not answer.`),
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now().UTC()
			r := verify.Range{To: now}
			var err error
			for _, bound := range []struct {
				name, text string
				into       *time.Time
			}{{"from", from, &r.From}, {"to", to, &r.To}} {
				if bound.text == "" {
					continue
				}
				if *bound.into, err = instant(bound.text, now); err != nil {
					return fmt.Errorf("%w: --%s: %w", errUsage, bound.name, err)
				}
			}
			if !r.From.Before(r.To) {
				return fmt.Errorf("%w: --from is not before --to", errUsage)
			}
			cfg, err := environment[config.Verify](s)
			if err != nil {
				return err
			}
			if s.tenant != "" {
				if r.Tenant, err = schemas.ParseTenant(s.tenant); err != nil {
					return fmt.Errorf("%w: --tenant: %w", errUsage, err)
				}
			}
			conn, err := clickhouse.Open(cfg.ClickHouseDSN.Reveal())
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			report, err := verify.New(verify.Config{
				Kafka: cfg.Client("haloctl"), Topics: cfg.Topics(), Weights: cfg.Processor(), Log: s.logger(),
				Patience: wait, Show: s.progress(),
			}, conn).Run(cmd.Context(), r)
			if unavailable, ok := errors.AsType[*verify.Unavailable](err); ok {
				return fmt.Errorf("%w: %s: %w", control.ErrUnavailable, unavailable.Engine, unavailable.Err)
			}
			if err != nil {
				return err
			}
			return s.showReport(report)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "not before")
	cmd.Flags().StringVar(&to, "to", "", "before")
	cmd.Flags().DurationVar(&wait, "wait", verifyPatience, "how long differences are looked at again")
	s.environmentFlags(cmd)
	return cmd
}

// progress writes how far the work is over one line of a terminal, and nothing
// into a file.
func (s *streams) progress() func(verify.Progress) {
	if f, ok := s.err.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(p verify.Progress) {
		fmt.Fprintf(s.err, "\r%d arrivals, %d rows read …\x1b[K", p.Arrivals, p.Rows)
	}
}

func (s *streams) showReport(r verify.Report) error {
	if s.progress() != nil {
		fmt.Fprint(s.err, "\r\x1b[K")
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	err = s.show(raw, r, func(w io.Writer) {
		for _, list := range []struct {
			what string
			all  []verify.Difference
		}{{"missing", r.Missing}, {"different", r.Different}, {"unexpected", r.Unexpected}} {
			for _, d := range list.all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", list.what, d.Tenant, d.Event)
			}
		}
		fmt.Fprintf(w, "%d events, %d rows: %d missing, %d different, %d unexpected.\n",
			r.Events, r.Rows, len(r.Missing), len(r.Different), len(r.Unexpected))
		if r.Weights > 0 {
			fmt.Fprintf(w, "%d rows were weighted otherwise than the environment says.\n", r.Weights)
		}
	})
	if err == nil && !r.Agrees() {
		return errDifferences
	}
	return err
}
