package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// completionTime is how long a shell waits for what it is to offer.
const completionTime = 2 * time.Second

// quietly asks the API for a completion. Whoever presses tab is not asked for a
// token, and not told what went wrong.
func (s *streams) quietly(cmd *cobra.Command, path string, tenant bool, out any) bool {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	ask := *s
	ask.prompt = func(string) (schemas.Secret, error) { return "", errUsage }
	if tenant {
		c, t, err := ask.tenantClient()
		if err != nil {
			return false
		}
		_, err = c.Ask(ctx, http.MethodGet, t, path, nil, nil, out)
		return err == nil
	}
	c, err := ask.client()
	if err != nil {
		return false
	}
	raw, err := c.Do(ctx, http.MethodGet, path, nil, nil)
	return err == nil && decode(raw, out) == nil
}

// complete offers tenants to --tenant.
func (s *streams) complete(root *cobra.Command) {
	_ = root.RegisterFlagCompletionFunc("tenant", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var list control.Tenants
		s.quietly(cmd, "/v1/tenants", false, &list)
		var names []string
		for _, t := range list.Tenants {
			names = append(names, fmt.Sprintf("%s\t%s", t.Tenant, t.State))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}) // fails only where the flag is none, or has one already
}

// completeAgents offers agents by their ids, with their names.
func (s *streams) completeAgents(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var list control.Agents
	s.quietly(cmd, "/agents", true, &list)
	var ids []string
	for _, a := range list.Agents {
		ids = append(ids, fmt.Sprintf("%d\t%s", a.ID, harmless.Text(a.Name)))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// completeMap offers an agent and then a user.
func (s *streams) completeMap(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return s.completeAgents(cmd, args, part)
	}
	return s.userIDs(cmd, len(args) == 1), cobra.ShellCompDirectiveNoFileComp
}

// userIDs are the users of the directory, where one is asked for.
func (s *streams) userIDs(cmd *cobra.Command, wanted bool) (ids []string) {
	var list control.Users
	if wanted {
		s.quietly(cmd, "/users", true, &list)
	}
	for _, u := range list.Users {
		ids = append(ids, fmt.Sprintf("%s\t%s", harmless.Text(string(u.ID)), harmless.Text(u.Email)))
	}
	return ids
}
