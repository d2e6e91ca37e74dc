package timeline_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline"
)

// eventsOf walks from page to page.
func eventsOf(t *testing.T, tl *timeline.Timeline, tenant schemas.Tenant, q control.Query, between func(page int)) []control.Event {
	t.Helper()
	all := []control.Event{}
	for page := 0; ; page++ {
		rows, err := tl.Events(t.Context(), tenant, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) > q.Limit {
			t.Fatalf("%d rows in a page of %d", len(rows), q.Limit)
		}
		all = append(all, rows...)
		if len(rows) < q.Limit {
			return all
		}
		last := rows[len(rows)-1]
		id, err := schemas.ParseID(last.ID)
		if err != nil {
			t.Fatal(err)
		}
		q.After = &control.Position{At: last.ReceivedAt, ID: id}
		if between != nil {
			between(page)
		}
	}
}

func same(t *testing.T, name string, got, want any) {
	t.Helper()
	a, _ := json.Marshal(got) // what came from JSON can be written
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("%s:\n%.1500s, want\n%.1500s", name, a, b)
	}
}

func TestEventsAreReadToTheirEndWhateverIsAsked(t *testing.T) {
	tl, _ := filled(t)
	all := folded(history(), "acme")
	from, to := noon().Add(2*time.Millisecond), noon().Add(6*time.Millisecond)
	for name, c := range map[string]struct {
		q       control.Query
		keep    func(row) bool
		atLeast int
	}{
		"everything":       {control.Query{}, func(row) bool { return true }, 500},
		"activities":       {control.Query{Outcome: control.OutcomeActivity}, func(r row) bool { return r.Reason == "" }, 400},
		"skips":            {control.Query{Outcome: control.OutcomeSkip}, func(r row) bool { return r.Reason != "" }, 40},
		"a reason":         {control.Query{Reason: schemas.Unassigned}, func(r row) bool { return r.Reason == schemas.Unassigned }, 5},
		"a kind":           {control.Query{Kind: schemas.StatusChanged}, func(r row) bool { return r.Kind == schemas.StatusChanged }, 100},
		"a ticket":         {control.Query{Ticket: 1007}, func(r row) bool { return r.Ticket == 1007 }, 10},
		"an agent":         {control.Query{Agent: 8}, func(r row) bool { return r.Agent == 8 }, 80},
		"a user":           {control.Query{User: "u-2"}, func(r row) bool { return r.User == "u-2" }, 80},
		"a repeat's user":  {control.Query{User: "u-again"}, func(row) bool { return false }, 0},
		"a stretch":        {control.Query{From: from, To: to}, func(r row) bool { return !r.ReceivedAt.Before(from) && r.ReceivedAt.Before(to) }, 100},
		"an old stretch":   {control.Query{To: noon().Add(-24 * time.Hour)}, func(r row) bool { return r.ReceivedAt.Before(noon().Add(-24 * time.Hour)) }, 40},
		"since long ago":   {control.Query{From: noon().Add(-60 * 24 * time.Hour)}, func(r row) bool { return !r.ReceivedAt.Before(noon().Add(-60 * 24 * time.Hour)) }, 450},
		"what excludes":    {control.Query{Outcome: control.OutcomeActivity, Reason: schemas.Unmapped}, func(row) bool { return false }, 0},
		"an injection":     {control.Query{User: "' OR 1=1 --"}, func(row) bool { return false }, 0},
		"an inverted span": {control.Query{From: to, To: from}, func(row) bool { return false }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			want := []control.Event{}
			for _, r := range all {
				if c.keep(r) {
					want = append(want, r.Event)
				}
			}
			if len(want) < c.atLeast {
				t.Fatalf("%d events: this proves nothing", len(want))
			}
			for _, limit := range []int{37, 1000} {
				q := c.q
				q.Limit = limit
				same(t, fmt.Sprintf("pages of %d", limit), eventsOf(t, tl, "acme", q, nil), append([]control.Event{}, want...))
			}
		})
	}
	if rows, err := tl.Events(t.Context(), "nobody", control.Query{Limit: 10}); err != nil || rows == nil || len(rows) != 0 {
		t.Errorf("a tenant of whom nothing is known: %v, %v", rows, err)
	}
}

func TestAWalkMeetsEachRowOnceWhateverArrivesMeanwhile(t *testing.T) {
	tl, conn := filled(t)
	n := 10_000
	got := eventsOf(t, tl, "acme", control.Query{Limit: 50}, func(int) {
		var more []row
		for range 20 {
			at := time.Now().UTC().Truncate(time.Millisecond)
			n++
			more = append(more, row{tenant: "acme", event: at.Add(-time.Duration(n) * time.Hour), Event: control.Event{ID: eventID(n).String(), OccurredAt: at, ReceivedAt: at}}.judged())
		}
		insert(t, conn, more)
	})
	want := []control.Event{}
	for _, r := range folded(history(), "acme") {
		want = append(want, r.Event)
	}
	same(t, "a walk", got, want)
	if n < 10_100 {
		t.Errorf("%d rows arrived: this proves little", n-10_000)
	}
}

func TestATimelineIsReadToItsEndWhateverIsAsked(t *testing.T) {
	tl, _ := filled(t)
	var all []control.Activity
	for _, r := range folded(history(), "acme") {
		if r.Reason == "" {
			all = append(all, control.Activity{
				ID: r.ID, Tenant: r.tenant, User: r.User, Category: schemas.Category, Kind: r.Kind, Weight: r.Weight, Ticket: r.Ticket, Agent: r.Agent,
				CreditedAs: r.CreditedAs, ActorType: r.ActorType, Status: r.Status, OccurredAt: r.OccurredAt, ReceivedAt: r.ReceivedAt,
			})
		}
	}
	slices.SortFunc(all, func(a, b control.Activity) int {
		return cmp.Or(b.OccurredAt.Compare(a.OccurredAt), strings.Compare(b.ID, a.ID))
	})
	from, to := noon().Add(2*time.Millisecond), noon().Add(6*time.Millisecond)
	within := func(from, to time.Time) func(control.Activity) bool {
		return func(a control.Activity) bool { return !a.OccurredAt.Before(from) && a.OccurredAt.Before(to) }
	}
	zone := time.FixedZone("", 5*3600+1800)
	for name, c := range map[string]struct {
		q    control.Query
		keep func(control.Activity) bool
	}{
		"everything":             {control.Query{}, func(control.Activity) bool { return true }},
		"one user":               {control.Query{User: "u-3"}, func(a control.Activity) bool { return a.User == "u-3" }},
		"bounds":                 {control.Query{From: from, To: to}, within(from, to)},
		"bounds of another zone": {control.Query{From: from.In(zone), To: to.In(zone)}, within(from, to)},
		"between milliseconds":   {control.Query{From: from.Add(-time.Microsecond), To: to.Add(-time.Microsecond)}, within(from, to)},
		"to an end":              {control.Query{To: noon().Add(-time.Hour)}, within(time.Time{}, noon().Add(-time.Hour))},
		"later":                  {control.Query{From: noon().Add(48 * time.Hour)}, func(control.Activity) bool { return false }},
		"from before all":        {control.Query{From: time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)}, func(control.Activity) bool { return true }},
		"nobody's, by injection": {control.Query{User: "' OR 1=1 --"}, func(control.Activity) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			want := []control.Activity{}
			for _, a := range all {
				if c.keep(a) {
					want = append(want, a)
				}
			}
			q := c.q
			q.Limit = 31
			got := []control.Activity{}
			for {
				rows, err := tl.Timeline(t.Context(), "acme", q)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, rows...)
				if len(rows) < q.Limit {
					break
				}
				last := rows[len(rows)-1]
				id, _ := schemas.ParseID(last.ID)
				q.After = &control.Position{At: last.OccurredAt, ID: id}
			}
			same(t, name, got, want)
		})
	}
}
