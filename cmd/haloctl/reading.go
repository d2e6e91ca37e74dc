package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

func readingCommands(s *streams) []*cobra.Command {
	return []*cobra.Command{timelineCommand(s), eventsCommand(s), explainCommand(s), deliveriesCommand(s), changesCommand(s)}
}

// filters are the flags of a list that is read by pages.
type filters struct {
	from, to, cursor string
	limit            int
	texts            map[string]*string // by the name of the parameter
}

func (f *filters) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "not before")
	cmd.Flags().StringVar(&f.to, "to", "", "before")
	cmd.Flags().StringVar(&f.cursor, "cursor", "", "go on where an earlier answer ended")
	cmd.Flags().IntVar(&f.limit, "limit", 100, "most rows, up to 1000")
}

// text adds a filter by a word.
func (f *filters) text(cmd *cobra.Command, name, usage string) {
	if f.texts == nil {
		f.texts = make(map[string]*string)
	}
	f.texts[name] = cmd.Flags().String(name, "", usage)
}

func (f *filters) query() (url.Values, error) {
	if f.limit < 1 || f.limit > 1000 {
		return nil, fmt.Errorf("%w: --limit is 1 to 1000", errUsage)
	}
	query := url.Values{"limit": {strconv.Itoa(f.limit)}}
	from, to, err := bounds(f.from, f.to, time.Now())
	if err != nil {
		return nil, err
	}
	for name, at := range map[string]time.Time{"from": from, "to": to} {
		if !at.IsZero() {
			query.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	if f.cursor != "" {
		query.Set("cursor", f.cursor)
	}
	for name, text := range f.texts {
		if *text != "" {
			query.Set(name, *text)
		}
	}
	for _, name := range []string{"ticket", "agent"} {
		if _, err := strconv.ParseUint(query.Get(name), 10, 53); err != nil && query.Has(name) {
			return nil, fmt.Errorf("%w: --%s is a number", errUsage, name)
		}
	}
	for name, words := range map[string][]string{
		"outcome": {control.OutcomeActivity, control.OutcomeSkip}, "kind": texts(schemas.Kinds()), "reason": texts(schemas.Reasons()),
	} {
		if query.Has(name) && !strings.Contains(" "+strings.Join(words, " ")+" ", " "+query.Get(name)+" ") {
			return nil, fmt.Errorf("%w: --%s is %s", errUsage, name, strings.Join(words, ", "))
		}
	}
	return query, nil
}

func texts[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = string(v)
	}
	return out
}

// list asks for a page and shows it. rows says how many there are.
func list[T any](cmd *cobra.Command, s *streams, f *filters, path string, rows func(T) int, table func(io.Writer, T)) error {
	query, err := f.query()
	if err != nil {
		return err
	}
	c, tenant, err := s.tenantClient()
	if err != nil {
		return err
	}
	var page T
	raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, path, query, nil, &page)
	if err != nil {
		return err
	}
	if rows(page) == 0 && query.Has("user") {
		s.sayStranger(cmd, c, tenant, schemas.UserID(query.Get("user")))
	}
	return s.show(raw, page, func(w io.Writer) {
		table(w, page)
		var next struct{ Next string }
		if json.Unmarshal(raw, &next) == nil && next.Next != "" {
			fmt.Fprintf(w, "\nmore with --cursor %s\n", next.Next)
		}
	})
}

// sayStranger says where nobody has the user id that was asked for: a list
// without rows would look like a person without work.
func (s *streams) sayStranger(cmd *cobra.Command, c *control.Client, t schemas.Tenant, user schemas.UserID) {
	var dir control.Users
	if _, err := c.Ask(cmd.Context(), http.MethodGet, t, "/users", nil, nil, &dir); err != nil {
		return // a standby lists, and knows no directory
	}
	if _, known := emails(dir.Users)[user]; !known {
		fmt.Fprintf(s.err, "haloctl: nobody in the user directory of %s has the id %s\n", t, harmless.Text(string(user)))
	}
}

func timelineCommand(s *streams) *cobra.Command {
	var f filters
	cmd := &cobra.Command{
		Use: "timeline", Short: "Show activities, newest first", GroupID: groupTenant, Args: exactly(0),
		Long: "Show activities, newest first.\n\n" + timesHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd, s, &f, "/timeline", func(l control.Timeline) int { return len(l.Activities) }, func(w io.Writer, l control.Timeline) {
				fmt.Fprintln(w, "OCCURRED (UTC)\tUSER\tKIND\tWEIGHT\tTICKET\tAGENT\tCREDITED AS\tSTATUS")
				for _, a := range l.Activities {
					fmt.Fprintf(w, "%s\t%s\t%s\t%g\t%d\t%d\t%s\t%d\n", cell(&a.OccurredAt), harmless.Text(string(a.User)), a.Kind, a.Weight, a.Ticket, a.Agent, a.CreditedAs, a.Status)
				}
			})
		},
	}
	f.add(cmd)
	f.text(cmd, "user", "only this user")
	return cmd
}

func eventsCommand(s *streams) *cobra.Command {
	var f filters
	cmd := &cobra.Command{
		Use: "events", Short: "Show events and what became of each, newest arrival first", GroupID: groupTenant, Args: exactly(0),
		Long: "Show events and what became of each, newest arrival first. haloctl explain EVENT\nsays why.\n\n" + timesHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd, s, &f, "/events", func(l control.Events) int { return len(l.Events) }, func(w io.Writer, l control.Events) {
				fmt.Fprintln(w, "EVENT\tRECEIVED (UTC)\tOUTCOME\tKIND\tTICKET\tAGENT\tUSER")
				for _, e := range l.Events {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", e.ID, cell(&e.ReceivedAt), outcome(e), e.Kind, e.Ticket, e.Agent, harmless.Text(string(e.User)))
				}
			})
		},
	}
	f.add(cmd)
	for _, flag := range [][2]string{
		{"outcome", "only activity or skip"},
		{"reason", "only skips for this reason"},
		{"kind", "only this kind"},
		{"ticket", "only this ticket"},
		{"agent", "only this agent"},
		{"user", "only this user"},
	} {
		f.text(cmd, flag[0], flag[1])
	}
	return cmd
}

func outcome(e control.Event) string {
	if e.Reason != "" {
		return e.Outcome + ": " + string(e.Reason)
	}
	return e.Outcome
}

func explainCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "explain EVENT", Short: "Say what became of one event, and why", GroupID: groupTenant, Args: exactly(1),
		Long: "Say what became of one event, and why. EVENT is its id; of one of the last\nthousand events the beginning of it will do.",
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.TrimSuffix(strings.ToLower(args[0]), "…")
			id, err := schemas.ParseID(text)
			short := err != nil && beginningOfID.MatchString(text)
			if err != nil && !short {
				return fmt.Errorf("%w: EVENT is an event's id, or the beginning of one, as haloctl events shows it", errUsage)
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			if short {
				if id, err = lastOf(cmd.Context(), c, tenant, text); err != nil {
					return err
				}
			}
			var e control.Explanation
			raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, "/events/"+id.String(), nil, nil, &e)
			if err != nil {
				return err
			}
			return s.show(raw, e, func(w io.Writer) { explain(w, e) })
		},
	}
}

// beginningOfID is as much of an event's id as a table shows on a narrow screen, or
// more.
var beginningOfID = regexp.MustCompile(`^[0-9a-f]{6}[0-9a-f-]{0,29}$`)

// lastOf finds the one event among the last thousand whose id begins so.
func lastOf(ctx context.Context, c *control.Client, t schemas.Tenant, beginning string) (id schemas.ID, err error) {
	const among = 1000
	var page control.Events
	if _, err := c.Ask(ctx, http.MethodGet, t, "/events", url.Values{"limit": {strconv.Itoa(among)}}, nil, &page); err != nil {
		return id, err
	}
	found := ""
	for _, e := range page.Events {
		if !strings.HasPrefix(e.ID, beginning) || e.ID == found {
			continue
		}
		if found != "" {
			return id, fmt.Errorf("%w: several events begin with %s; say more of its id", errUsage, beginning)
		}
		found = e.ID
	}
	if found == "" {
		return id, fmt.Errorf("%w: of the last %d events none begins with %s; say the whole id", errUsage, among, beginning)
	}
	return schemas.ParseID(found)
}

func explain(w io.Writer, e control.Explanation) {
	for _, sentence := range e.Why {
		fmt.Fprintln(w, harmless.Text(sentence))
	}
	o := e.Outcome
	fmt.Fprintf(w, "\noutcome\t%s\nkind\t%s\nticket\t%d\nagent\t%d\nuser\t%s\noccurred\t%s\nreceived\t%s\narrivals\t%d\n",
		outcome(o), o.Kind, o.Ticket, o.Agent, harmless.Text(string(o.User)), when(&o.OccurredAt), when(&e.FirstReceivedAt), e.Arrivals)
	if f := e.Facts; f != nil {
		fmt.Fprintf(w, "\nassignee\t%d\nactor\t%d\nactor type\t%s\nenvelope agent\t%d\nstatus\t%d\n", f.Assignee, f.Actor, f.ActorType, f.EnvelopeAgent, f.Status)
	} else {
		fmt.Fprintln(w, "\nKafka no longer has the event's facts.")
	}
	if m := e.Mapping; m != nil && len(m.Intervals) > 0 {
		fmt.Fprintf(w, "\nAgent %d was mapped to:\n", m.Agent)
		intervalRows(w, m.Intervals)
	}
}

func deliveriesCommand(s *streams) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "deliveries", Short: "Show the last deliveries that were refused or undecodable", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 1000 {
				return fmt.Errorf("%w: --limit is 1 to 1000", errUsage)
			}
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			var list control.Deliveries
			raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, "/deliveries", url.Values{"limit": {strconv.Itoa(limit)}}, nil, &list)
			if err != nil {
				return err
			}
			return s.show(raw, list, func(w io.Writer) {
				fmt.Fprintln(w, "AT (UTC)\tRESULT\tITEMS\tBYTES\tFIELDS")
				for _, d := range list.Deliveries {
					fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", cell(&d.At), d.Result, d.Items, d.Bytes, harmless.Text(strings.Join(d.Fields, " ")))
				}
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "most rows, up to 1000")
	return cmd
}

func changesCommand(s *streams) *cobra.Command {
	var f filters
	cmd := &cobra.Command{
		Use: "changes", Short: "Show who changed what, and what the connector did by itself", GroupID: groupTenant, Args: exactly(0),
		Long: "Show who changed what, and what the connector did by itself, newest first.\n\n" + timesHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd, s, &f, "/changes", func(l control.Changes) int { return len(l.Changes) }, func(w io.Writer, l control.Changes) {
				fmt.Fprintln(w, "AT (UTC)\tBY\tCHANGE\tAGENT\tUSER\tSTATE\tPROBLEM\tRESULT")
				for _, c := range l.Changes {
					agent := ""
					if c.Agent != 0 {
						agent = strconv.FormatUint(uint64(c.Agent), 10)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(&c.At), harmless.Text(c.By), c.Change, agent, harmless.Text(string(c.User)), c.State, c.Problem, c.Result)
				}
			})
		},
	}
	f.add(cmd)
	return cmd
}
