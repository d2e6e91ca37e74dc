package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// agentCommands are the commands about who an agent is.
func agentCommands(s *streams) []*cobra.Command {
	return []*cobra.Command{
		{
			Use: "agents", Short: "List the tenant's agents and whom they are mapped to", GroupID: groupTenant, Args: exactly(0),
			RunE: func(cmd *cobra.Command, _ []string) error {
				c, tenant, err := s.tenantClient()
				if err != nil {
					return err
				}
				var list control.Agents
				raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, "/agents", nil, nil, &list)
				if err != nil {
					return err
				}
				return s.show(raw, agentsTable(list))
			},
		},
		{
			Use: "map AGENT USER", Short: "Map an agent to a user, from now on", GroupID: groupTenant, Args: exactly(2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return changeMapping(cmd, s, http.MethodPut, args[0], map[string]string{"user_id": args[1]},
					fmt.Sprintf("Agent %s is mapped to %s from now on.", args[0], args[1]))
			},
		},
		{
			Use: "unmap AGENT", Short: "Unmap an agent, from now on; he stays so at a refresh", GroupID: groupTenant, Args: exactly(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return changeMapping(cmd, s, http.MethodDelete, args[0], nil, fmt.Sprintf("Agent %s is mapped to nobody from now on.", args[0]))
			},
		},
	}
}

func changeMapping(cmd *cobra.Command, s *streams, method, agent string, body any, done string) error {
	if _, err := strconv.ParseUint(agent, 10, 64); err != nil {
		return fmt.Errorf("%w: AGENT is Halo's agent id, a number; see haloctl agents", errUsage)
	}
	c, tenant, err := s.tenantClient()
	if err != nil {
		return err
	}
	raw, err := c.Ask(cmd.Context(), method, tenant, "/agents/"+agent+"/user", nil, body, nil)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		raw = []byte(`{}`)
	}
	return s.show(raw, func(w io.Writer) { fmt.Fprintln(w, done) })
}

func agentsTable(l control.Agents) func(io.Writer) {
	return func(w io.Writer) {
		fmt.Fprintln(w, "AGENT\tNAME\tE-MAIL\tSTATE\tUSER\tSINCE")
		for _, a := range l.Agents {
			since, user := "", schemas.UserID("")
			if a.UserID != nil {
				user = *a.UserID
			}
			if a.Since != nil {
				since = when(a.Since)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", a.ID, a.Name, a.Email, a.State, user, since)
		}
	}
}

func timelineCommand(s *streams) *cobra.Command {
	var userID, from, to, cursor string
	var limit int
	cmd := &cobra.Command{
		Use: "timeline", Short: "Show activities, newest first", GroupID: groupTenant, Args: exactly(0),
		Long: `Show activities, newest first.

--from and --to take RFC 3339 times (2026-11-24T08:00:00Z), dates (2026-11-24),
or durations back from now (36h). The first is inclusive, the second exclusive.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, text := range map[string]string{"from": from, "to": to} {
				if text == "" {
					continue
				}
				t, err := instant(text, time.Now())
				if err != nil {
					return fmt.Errorf("%w: --%s: %w", errUsage, name, err)
				}
				query.Set(name, t.Format(time.RFC3339Nano))
			}
			for name, text := range map[string]string{"user": userID, "cursor": cursor} {
				if text != "" {
					query.Set(name, text)
				}
			}
			query.Set("limit", strconv.Itoa(limit))
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			var tl control.Timeline
			raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, "/timeline", query, nil, &tl)
			if err != nil {
				return err
			}
			return s.show(raw, timelineTable(tl))
		},
	}
	cmd.Flags().StringVar(&userID, "user", "", "only this user")
	cmd.Flags().StringVar(&from, "from", "", "not before")
	cmd.Flags().StringVar(&to, "to", "", "before")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on where an earlier answer ended")
	cmd.Flags().IntVar(&limit, "limit", 100, "most activities, up to 1000")
	return cmd
}

// instant reads a time as people write one.
func instant(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d.Abs()).UTC(), nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time, date or duration", text)
}

func timelineTable(l control.Timeline) func(io.Writer) {
	return func(w io.Writer) {
		fmt.Fprintln(w, "OCCURRED (UTC)\tUSER\tKIND\tWEIGHT\tTICKET\tAGENT\tCREDITED AS\tSTATUS")
		for _, a := range l.Activities {
			fmt.Fprintf(w, "%s\t%s\t%s\t%g\t%d\t%d\t%s\t%d\n", a.OccurredAt.UTC().Format("2006-01-02 15:04:05"),
				a.User, a.Kind, a.Weight, a.Ticket, a.Agent, a.CreditedAs, a.Status)
		}
		if l.Next != "" {
			fmt.Fprintf(w, "\nmore with --cursor %s\n", l.Next)
		}
	}
}

func doctorCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Answer from facts: agents missing? activities missing? no events?", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			var d control.Diagnosis
			raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, "/diagnosis", nil, nil, &d)
			if err != nil {
				return err
			}
			return s.show(raw, diagnosisTable(d))
		},
	}
}

// questions are the troubleshooting entries as the customer's guide words them.
var questions = map[string]string{
	"agents_missing":   "Agents are not appearing in the user mapping step",
	"activity_missing": "Ticket activity is not appearing on the timeline",
	"no_events":        "The connection shows as active but no events are coming through",
}

// fact shows a value of any shape on one line.
func fact(v any) string {
	var parts []string
	switch v := v.(type) {
	case nil:
		return "none"
	case []any:
		for _, item := range v {
			parts = append(parts, fact(item))
		}
		if len(parts) == 0 {
			return "none"
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, strings.ReplaceAll(name, "_", " ")+" "+fact(v[name]))
		}
		if len(parts) == 0 {
			return "none"
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

func diagnosisTable(d control.Diagnosis) func(io.Writer) {
	return func(w io.Writer) {
		for i, q := range d.Questions {
			if i > 0 {
				fmt.Fprintln(w)
			}
			title := questions[q.ID]
			if title == "" {
				title = q.ID
			}
			fmt.Fprintf(w, "%s\n  finding:   %s\n  next step: %s\n", title, q.Finding, q.NextStep)
			for _, name := range slices.Sorted(maps.Keys(q.Facts)) {
				fmt.Fprintf(w, "    %s: %s\n", strings.ReplaceAll(name, "_", " "), fact(q.Facts[name]))
			}
		}
	}
}
