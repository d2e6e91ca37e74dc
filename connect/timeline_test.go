//go:build synctests

package connect_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/schemas"
)

// noon is a day before now, so that no row has expired.
func noon() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour) }

// history are activities of two tenants, most of them in few milliseconds.
func history() []connect.Activity {
	random := mathrand.New(mathrand.NewPCG(7, 7))
	rows := make([]connect.Activity, 0, 300)
	for n := range 300 {
		a := connect.Activity{
			ID:     fmt.Sprintf("%08x-%04x-4000-8000-%012x", random.Uint32(), random.Uint32()&0xffff, random.Uint64()&0xffffffffffff),
			Tenant: "acme", User: "u-ada", Category: "Ticket", Kind: "status_changed", Weight: 1, Ticket: uint64(1000 + n), Agent: 7,
			CreditedAs: "actor", Status: 9, OccurredAt: noon().Add(time.Duration(random.IntN(5)) * time.Millisecond), ReceivedAt: noon().Add(time.Second),
		}
		if n%3 == 0 {
			a.User, a.Agent, a.Kind, a.Weight, a.Status, a.CreditedAs = "u-ben", 8, "updated_by_user", 0.25, 0, "assignee"
		}
		if n%10 == 0 {
			a.Tenant = "other"
		}
		rows = append(rows, a)
	}
	return rows
}

// A timeline is read to its end, page by page, whatever stands behind it.
func TestTimelineInMemory(t *testing.T) {
	o := &outcomes{}
	o.set(func(o *outcomes) { o.activities = history() })
	timelineSuite(t, o)
}

func TestTimelineInClickHouse(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	rows := []outcome{{connect.Activity{ID: "00000000-0000-4000-8000-000000000001", Tenant: "acme", OccurredAt: noon(), ReceivedAt: noon()}, "unmapped"}}
	for _, a := range history() {
		rows = append(rows, outcome{a, ""})
	}
	insert(t, conn, rows...)
	insert(t, conn, rows[1:20]...) // repeats
	timelineSuite(t, connect.NewClickHouse(conn))
}

func timelineSuite(t *testing.T, o connect.Outcomes) {
	w := realWorld(t)
	in := w.active(asInProduction, func(c *connect.Config) { c.Outcomes = o })
	type page struct {
		Activities []connect.Activity
		Next       *string
	}
	read := func(query url.Values) (all []connect.Activity, pages int) {
		t.Helper()
		for {
			var p page
			in.want(200, "GET", at("acme", "/timeline?"+query.Encode()), "", &p)
			all, pages = append(all, p.Activities...), pages+1
			if p.Next == nil {
				return all, pages
			}
			query.Set("cursor", *p.Next)
		}
	}
	// What is wanted: newest first, those of one time by their ids.
	want := slices.DeleteFunc(history(), func(a connect.Activity) bool { return a.Tenant != "acme" })
	slices.SortFunc(want, func(a, b connect.Activity) int {
		return cmp.Or(b.OccurredAt.Compare(a.OccurredAt), cmp.Compare(b.ID, a.ID))
	})
	same := func(name string, got, want []connect.Activity) {
		t.Helper()
		a, _ := json.Marshal(got) // what came from JSON can be written
		b, _ := json.Marshal(want)
		if string(a) != string(b) {
			t.Errorf("%s: %d activities, want %d", name, len(got), len(want))
		}
	}
	for _, limit := range []int{17, 100, 270, 1000} {
		got, pages := read(url.Values{"limit": {fmt.Sprint(limit)}})
		same(fmt.Sprintf("pages of %d", limit), got, want)
		if most := (len(want) + limit - 1) / limit; pages != most {
			t.Errorf("%d pages of %d, want %d", pages, limit, most)
		}
	}
	if got, pages := read(url.Values{}); len(got) != 270 || pages != 3 {
		t.Errorf("as usual: %d activities in %d pages", len(got), pages)
	}
	only := func(keep func(connect.Activity) bool) []connect.Activity {
		return slices.DeleteFunc(slices.Clone(want), func(a connect.Activity) bool { return !keep(a) })
	}
	got, _ := read(url.Values{"user": {"u-ben"}, "limit": {"31"}})
	same("one user", got, only(func(a connect.Activity) bool { return a.User == "u-ben" }))
	from, to := noon().Add(time.Millisecond), noon().Add(3*time.Millisecond)
	inside := only(func(a connect.Activity) bool { return !a.OccurredAt.Before(from) && a.OccurredAt.Before(to) })
	if len(inside) < 50 || len(inside) > 200 {
		t.Fatalf("%d activities are inside: this proves nothing", len(inside))
	}
	got, _ = read(url.Values{"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}, "limit": {"37"}})
	same("bounds", got, inside)
	zone := time.FixedZone("", 5*3600+1800)
	got, _ = read(url.Values{"from": {from.In(zone).Format(time.RFC3339Nano)}, "to": {to.In(zone).Format(time.RFC3339Nano)}})
	same("bounds in another zone", got, inside)
	// Between two milliseconds: a bound means what it says.
	got, _ = read(url.Values{"from": {from.Add(-time.Microsecond).Format(time.RFC3339Nano)}, "to": {to.Add(-time.Microsecond).Format(time.RFC3339Nano)}})
	same("bounds between milliseconds", got, inside)
	got, _ = read(url.Values{"from": {noon().Format(time.DateOnly)}, "to": {noon().Add(24 * time.Hour).Format(time.DateOnly)}})
	same("a day", got, want)
	for name, query := range map[string]url.Values{
		"nobody's": {"user": {"u-who"}}, "an injection": {"user": {"' OR 1=1 --"}}, "later": {"from": {noon().Add(time.Hour).Format(time.RFC3339)}},
		"nothing between": {"from": {to.Format(time.RFC3339Nano)}, "to": {from.Format(time.RFC3339Nano)}},
	} {
		if got, _ := read(query); len(got) != 0 {
			t.Errorf("%s: %d activities", name, len(got))
		}
	}
	a := in.call("GET", at("nobody", "/timeline"), "")
	if strings.TrimSpace(string(a.body)) != `{"activities":[],"next":null}` {
		t.Errorf("a tenant without activities: %s", a.body)
	}
}

// An outcome is an activity, or a skip where it has a reason.
type outcome struct {
	connect.Activity
	reason schemas.Reason
}

// insert appends outcomes, as one insert: each costs several fsyncs.
func insert(t *testing.T, conn driver.Conn, rows ...outcome) {
	t.Helper()
	batch, err := conn.PrepareBatch(clickhouse.Insert(context.Background(), rand.Text()), `INSERT INTO outcomes_log (tenant_id, event_time, activity_id,
		version, reason, user_id, category, kind, weight, ticket_id, agent_id, credited_as, status_id, occurred_at, received_at)`)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range rows {
		if err := batch.Append(a.Tenant, a.OccurredAt, a.ID, uint64(1<<48)-uint64(a.ReceivedAt.UnixMilli()), string(a.reason), a.User, a.Category, a.Kind, a.Weight,
			a.Ticket, a.Agent, a.CreditedAs, a.Status, a.OccurredAt, a.ReceivedAt); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
}

func TestClickHouseTellsArrivalsAndCounts(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	o := connect.NewClickHouse(conn)
	ctx := t.Context()
	if last, err := o.LastDelivery(ctx, "acme"); err != nil || !last.IsZero() {
		t.Errorf("nothing was delivered: %v, %v", last, err)
	}
	if tally, err := o.Tally(ctx, "acme", noon()); err != nil || tally.Activities != 0 || len(tally.Skipped) != 0 || len(tally.Unmapped) != 0 {
		t.Errorf("nothing was delivered: %+v, %v", tally, err)
	}
	var rows []outcome
	n := 0
	flush := func() { insert(t, conn, rows...); rows = nil }
	add := func(tenant, reason string, agent uint64, occurred, received time.Time) {
		n++
		rows = append(rows, outcome{connect.Activity{
			ID: fmt.Sprintf("00000000-0000-4000-8000-%012x", n), Tenant: tenant, Agent: agent, OccurredAt: occurred, ReceivedAt: received,
		}, schemas.Reason(reason)})
	}
	at := noon()
	old := at.Add(-40 * 24 * time.Hour)
	add("acme", "", 7, old, old)
	flush()
	if last, err := o.LastDelivery(ctx, "acme"); err != nil || !last.Equal(old) {
		t.Errorf("last delivery %v, %v; want one of long ago", last, err)
	}
	add("acme", "", 7, at, at.Add(time.Second))
	add("acme", "", 7, at.Add(-30*24*time.Hour), at.Add(11*time.Minute)) // occurred long before it arrived
	add("acme", "unmapped", 5, at, at.Add(12*time.Minute))
	for range 3 {
		add("acme", "unmapped", 6, at, at.Add(13*time.Minute))
	}
	add("acme", "stale_webhook", 0, at, at.Add(25*time.Minute+123*time.Millisecond))
	add("other", "unassigned", 0, at, at.Add(time.Hour))
	for agent := range uint64(30) {
		add("crowd", "unmapped", 100+agent, at, at)
	}
	flush()
	if last, err := o.LastDelivery(ctx, "acme"); err != nil || !last.Equal(at.Add(25*time.Minute+123*time.Millisecond)) {
		t.Errorf("last delivery %v, %v", last, err)
	}
	spans, err := o.Arrivals(ctx, "acme", at)
	if want := []time.Time{at, at.Add(10 * time.Minute), at.Add(20 * time.Minute)}; err != nil || !slices.EqualFunc(spans, want, time.Time.Equal) {
		t.Errorf("arrivals %v, %v", spans, err)
	}
	tally, err := o.Tally(ctx, "acme", at)
	if err != nil || tally.Activities != 2 || len(tally.Skipped) != 2 || tally.Skipped["unmapped"] != 4 || tally.Skipped["stale_webhook"] != 1 {
		t.Errorf("tally %+v, %v", tally, err)
	}
	if want := []connect.AgentCount{{Agent: 6, Events: 3}, {Agent: 5, Events: 1}}; !slices.Equal(tally.Unmapped, want) {
		t.Errorf("unmapped %+v", tally.Unmapped)
	}
	if tally, err = o.Tally(ctx, "acme", at.Add(20*time.Minute)); err != nil || tally.Activities != 0 || tally.Skipped["stale_webhook"] != 1 || len(tally.Skipped) != 1 {
		t.Errorf("since later: %+v, %v", tally, err)
	}
	if tally, err = o.Tally(ctx, "crowd", at); err != nil || len(tally.Unmapped) != 20 || tally.Skipped["unmapped"] != 30 {
		t.Errorf("of a crowd: %d agents, %v, %v", len(tally.Unmapped), tally.Skipped, err)
	}
}

// Texts of ClickHouse's exceptions quote rows and queries.
func TestFailuresOfClickHouseQuoteNothing(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	o := connect.NewClickHouse(conn)
	if err := conn.Exec(t.Context(), "DROP VIEW activities"); err != nil {
		t.Fatal(err)
	}
	_, err := o.Activities(t.Context(), connect.Query{Tenant: "acme", User: "u-marker", Limit: 1})
	if err == nil || strings.Contains(err.Error(), "u-marker") || strings.Contains(err.Error(), "SELECT") || !strings.Contains(err.Error(), "code 60") {
		t.Errorf("says %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.LastDelivery(ended, "acme"); err == nil {
		t.Error("an ended context is no failure")
	}
}
