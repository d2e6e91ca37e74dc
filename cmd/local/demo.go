package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/cmd/internal/program"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// runDemo runs the story on data and ports of its own, so that it neither meets
// nor disturbs what make run left behind.
func runDemo(ctx context.Context, stop context.CancelFunc, l *local, p program.Program[config.Local], args, environ []string) int {
	dir, err := os.MkdirTemp("", "halo-demo-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		return program.Failed
	}
	defer os.RemoveAll(dir)
	d := &demo{out: os.Stdout, stop: stop, result: errors.New("it did not get to its end")}
	l.story = d.run
	defaults := []string{"LOG_LEVEL=warn", "HEALTH_INTERVAL=1s", "PORT_OFFSET=" + strconv.Itoa(freeOffset())}
	forced := []string{"DATA_DIR=" + dir, "SIMULATE=true"}
	if status := p.Main(ctx, args, slices.Concat(defaults, environ, forced), os.Stdout, os.Stderr); status != program.OK || !d.told {
		return status
	}
	if d.result != nil {
		fmt.Fprintln(os.Stderr, "\nThe demo failed:", d.result)
		return program.Failed
	}
	return program.OK
}

// freeOffset is 0 where the fixed ports are free, else one at which they are.
func freeOffset() int {
search:
	for offset := 0; offset < 40_000; offset += 1000 {
		p := ports(offset)
		for _, addr := range []string{p.webhooks(), p.api(), p.halo(), p.admin(), p.kafka(), p.clickhouse()} {
			ln, err := net.Listen("tcp", addr)
			if err != nil {
				continue search
			}
			ln.Close()
		}
		return offset
	}
	return 0
}

// demo is the story of one tenant, told through public interfaces: Halo's own
// deliveries, the control API, SQL.
type demo struct {
	out    io.Writer
	stop   context.CancelFunc
	told   bool
	result error

	*tenant
	house *house
	sent  int // events that deliveries answered 200 held, repeats not counted
}

// run tells the story as a component of the daemon and then ends the daemon.
func (d *demo) run(ctx context.Context, h *house) error {
	d.house, d.told = h, true
	telling, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	d.result = d.tell(telling)
	d.stop()
	<-ctx.Done()
	return nil
}

func (d *demo) tell(ctx context.Context) error {
	var err error
	if d.tenant, err = d.house.newTenant(five()); err != nil {
		return err
	}
	defer d.server.Close()
	for _, chapter := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"A tenant pastes its credentials: the webhook is registered, four of five agents are matched by e-mail", d.connected},
		{"Four kinds of event, an event of the agent nobody is matched to, and one delivery sent again", d.worked},
		{"WorkSights gets his user, and a refresh finds him and an agent who joined since", d.refreshed},
		{"Somebody switches the webhook off in Halo; the health check says so", d.switchedOff},
		{"A reconnect registers it anew; a late delivery of the old webhook is skipped as stale", d.reconnected},
		{"The timeline", d.timeline},
		{"The balance", d.balance},
	} {
		fmt.Fprintf(d.out, "\n== %s\n", chapter.title)
		if err := chapter.tell(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "   "+format+"\n", args...) }

// took notes that deliveries of events new to us were answered.
func (d *demo) took(ds halotest.Deliveries) error {
	for _, one := range ds {
		if one.Status != http.StatusOK {
			return errors.Join(fmt.Errorf("a delivery was answered %d", one.Status), one.Err)
		}
		d.sent += one.Items
	}
	return nil
}

func (d *demo) connected(ctx context.Context) error {
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	d.say("%s: %s, webhook %q with %d events; agents: %d matched, %d unmatched", conn.Tenant, conn.State, conn.Webhook.Name,
		len(conn.Webhook.Events), conn.Agents.Matched, conn.Agents.Unmatched)
	if conn.State != "active" || conn.Agents.Matched != 4 || conn.Agents.Unmatched != 1 || len(conn.Webhook.Events) != 4 {
		return errors.New("the connection is not as it should be")
	}
	return nil
}

func (d *demo) worked(ctx context.Context) error {
	ticket, logged := d.NewTicket(ctx, agent(1))
	noted := d.UpdateByAgent(ctx, ticket, agent(2))
	answered := d.UpdateByUser(ctx, ticket)
	moved := d.ChangeStatus(ctx, ticket, agent(3))
	closed := d.Close(ctx, ticket, agent(1))
	stranger := d.UpdateByAgent(ctx, ticket, agent(5))
	for _, ds := range []halotest.Deliveries{logged, noted, answered, moved, closed, stranger} {
		if err := d.took(ds); err != nil {
			return err
		}
	}
	again := d.ResendAtOnce(ctx, logged[0], 3)
	if again.Status() != http.StatusOK {
		return fmt.Errorf("a repeat was answered %d", again.Status())
	}
	d.say("%d events in deliveries answered 200, one of them three times more", d.sent)
	return nil
}

func (d *demo) refreshed(ctx context.Context) error {
	d.AddAgent(halotest.Agent{ID: agent(6), Name: "Agent 6", Email: email(6)})
	if err := d.putUsers(ctx, append(d.users, userOf(5), userOf(6))); err != nil {
		return err
	}
	var conn control.Connection
	if _, err := d.api.Ask(ctx, http.MethodPost, demoTenant, "/connection/refresh", nil, nil, &conn); err != nil {
		return err
	}
	d.say("agents: %d matched, %d unmatched", conn.Agents.Matched, conn.Agents.Unmatched)
	if conn.Agents.Matched != 6 {
		return errors.New("the refresh did not match the two agents")
	}
	ticket, logged := d.NewTicket(ctx, agent(6))
	if err := d.took(logged); err != nil {
		return err
	}
	return d.took(d.UpdateByAgent(ctx, ticket, agent(5)))
}

func (d *demo) switchedOff(ctx context.Context) error {
	d.ChangeWebhook(d.currentWebhook(), func(w *halotest.Webhook) { w.Disabled = true })
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		var conn control.Connection
		if _, err := d.api.Ask(ctx, http.MethodGet, demoTenant, "/connection", nil, nil, &conn); err != nil {
			return err
		}
		if conn.State != "active" && len(conn.Problems) > 0 {
			d.say("%s: %s %s", conn.State, conn.Problems[0].Message, conn.Problems[0].Action)
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the health check did not notice the webhook")
		case <-tick.C:
		}
	}
}

func (d *demo) reconnected(ctx context.Context) error {
	old := d.currentWebhook()
	var conn control.Connection
	if _, err := d.api.Ask(ctx, http.MethodPost, demoTenant, "/connection/reconnect", nil, nil, &conn); err != nil {
		return err
	}
	d.say("%s, webhook %s", conn.State, map[bool]string{true: "active", false: "not active"}[conn.Webhook.Active])
	ticket, logged := d.NewTicket(ctx, agent(2))
	if err := d.took(logged); err != nil {
		return err
	}
	late := d.LateDelivery(ctx, old, ticket, agent(2))
	return d.took(halotest.Deliveries{late})
}

func (d *demo) currentWebhook() string {
	for _, w := range d.Webhooks() {
		if !w.Deleted {
			return w.ID
		}
	}
	return ""
}

func (d *demo) timeline(ctx context.Context) error {
	if err := d.settled(ctx); err != nil {
		return err
	}
	var tl control.Timeline
	if _, err := d.api.Ask(ctx, http.MethodGet, demoTenant, "/timeline", url.Values{"limit": {"100"}}, nil, &tl); err != nil {
		return err
	}
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "   OCCURRED (UTC)\tUSER\tKIND\tWEIGHT\tTICKET\tCREDITED AS")
	for _, a := range tl.Activities {
		fmt.Fprintf(w, "   %s\t%s\t%s\t%g\t%d\t%s\n", a.OccurredAt.UTC().Format("2006-01-02 15:04:05.000"), a.User, a.Kind, a.Weight, a.Ticket, a.CreditedAs)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	rows, err := d.house.sql(ctx, "SELECT reason, kind, count() FROM skipped WHERE tenant_id = 'demo' GROUP BY ALL ORDER BY ALL")
	if err != nil {
		return err
	}
	for _, row := range rows {
		f := strings.Split(row, "\t")
		d.say("skipped: %s × %s (%s)", f[2], f[1], f[0])
	}
	return nil
}

// settled waits until every event that was sent is in ClickHouse.
func (d *demo) settled(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		rows, err := d.house.sql(ctx, "SELECT (SELECT count() FROM activities) + (SELECT count() FROM skipped)")
		if err != nil {
			return err
		}
		if rows[0] == strconv.Itoa(d.sent) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s of %d events are in ClickHouse", rows[0], d.sent)
		case <-tick.C:
		}
	}
}

// balance compares what Kafka was told with what ClickHouse answers.
func (d *demo) balance(ctx context.Context) error {
	events, dead, err := d.house.logged(ctx)
	if err != nil {
		return err
	}
	rows, err := d.house.sql(ctx, "SELECT (SELECT count() FROM activities), (SELECT count() FROM skipped)")
	if err != nil {
		return err
	}
	var activities, skipped int
	if _, err := fmt.Sscan(rows[0], &activities, &skipped); err != nil {
		return err
	}
	d.say("%d events = %d activities + %d skipped + %d dead", len(events), activities, skipped, dead)
	switch {
	case len(events) != activities+skipped+dead:
		return errors.New("the balance does not hold")
	case len(events) != d.sent:
		return fmt.Errorf("%d events were answered 200", d.sent)
	case activities == 0 || skipped == 0:
		return errors.New("nothing to balance: this proves nothing")
	}
	return nil
}

// logged reads the ids of all events in Kafka, and how many records are dead.
func (h *house) logged(ctx context.Context) (map[schemas.ID]bool, int, error) {
	topics := h.kafka().Topics()
	events := map[schemas.ID]bool{}
	err := h.read(ctx, topics.Events, func(value []byte) error {
		e, err := schemas.ParseEvent(value)
		events[e.ID] = true
		return err
	})
	dead := 0
	if err == nil {
		err = h.read(ctx, topics.Dead, func([]byte) error { dead++; return nil })
	}
	return events, dead, err
}
