package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// agentCommands are the commands about who an agent is.
func agentCommands(s *streams) []*cobra.Command {
	return []*cobra.Command{
		agentsCommand(s),
		{
			Use: "map AGENT USER", Short: "Map an agent to a user, from now on", GroupID: groupTenant, Args: exactly(2), ValidArgsFunction: s.completeMap,
			RunE: func(cmd *cobra.Command, args []string) error {
				return changeMapping(cmd, s, args[0], http.MethodPut, map[string]string{"user_id": args[1]},
					fmt.Sprintf("Agent %s is mapped to %s from now on.", args[0], args[1]))
			},
		},
		{
			Use: "unmap AGENT", Short: "Unmap an agent, from now on; he stays so at a refresh", GroupID: groupTenant, Args: exactly(1), ValidArgsFunction: s.completeAgents,
			RunE: func(cmd *cobra.Command, args []string) error {
				return changeMapping(cmd, s, args[0], http.MethodDelete, nil, fmt.Sprintf("Agent %s is mapped to nobody from now on.", args[0]))
			},
		},
		setCommand(s, "ignore AGENT…", "Say that agents are not to be mapped", control.SetIgnored),
		setCommand(s, "automatic AGENT…", "Forget what was said by hand of agents, and match them by e-mail", control.SetAutomatic),
		historyCommand(s),
	}
}

func agentsCommand(s *streams) *cobra.Command {
	var state, part string
	cmd := &cobra.Command{
		Use: "agents [--state STATE] [--find TEXT]", Short: "List the tenant's agents and whom they are mapped to", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, text := range map[string]string{"state": state, "q": part} {
				if text != "" {
					query.Set(name, text)
				}
			}
			if state != "" && state != control.Matched && state != control.Unmatched && state != control.Ignored {
				return fmt.Errorf("%w: --state is matched, unmatched or ignored", errUsage)
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			var list control.Agents
			raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, "/agents", query, nil, &list)
			if err != nil {
				return err
			}
			return s.show(raw, list, agentsTable(list))
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only agents that are matched, unmatched or ignored")
	cmd.Flags().StringVar(&part, "find", "", "only agents whose name, e-mail, id or user has this in it")
	return cmd
}

func agentsTable(l control.Agents) func(io.Writer) {
	return func(w io.Writer) {
		fmt.Fprintln(w, "AGENT\tNAME\tE-MAIL\tSTATE\tUSER\tSINCE (UTC)")
		for _, a := range l.Agents {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", a.ID, harmless.Text(a.Name), harmless.Text(a.Email), standing(a), userOf(a), cell(a.Since))
		}
	}
}

// standing is an agent's state, and why.
func standing(a control.Agent) string {
	state := a.State
	if a.Reason != "" {
		state += ": " + strings.ReplaceAll(a.Reason, "_", " ")
	}
	if a.Missing {
		state += ", missing in Halo"
	}
	return state
}

// userOf is an agent's user, or who it may be.
func userOf(a control.Agent) string {
	if a.UserID != nil {
		return harmless.Text(string(*a.UserID))
	}
	if len(a.Suggestions) > 0 {
		return harmless.Text(string(a.Suggestions[0].UserID)) + "?"
	}
	return ""
}

// agentID reads an agent's id from the command line.
func agentID(text string) (schemas.AgentID, error) {
	n, err := strconv.ParseUint(text, 10, 53)
	if err != nil {
		return 0, fmt.Errorf("%w: AGENT is Halo's agent id, a number; see haloctl agents", errUsage)
	}
	return schemas.AgentID(n), nil
}

func changeMapping(cmd *cobra.Command, s *streams, agent, method string, body any, done string) error {
	id, err := agentID(agent)
	if err != nil {
		return err
	}
	c, tenant, err := s.tenantClient()
	if err != nil {
		return err
	}
	raw, err := c.Ask(cmd.Context(), method, tenant, fmt.Sprintf("/agents/%d/user", id), nil, body, nil)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		raw = json.RawMessage(`{}`)
	}
	return s.show(raw, nil, func(w io.Writer) { fmt.Fprintln(w, harmless.Text(done)) })
}

// setCommand says one word of several agents.
func setCommand(s *streams, use, short, word string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, GroupID: groupTenant, Args: atLeast(1), ValidArgsFunction: s.completeAgents,
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []control.Assignment
			for _, text := range args {
				id, err := agentID(text)
				if err != nil {
					return err
				}
				all = append(all, control.Assignment{Agent: id, Set: word})
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			var done control.BulkResults
			raw, err := c.Ask(cmd.Context(), http.MethodPut, tenant, "/agents/users", nil, all, &done)
			if err != nil {
				return err
			}
			if err := s.show(raw, done, resultsTable(done)); err != nil {
				return err
			}
			for _, r := range done.Results {
				if r.Error != nil {
					r.Error.Status = http.StatusConflict // of one among several; the table says which
					return r.Error
				}
			}
			return nil
		},
	}
}

func resultsTable(done control.BulkResults) func(io.Writer) {
	return func(w io.Writer) {
		fmt.Fprintln(w, "AGENT\tSTATE\tUSER\t")
		for _, r := range done.Results {
			user, fault := "", ""
			if r.UserID != nil {
				user = harmless.Text(string(*r.UserID))
			}
			if r.Error != nil {
				fault = harmless.Text(r.Error.Error())
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", r.Agent, r.State, user, fault)
		}
	}
}

func historyCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "history AGENT", Short: "Show whom an agent was mapped to, and since when", GroupID: groupTenant, Args: exactly(1), ValidArgsFunction: s.completeAgents,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := agentID(args[0])
			if err != nil {
				return err
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			var h control.History
			raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, fmt.Sprintf("/agents/%d/history", id), nil, nil, &h)
			if err != nil {
				return err
			}
			return s.show(raw, h, func(w io.Writer) {
				if len(h.Intervals) == 0 {
					fmt.Fprintf(w, "Agent %d was never mapped to anybody.\n", id)
					return
				}
				fmt.Fprintln(w, "USER\tFROM (UTC)\tUNTIL (UTC)\tBY")
				intervalRows(w, h.Intervals)
			})
		},
	}
}

func intervalRows(w io.Writer, intervals []control.Interval) {
	for _, iv := range intervals {
		user := harmless.Text(string(iv.UserID))
		if user == "" {
			user = "(erased)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", user, cell(&iv.From), cell(iv.Until), harmless.Text(iv.By))
	}
}
