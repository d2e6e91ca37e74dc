package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/schemas"
)

// engineTimeout bounds a command that prepares an engine: an operator who waits
// longer than this wants to be told that nobody answers.
const engineTimeout = 60 * time.Second

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
