package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
)

// lifeCommands are the commands of a connection's life, in its order.
func lifeCommands(s *streams) []*cobra.Command {
	return []*cobra.Command{
		usersCommand(s), connectCommand(s), statusCommand(s),
		lifeCommand(s, "refresh", "List the agents again and match new ones", http.MethodPost, "/connection/refresh"),
		lifeCommand(s, "reconnect", "Register the webhook again, with a fresh secret", http.MethodPost, "/connection/reconnect"),
		disconnectCommand(s),
	}
}

func connectCommand(s *streams) *cobra.Command {
	var url, id, secretFile, caFile string
	var replaceSealed bool
	cmd := &cobra.Command{
		Use:     "connect --url URL --client-id ID [--secret-file FILE]",
		Short:   "Connect the tenant's Halo: register the webhook, list and match the agents",
		GroupID: groupTenant,
		Args:    exactly(0),
		Long: `Connect the tenant's HaloPSA, HaloITSM or self-hosted Halo.

The client secret is asked for, or read from the first line of --secret-file
("-" for standard input). Nothing is saved unless Halo accepts the credentials.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" || id == "" {
				return fmt.Errorf("%w: %s", errUsage, cmd.UseLine())
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			secret, err := s.secret("Client secret", secretFile)
			if err != nil {
				return err
			}
			body := control.Credentials{TenantURL: url, ClientID: id, ClientSecret: secret.Reveal(), ReplaceSealed: replaceSealed}
			if caFile != "" {
				pem, err := os.ReadFile(caFile)
				if err != nil {
					return fmt.Errorf("CA bundle: %w", err)
				}
				body.CABundle = string(pem)
			}
			fmt.Fprintln(s.err, "Asking Halo; this can take a minute …")
			var conn control.Connection
			raw, err := c.Ask(cmd.Context(), http.MethodPut, tenant, "/connection", nil, body, &conn)
			if err != nil {
				return err
			}
			return s.show(raw, conn, connectionTable(conn))
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "tenant URL, as in acme.halopsa.com")
	cmd.Flags().StringVar(&id, "client-id", "", "client id of the API application")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file with the client secret; - for standard input (default: ask)")
	cmd.Flags().BoolVar(&replaceSealed, "replace-sealed", false, "connect a sealed tenant anew; every mapping's history is kept")
	cmd.Flags().StringVar(&caFile, "ca-bundle", "", "PEM file of the certificate authority of a self-hosted Halo")
	return cmd
}

func statusCommand(s *streams) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "status [--all]", Short: "Show the tenant's connection; without a tenant, all", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			if s.tenant == "" {
				return showTenants(cmd.Context(), s, c, all)
			}
			return showConnection(cmd.Context(), s, http.MethodGet, "/connection")
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "disconnected tenants too")
	return cmd
}

func showTenants(ctx context.Context, s *streams, c *control.Client, all bool) error {
	raw, err := c.Do(ctx, http.MethodGet, "/v1/tenants", nil, nil)
	if err != nil {
		return err
	}
	var list control.Tenants
	if err := decode(raw, &list); err != nil {
		return err
	}
	return s.show(raw, list, func(w io.Writer) {
		fmt.Fprintln(w, "TENANT\tSTATE\tMAPPED\tLAST DELIVERY (UTC)\tPROBLEMS")
		hidden := 0
		for _, t := range list.Tenants {
			if t.State == control.Disconnected && !all {
				hidden++
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%d of %d\t%s\t%s\n", t.Tenant, t.State, t.Agents.Matched, t.Agents.Total, cell(t.LastDeliveryAt), strings.Join(t.Problems, ", "))
		}
		if hidden > 0 {
			fmt.Fprintf(w, "\n%d disconnected; --all shows them\n", hidden)
		}
	})
}

// decode reads an answer of the API.
func decode(raw json.RawMessage, out any) error {
	if err := json.Unmarshal(raw, out); err != nil {
		return control.ErrForeign
	}
	return nil
}

func lifeCommand(s *streams, use, short, method, path string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return showConnection(cmd.Context(), s, method, path) },
	}
}

func showConnection(ctx context.Context, s *streams, method, path string) error {
	c, tenant, err := s.tenantClient()
	if err != nil {
		return err
	}
	var conn control.Connection
	raw, err := c.Ask(ctx, method, tenant, path, nil, nil, &conn)
	if err != nil {
		return err
	}
	return s.show(raw, conn, connectionTable(conn))
}

func disconnectCommand(s *streams) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "disconnect [--yes]", Short: "Remove the webhook and destroy the credentials; the timeline stays", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			if err := s.ask(yes, fmt.Sprintf("This removes the webhook of %s and destroys its credentials.", tenant)); err != nil {
				return err
			}
			if _, err := c.Ask(cmd.Context(), http.MethodDelete, tenant, "/connection", nil, nil, nil); err != nil {
				return err
			}
			return s.show(json.RawMessage(`{"state":"disconnected"}`), nil, func(w io.Writer) { fmt.Fprintf(w, "%s is disconnected.\n", tenant) })
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// connectionTable shows a connection to people.
func connectionTable(c control.Connection) func(io.Writer) {
	return func(w io.Writer) {
		line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
		line("tenant", string(c.Tenant))
		line("state", c.State)
		line("Halo", c.TenantURL)
		webhook := "none"
		if c.Webhook.ID != "" {
			webhook = "switched off in Halo"
			if c.Webhook.Active {
				webhook = "active"
			}
			webhook += fmt.Sprintf(", %d of 4 events, checked %s", len(c.Webhook.Events), when(c.Webhook.CheckedAt))
		}
		line("webhook", webhook)
		line("agents", fmt.Sprintf("%d: %d matched, %d unmatched, %d ignored", c.Agents.Total, c.Agents.Matched, c.Agents.Unmatched, c.Agents.Ignored))
		line("last delivery", lastDelivery(c.LastDeliveryAt))
		line("connected", when(c.ConnectedAt))
		for _, p := range c.Problems {
			fmt.Fprintf(w, "\n%s\n  %s\n", strings.TrimSpace(harmless.Text(p.Severity)+": "+harmless.Text(p.Message)), harmless.Text(p.Action))
		}
	}
}

// lastDelivery does not say "never": the API gives no instant either where
// ClickHouse cannot be asked.
func lastDelivery(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "none known"
	}
	return when(t)
}
