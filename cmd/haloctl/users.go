package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

func usersCommand(s *streams) *cobra.Command {
	var dry bool
	var ends int
	cmd := &cobra.Command{
		Use: "users [--dry-run] [--ends N] [FILE]", Short: "Replace the tenant's WorkSights users, by whose e-mail agents are matched; without FILE list them", GroupID: groupTenant, Args: atMost(1),
		Long: `Replace the tenant's directory of WorkSights users, or list it.

` + usersHelp + `

The mappings of users who are no longer in it end now. Where that is more than
five and more than a fifth of all, the change is refused unless --ends says how
many; --dry-run shows what would change, and changes nothing.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && (dry || cmd.Flags().Changed("ends")) || ends < 0 {
				return fmt.Errorf("%w: %s", errUsage, cmd.UseLine())
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return s.listUsers(cmd, c, tenant)
			}
			users, err := s.readUsers(args[0])
			if err != nil {
				return err
			}
			if dry {
				return s.compareUsers(cmd, c, tenant, users)
			}
			query := url.Values{}
			if cmd.Flags().Changed("ends") {
				query.Set("ends", strconv.Itoa(ends))
			}
			var done control.UsersChanged
			raw, err := c.Ask(cmd.Context(), http.MethodPut, tenant, "/users", query, users, &done)
			if refused, ok := errors.AsType[*control.Refusal](err); ok && refused.Ends > 0 {
				return fmt.Errorf("%w; look with --dry-run, and say --ends %d to do it", err, refused.Ends)
			}
			if err != nil {
				return err
			}
			return s.show(raw, done, func(w io.Writer) { fmt.Fprintf(w, "%d users; %d mappings ended.\n", done.Users, done.Ended) })
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would change, and change nothing")
	cmd.Flags().IntVar(&ends, "ends", 0, "how many mappings may end")
	return cmd
}

func (s *streams) listUsers(cmd *cobra.Command, c *control.Client, t schemas.Tenant) error {
	var list control.Users
	raw, err := c.Ask(cmd.Context(), http.MethodGet, t, "/users", nil, nil, &list)
	if err != nil {
		return err
	}
	return s.show(raw, list, func(w io.Writer) {
		fmt.Fprintln(w, "USER\tE-MAIL")
		for _, u := range list.Users {
			fmt.Fprintf(w, "%s\t%s\n", harmless.Text(string(u.ID)), harmless.Text(u.Email))
		}
	})
}

// usersDiff is what a file would change.
type usersDiff struct {
	Users   int              `json:"users"`
	Added   []schemas.UserID `json:"added"`
	Changed []schemas.UserID `json:"changed"`
	Removed []schemas.UserID `json:"removed"`
	Ends    []ending         `json:"ends"`
}

// ending is a mapping that would end.
type ending struct {
	Agent schemas.AgentID `json:"agent_id"`
	Name  string          `json:"name"`
	User  schemas.UserID  `json:"user_id"`
}

// compareUsers shows what a file would change.
func (s *streams) compareUsers(cmd *cobra.Command, c *control.Client, t schemas.Tenant, users []control.User) error {
	var is control.Users
	if _, err := c.Ask(cmd.Context(), http.MethodGet, t, "/users", nil, nil, &is); err != nil {
		return err
	}
	var agents control.Agents
	_, err := c.Ask(cmd.Context(), http.MethodGet, t, "/agents", nil, nil, &agents)
	if refused, ok := errors.AsType[*control.Refusal](err); err != nil && (!ok || refused.Code != control.ErrNotConnected.Code) {
		return err
	}
	d := diffUsers(is.Users, users, agents.Agents)
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.show(raw, d, func(w io.Writer) {
		for _, list := range []struct {
			word string
			all  []schemas.UserID
		}{{"added", d.Added}, {"changed", d.Changed}, {"removed", d.Removed}} {
			for _, id := range list.all {
				fmt.Fprintf(w, "%s\t%s\n", list.word, harmless.Text(string(id)))
			}
		}
		for _, e := range d.Ends {
			fmt.Fprintf(w, "ends\tagent %d, %s, mapped to %s\n", e.Agent, harmless.Text(e.Name), harmless.Text(string(e.User)))
		}
		fmt.Fprintf(w, "%d users: %d added, %d changed, %d removed; %d mappings would end. Nothing was changed.\n",
			d.Users, len(d.Added), len(d.Changed), len(d.Removed), len(d.Ends))
	})
}

func diffUsers(is, will []control.User, agents []control.Agent) usersDiff {
	d := usersDiff{Users: len(will), Added: []schemas.UserID{}, Changed: []schemas.UserID{}, Removed: []schemas.UserID{}, Ends: []ending{}}
	before, after := emails(is), emails(will)
	for _, u := range will {
		switch email, known := before[u.ID]; {
		case !known:
			d.Added = append(d.Added, u.ID)
		case email != u.Email:
			d.Changed = append(d.Changed, u.ID)
		}
	}
	for _, u := range is {
		if _, stays := after[u.ID]; !stays {
			d.Removed = append(d.Removed, u.ID)
		}
	}
	for _, a := range agents {
		if a.UserID == nil {
			continue
		}
		if _, stays := after[*a.UserID]; !stays {
			d.Ends = append(d.Ends, ending{a.ID, a.Name, *a.UserID})
		}
	}
	slices.Sort(d.Added)
	return d
}

func emails(users []control.User) map[schemas.UserID]string {
	m := make(map[schemas.UserID]string, len(users))
	for _, u := range users {
		m[u.ID] = u.Email
	}
	return m
}
