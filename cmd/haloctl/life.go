package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/internal/control"
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
			body := map[string]string{"tenant_url": url, "client_id": id, "client_secret": secret.Reveal()}
			if caFile != "" {
				pem, err := os.ReadFile(caFile)
				if err != nil {
					return fmt.Errorf("CA bundle: %w", err)
				}
				body["ca_bundle"] = string(pem)
			}
			fmt.Fprintln(s.err, "Asking Halo; this can take a minute …")
			var conn control.Connection
			raw, err := c.Ask(cmd.Context(), http.MethodPut, tenant, "/connection", nil, body, &conn)
			if err != nil {
				return err
			}
			return s.show(raw, connectionTable(conn))
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "tenant URL, as in acme.halopsa.com")
	cmd.Flags().StringVar(&id, "client-id", "", "client id of the API application")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file with the client secret; - for standard input (default: ask)")
	cmd.Flags().StringVar(&caFile, "ca-bundle", "", "PEM file of the certificate authority of a self-hosted Halo")
	return cmd
}

func statusCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the tenant's connection; without a tenant, all", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			if s.tenant == "" {
				return showTenants(cmd.Context(), s, c)
			}
			return showConnection(cmd.Context(), s, http.MethodGet, "/connection")
		},
	}
}

func showTenants(ctx context.Context, s *streams, c *control.Client) error {
	raw, err := c.Do(ctx, http.MethodGet, "/v1/tenants", nil, nil)
	if err != nil {
		return err
	}
	var list struct {
		Tenants []struct{ Tenant, State string }
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("control API: list of tenants: %w", err)
	}
	return s.show(raw, func(w io.Writer) {
		fmt.Fprintln(w, "TENANT\tSTATE")
		for _, t := range list.Tenants {
			fmt.Fprintf(w, "%s\t%s\n", t.Tenant, t.State)
		}
	})
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
	return s.show(raw, connectionTable(conn))
}

func disconnectCommand(s *streams) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "disconnect --yes", Short: "Remove the webhook and destroy the credentials; the timeline stays", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return fmt.Errorf("%w: this destroys the tenant's credentials; say --yes", errUsage)
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			if _, err := c.Ask(cmd.Context(), http.MethodDelete, tenant, "/connection", nil, nil, nil); err != nil {
				return err
			}
			return s.show(json.RawMessage(`{"state":"disconnected"}`), func(w io.Writer) { fmt.Fprintf(w, "%s is disconnected.\n", tenant) })
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func usersCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "users FILE", Short: "Replace the tenant's WorkSights users, by whose e-mail agents are matched", GroupID: groupTenant, Args: exactly(1),
		Long: `Replace the tenant's directory of WorkSights users.

FILE is JSON, [{"user_id":"…","email":"…"}], or CSV with the columns user_id and
email, with or without a heading; "-" is standard input. The mappings of users who are no
longer in it end now.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			users, err := s.readUsers(args[0])
			if err != nil {
				return err
			}
			var done struct{ Users int }
			raw, err := c.Ask(cmd.Context(), http.MethodPut, tenant, "/users", nil, users, &done)
			if err != nil {
				return err
			}
			return s.show(raw, func(w io.Writer) { fmt.Fprintf(w, "%d users.\n", done.Users) })
		},
	}
}

type user struct {
	ID    string `json:"user_id"`
	Email string `json:"email"`
}

func (s *streams) readUsers(file string) ([]user, error) {
	var b []byte
	var err error
	if file == "-" {
		b, err = io.ReadAll(s.in)
	} else {
		b, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		// A file that was not written must not end all mappings.
		return nil, errors.New("users: the file is empty; [] empties the directory")
	}
	users := []user{}
	if strings.HasPrefix(text, "[") {
		if json.Unmarshal(b, &users) != nil {
			return nil, errors.New(`users: want JSON [{"user_id":"…","email":"…"}]`)
		}
		return users, nil
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = 2
	rows, err := r.ReadAll()
	if err != nil {
		return nil, errors.New("users: want two columns, user_id and email, in every line")
	}
	for i, row := range rows {
		if i == 0 && strings.EqualFold(strings.TrimSpace(row[0]), "user_id") {
			continue // a heading
		}
		users = append(users, user{strings.TrimSpace(row[0]), strings.TrimSpace(row[1])})
	}
	return users, nil
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
			fmt.Fprintf(w, "\nproblem\t%s\n\t%s\n", p.Message, p.Action)
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

// when shows an instant to people, in UTC as everywhere in the product.
func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
