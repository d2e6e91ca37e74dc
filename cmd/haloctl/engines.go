package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// engineTimeout bounds a command that prepares an engine: an operator who waits
// longer than this wants to be told that nobody answers.
const engineTimeout = 60 * time.Second

func topicsCommand(s *streams) *cobra.Command {
	topics := &cobra.Command{Use: "topics", Short: "The topics in Kafka", GroupID: groupEngines, Args: cobra.ArbitraryArgs, RunE: noSuchCommand}
	apply := &cobra.Command{
		Use: "apply", Short: "Create the topics that are missing and bring the others' settings up to date", Args: exactly(0),
		Long: withEnvironment[config.Topics]("Create the topics that are missing and bring the others' settings up to date.\nMay be repeated at any time; the number of partitions of a topic that exists is never changed."),
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			options := kafka.TopicOptions{Partitions: cfg.TopicPartitions, Replication: cfg.TopicReplication}
			if err := kafka.EnsureTopics(ctx, producer, specs, options); err != nil {
				return fmt.Errorf("%w: Kafka: %w", control.ErrUnavailable, err)
			}
			return s.showTopics(specs)
		},
	}
	s.environmentFlags(apply)
	topics.AddCommand(apply)
	return topics
}

func (s *streams) showTopics(specs []schemas.TopicSpec) error {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	raw, err := json.Marshal(map[string]any{"topics": names})
	if err != nil {
		return err
	}
	return s.show(raw, func(w io.Writer) {
		fmt.Fprintln(w, "TOPIC\tKEPT")
		for _, spec := range specs {
			kept := fmt.Sprintf("%d days", int(spec.Retention.Hours()/24))
			if spec.Compact {
				kept = "last of each key"
			}
			fmt.Fprintf(w, "%s\t%s\n", spec.Name, kept)
		}
	})
}

func keysCommand(s *streams) *cobra.Command {
	keys := &cobra.Command{Use: "keys", Short: "The keyset that seals the vault", GroupID: groupEngines, Args: cobra.ArbitraryArgs, RunE: noSuchCommand}
	keys.AddCommand(
		&cobra.Command{
			Use: "new FILE", Short: "Make a keyset, mode 0600; an existing file is never overwritten", Args: exactly(1),
			RunE: func(_ *cobra.Command, args []string) error {
				if err := vault.NewKeyset(args[0]); err != nil {
					return err
				}
				return s.done("Keyset made in %s. Keep a copy: without it the sealed credentials are lost.", args[0])
			},
		},
		&cobra.Command{
			Use: "rotate FILE", Short: "Add a fresh key and seal with it from now on; old ones still open", Args: exactly(1),
			RunE: func(_ *cobra.Command, args []string) error {
				if err := vault.Rotate(args[0]); err != nil {
					return err
				}
				return s.done("A fresh key seals from now on. A running connect notices; no restart is needed.")
			},
		},
		&cobra.Command{
			Use: "retire FILE", Short: "Remove the keys that no longer seal; what only they open is lost", Args: exactly(1),
			RunE: func(_ *cobra.Command, args []string) error {
				n, err := vault.Retire(args[0])
				if err != nil {
					return err
				}
				return s.done("%d old keys removed.", n)
			},
		},
	)
	return keys
}

func tokensCommand(s *streams) *cobra.Command {
	tokens := &cobra.Command{Use: "tokens", Short: "The tokens of the control API", GroupID: groupEngines, Args: cobra.ArbitraryArgs, RunE: noSuchCommand}
	var name string
	add := &cobra.Command{
		Use: "new --name NAME [--tenant TENANT]… FILE", Short: "Add a token to FILE and print it, once", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			only, err := cmd.Flags().GetStringArray("tenant")
			if err != nil {
				return err
			}
			if name == "" {
				return fmt.Errorf("%w: %s", errUsage, cmd.UseLine())
			}
			tenants := make([]schemas.Tenant, 0, len(only))
			for _, text := range only {
				t, err := schemas.ParseTenant(text)
				if err != nil {
					return fmt.Errorf("%w: --tenant: %w", errUsage, err)
				}
				tenants = append(tenants, t)
			}
			token, err := access.New(args[0], access.Grant{Name: name, Tenants: tenants})
			if err != nil {
				return err
			}
			raw, err := json.Marshal(map[string]string{"name": name, "token": token.Reveal()})
			if err != nil {
				return err
			}
			return s.show(raw, func(w io.Writer) { fmt.Fprintln(w, token.Reveal()) })
		},
	}
	add.Flags().StringVar(&name, "name", "", "whose token it is; shown in the audit log")
	add.Flags().StringArrayP("tenant", "t", nil, "a tenant that the token may see; repeat for more (default: all)")
	tokens.AddCommand(add)
	return tokens
}

// done says in words, or as JSON, that a command did what it says.
func (s *streams) done(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	raw, err := json.Marshal(map[string]string{"done": text})
	if err != nil {
		return err
	}
	return s.show(raw, func(w io.Writer) { fmt.Fprintln(w, text) })
}

// logger tells what an engine's client complains about.
func (s *streams) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
