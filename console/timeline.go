package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// mostActivities bounds a day of one user: five an hour all day are a hundred.
const mostActivities = 5000

// timelineView is a user's day, or the choice of a user.
type timelineView struct {
	User, Name   string
	Day          string // as in the address
	Date         string // in words
	Prev, Next   string // days
	Today        bool
	Kind         string
	Tabs         []tab
	Rows         []activityRow
	All          int     // of all kinds
	Score        float64 // of what is shown
	Broad, Small dayChart
	People       []personRow // who may be chosen
	Q            string      // what their names are searched for
	Choices      []choice
	Cut          bool // there are more than are shown
}

type activityRow struct {
	control.Activity
	Words, Class string
	Ticket       string // the address in the tenant's Halo
	Number       uint64
	Weight       string // where it is not the full one
}

// personRow is somebody who may be looked at.
type personRow struct {
	Name, Address, Path string
	Events              int64
	Score               float64
	Last                time.Time
}

type choice struct {
	ID, Name string
	Current  bool
}

func (v *visit) timeline() error {
	if len(v.rest) > 0 {
		return errNowhere
	}
	v.rememberZone()
	p, err := v.people()
	if err != nil {
		return err
	}
	var conn control.Connection
	if err := v.get("/connection", nil, &conn); err != nil && !isCode(err, "sealed") {
		return err
	}
	today := day(v.now, v.zone)
	date, err := time.ParseInLocation(time.DateOnly, v.field("day"), v.zone)
	if err != nil {
		date = today
	}
	date = day(date, v.zone)
	view := timelineView{User: v.field("user"), Kind: v.field("kind"), Day: date.Format(time.DateOnly), Date: date.Format("Monday 2 January 2006")}
	view.Prev, view.Next = date.AddDate(0, 0, -1).Format(time.DateOnly), date.AddDate(0, 0, 1).Format(time.DateOnly)
	view.Today = !date.Before(today)
	if view.User == "" {
		return v.choose(view, p, date)
	}
	view.Name = p.user(schemas.UserID(view.User))
	view.Choices = p.choices(view.User)
	all, cut, err := v.activities(url.Values{
		"user": {view.User}, "from": {date.UTC().Format(time.RFC3339)}, "to": {date.AddDate(0, 0, 1).UTC().Format(time.RFC3339)}, "limit": {"1000"},
	})
	if err != nil {
		return err
	}
	view.Cut, view.All = cut, len(all)
	counts := map[schemas.Kind]int{}
	var shown []control.Activity
	for _, a := range all {
		counts[a.Kind]++
		if view.Kind != "" && string(a.Kind) != view.Kind {
			continue
		}
		shown = append(shown, a)
		view.Score += float64(a.Weight)
		view.Rows = append(view.Rows, v.activityRow(a, conn.TenantURL))
	}
	view.Tabs = append(view.Tabs, tab{"All", len(all), v.URL("kind", ""), view.Kind == ""})
	for _, k := range schemas.Kinds() {
		view.Tabs = append(view.Tabs, tab{kindShort(k), counts[k], v.URL("kind", string(k)), view.Kind == string(k)})
	}
	view.Broad, view.Small = lineOfDay(shown, date, v.zone, 1.3, 1), lineOfDay(shown, date, v.zone, 4.4, 3)
	return v.show(http.StatusOK, "timeline", view.Name, view)
}

// activities reads all pages of a timeline.
func (v *visit) activities(q url.Values) (all []control.Activity, cut bool, err error) {
	for {
		var page control.Timeline
		if err := v.get("/timeline", q, &page); err != nil {
			return nil, false, err
		}
		all = append(all, page.Activities...)
		if page.Next == "" {
			return all, false, nil
		}
		if len(all) >= mostActivities {
			return all, true, nil
		}
		q.Set("cursor", page.Next)
	}
}

func (v *visit) activityRow(a control.Activity, tenantURL string) activityRow {
	row := activityRow{Activity: a, Words: kindWord(a.Kind), Class: string(a.Kind), Number: a.Ticket, Ticket: ticketURL(tenantURL, a.Ticket)}
	if a.Weight != 1 {
		row.Weight = score(float64(a.Weight))
	}
	return row
}

// ticketURL is a ticket in the tenant's Halo.
func ticketURL(tenantURL string, ticket uint64) string {
	if ticket == 0 || !strings.HasPrefix(tenantURL, "https://") && !strings.HasPrefix(tenantURL, "http://") {
		return ""
	}
	return fmt.Sprintf("%s/ticket?id=%d", strings.TrimRight(tenantURL, "/"), ticket)
}

// rememberZone keeps the zone that the address names.
func (v *visit) rememberZone() {
	if name := v.r.URL.Query().Get("zone"); name != "" {
		v.zoneFrom(name)
	}
}

// choices are the users who may be chosen, by name.
func (p people) choices(current string) []choice {
	var out []choice
	there := false
	for id := range p.byUser {
		out = append(out, choice{string(id), p.user(id), string(id) == current})
		there = there || string(id) == current
	}
	if !there {
		out = append(out, choice{current, p.user(schemas.UserID(current)), true})
	}
	slices.SortFunc(out, func(a, b choice) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// choose lists who was active on the day, and then who else is mapped.
func (v *visit) choose(view timelineView, p people, date time.Time) error {
	var summary control.Summary
	q := url.Values{"from": {date.UTC().Format(time.RFC3339)}, "to": {date.AddDate(0, 0, 1).UTC().Format(time.RFC3339)}, "zone": {v.Zone()}, "limit": {"1000"}}
	if err := v.get("/summary", q, &summary); err != nil {
		return err
	}
	seen := map[schemas.UserID]bool{}
	for _, u := range summary.Users {
		seen[u.UserID] = true
		view.People = append(view.People, personRow{p.user(u.UserID), p.address(u.UserID), v.path("timeline", "user", string(u.UserID), "day", v.field("day")), u.Events, u.Score, u.LastAt})
	}
	var rest []personRow
	for id := range p.byUser {
		if !seen[id] {
			rest = append(rest, personRow{Name: p.user(id), Address: p.address(id), Path: v.path("timeline", "user", string(id), "day", v.field("day"))})
		}
	}
	slices.SortFunc(rest, func(a, b personRow) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	view.People = append(view.People, rest...)
	view.All, view.Q = len(view.People), v.field("q")
	needle := strings.ToLower(strings.TrimSpace(view.Q))
	view.People = slices.DeleteFunc(view.People, func(r personRow) bool {
		return !strings.Contains(strings.ToLower(r.Name+"\n"+r.Address), needle)
	})
	return v.show(http.StatusOK, "people", "Timeline", view)
}
