package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/schemas"
)

func keysCommand(s *streams) *cobra.Command {
	keys := &cobra.Command{Use: "keys", Short: "The keyset that seals the vault", GroupID: groupEngines, Args: cobra.ArbitraryArgs, RunE: noSuchCommand}
	var yes bool
	retire := &cobra.Command{
		Use: "retire [--yes] FILE", Short: "Remove the keys that no longer seal; what only they open is lost", Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := s.ask(yes, "What is sealed with an older key only can be opened by nobody afterwards."); err != nil {
				return err
			}
			n, err := vault.Retire(args[0])
			if err != nil {
				return err
			}
			return s.done("%d old keys removed.", n)
		},
	}
	retire.Flags().BoolVar(&yes, "yes", false, "do not ask")
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
			Long: "Add a fresh key and seal with it from now on; old ones still open.\n\nThe file keeps its owner, its mode, and the link that leads to it.",
			RunE: func(_ *cobra.Command, args []string) error {
				if err := vault.Rotate(args[0]); err != nil {
					return err
				}
				return s.done("A fresh key seals from now on. A running connect notices; no restart is needed.")
			},
		},
		retire,
	)
	return keys
}

func tokensCommand(s *streams) *cobra.Command {
	tokens := &cobra.Command{Use: "tokens", Short: "The tokens of the control API", GroupID: groupEngines, Args: cobra.ArbitraryArgs, RunE: noSuchCommand}
	tokens.AddCommand(newTokenCommand(s), listTokensCommand(s), &cobra.Command{
		Use: "revoke NAME FILE", Short: "Take a token out of FILE; it stops within two seconds", Args: exactly(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := access.Revoke(args[1], args[0]); err != nil {
				return err
			}
			return s.done("The token %s is revoked. A running connect notices within two seconds.", args[0])
		},
	})
	return tokens
}

func newTokenCommand(s *streams) *cobra.Command {
	var name, until string
	var only, scopes []string
	add := &cobra.Command{
		Use: "new --name NAME [--tenant TENANT]… [--scope SCOPE]… [--until TIME] FILE", Short: "Add a token to FILE and print it, once", Args: exactly(1),
		Long: `Add a token to FILE and print it, once.

Scopes: read looks; map also says who the agents are; manage also connects,
disconnects and erases. Without one the token may do all.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return fmt.Errorf("%w: %s", errUsage, cmd.UseLine())
			}
			g := access.Grant{Name: name}
			for _, text := range only {
				t, err := schemas.ParseTenant(text)
				if err != nil {
					return fmt.Errorf("%w: --tenant: %w", errUsage, err)
				}
				g.Tenants = append(g.Tenants, t)
			}
			var err error
			if g.Scope, err = access.ParseScopes(scopes); err != nil {
				return fmt.Errorf("%w: --scope: %w", errUsage, err)
			}
			if until != "" {
				if g.Until, err = access.ParseUntil(until); err != nil || !g.Until.After(time.Now()) {
					return fmt.Errorf("%w: --until: %w", errUsage, access.ErrUntil)
				}
			}
			token, err := access.New(args[0], g)
			if errors.Is(err, access.ErrName) {
				return fmt.Errorf("%w: --name: %w", errUsage, err)
			}
			if err != nil {
				return err
			}
			raw, err := json.Marshal(map[string]string{"name": name, "token": token.Reveal()})
			if err != nil {
				return err
			}
			return s.show(raw, nil, func(w io.Writer) { fmt.Fprintln(w, token.Reveal()) })
		},
	}
	add.Flags().StringVar(&name, "name", "", "whose token it is; shown in the audit log")
	add.Flags().StringArrayP("tenant", "t", nil, "a tenant that the token may see; repeat for more (default: all)")
	add.Flags().StringArrayVar(&scopes, "scope", nil, "read, map or manage; each covers those before it (default: all)")
	add.Flags().StringVar(&until, "until", "", "when it ends: a time as in RFC 3339, or a date (default: never)")
	add.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		only, err = cmd.Flags().GetStringArray("tenant")
		return err
	}
	return add
}

// tokenRow is a token as tokens list shows it.
type tokenRow struct {
	Name    string           `json:"name"`
	Tenants []schemas.Tenant `json:"tenants"` // none: all
	Scopes  []string         `json:"scopes"`
	Until   *time.Time       `json:"until"`
}

func listTokensCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "list FILE", Short: "Show whose tokens are in FILE and what each may do", Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			grants, err := access.List(args[0])
			if err != nil {
				return err
			}
			rows := make([]tokenRow, len(grants))
			for i, g := range grants {
				rows[i] = tokenRow{Name: g.Name, Tenants: append([]schemas.Tenant{}, g.Tenants...), Scopes: g.Scope.Names()}
				if !g.Until.IsZero() {
					rows[i].Until = &grants[i].Until
				}
			}
			raw, err := json.Marshal(map[string]any{"tokens": rows})
			if err != nil {
				return err
			}
			return s.show(raw, rows, func(w io.Writer) {
				fmt.Fprintln(w, "NAME\tTENANTS\tSCOPES\tUNTIL (UTC)")
				for _, r := range rows {
					tenants := strings.Join(texts(r.Tenants), ",")
					if tenants == "" {
						tenants = "*"
					}
					until := cell(r.Until)
					if r.Until != nil && !r.Until.After(time.Now()) {
						until += ", ended"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, tenants, strings.Join(r.Scopes, ","), until)
				}
			})
		},
	}
}
