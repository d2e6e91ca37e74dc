package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

func eraseCommand(s *streams) *cobra.Command {
	var whole, yes bool
	cmd := &cobra.Command{
		Use: "erase [--yes] {USER | --whole-tenant}", Short: "Erase a person, or the whole tenant, for good", GroupID: groupTenant, Args: atMost(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return s.userIDs(cmd, len(args) == 0), cobra.ShellCompDirectiveNoFileComp
		},
		Long: `Erase a person: the user leaves the directory, his mappings end, and what arrived
for him before is removed from the timeline and from every topic. With
--whole-tenant the tenant is disconnected and everything of it is erased.

The receipt names each store and when nothing of it is left there; haloctl
erasures shows it again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if whole == (len(args) == 1) {
				return fmt.Errorf("%w: %s", errUsage, cmd.UseLine())
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			method, path, body, question := http.MethodDelete, "", any(nil), fmt.Sprintf("This disconnects %s and erases everything of it, for good.", tenant)
			if !whole {
				method, path, body = http.MethodPost, "/erasures", control.ErasureRequest{UserID: schemas.UserID(args[0])}
				question = fmt.Sprintf("This erases the user %s of %s, for good.", harmless.Text(args[0]), tenant)
			}
			if err := s.ask(yes, question); err != nil {
				return err
			}
			var e control.Erasure
			raw, err := c.Ask(cmd.Context(), method, tenant, path, nil, body, &e)
			if err != nil {
				return err
			}
			return s.show(raw, e, func(w io.Writer) { receipt(w, e) })
		},
	}
	cmd.Flags().BoolVar(&whole, "whole-tenant", false, "the tenant and everybody in it")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func erasuresCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "erasures", Short: "Show the receipts of what was erased, newest first", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			var list control.Erasures
			raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, "/erasures", nil, nil, &list)
			if err != nil {
				return err
			}
			return s.show(raw, list, func(w io.Writer) {
				if len(list.Erasures) == 0 {
					fmt.Fprintln(w, "Nobody was erased.")
				}
				for i, e := range list.Erasures {
					if i > 0 {
						fmt.Fprintln(w)
					}
					receipt(w, e)
				}
			})
		},
	}
}

func receipt(w io.Writer, e control.Erasure) {
	who := "the whole tenant"
	if e.UserID != "" {
		who = "user " + harmless.Text(string(e.UserID))
	}
	fmt.Fprintf(w, "erased\t%s\nreceipt\t%s\nat\t%s\nstate\t%s\nrows removed\t%d\n", who, e.ID, when(&e.At), e.State, e.Rows)
	for _, store := range e.Stores {
		gone := "not known yet"
		if store.GoneBy != nil {
			gone = "nothing left by " + when(store.GoneBy)
		}
		fmt.Fprintf(w, "%s\t%s\n", store.Store, gone)
	}
	if len(e.LeftInHalo) > 0 {
		fmt.Fprintf(w, "left in Halo\t%s\n", harmless.Text(strings.Join(e.LeftInHalo, "; ")))
	}
}

func consoleCommand(s *streams) *cobra.Command {
	var path string
	var scopes []string
	cmd := &cobra.Command{
		Use: "console [--path PATH] [--scope SCOPE]…", Short: "Print a link that opens the console for this tenant, once, within a minute", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, scope := range scopes {
				if scope != control.ScopeRead && scope != control.ScopeMap && scope != control.ScopeManage {
					return fmt.Errorf("%w: --scope is read, map or manage", errUsage)
				}
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			var l control.Link
			raw, err := c.Ask(cmd.Context(), http.MethodPost, tenant, "/console-link", nil, control.LinkRequest{Path: path, Scopes: scopes}, &l)
			if err != nil {
				return err
			}
			return s.show(raw, l, func(w io.Writer) { fmt.Fprintln(w, l.URL) })
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "the page that it opens, under /console/")
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "narrows what the session may do: read, map or manage")
	return cmd
}
