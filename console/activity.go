package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// activityView is how the work is spread.
type activityView struct {
	Range         string
	Tabs          []tab
	From, To      string // in words
	Bars          barChart
	Days          []dayRow
	Kinds         []kindTotal
	Heat          heatMap
	Coverage      control.Coverage
	Skips         []skipRow
	Meter         []part
	Users         []userRow // the first of them
	Others        []userRow
	AgentsSkipped []agentSkips
	Activities    int64
	Score         float64
}

type dayRow struct {
	Day    string
	Counts []int64
	All    int64
}

type kindTotal struct {
	Words, Class string
	Kind         schemas.Kind
	N            int64
}

type skipRow struct {
	Words, Class string
	N            int64
}

type userRow struct {
	control.UserCount
	Name, Path string
	Share      string
}

type agentSkips struct {
	control.AgentCount
	Name, Path string
	Mapped     bool
}

// activity shows a range of days, each whole in the viewer's zone.
func (v *visit) activity() error {
	if len(v.rest) > 0 {
		return errNowhere
	}
	v.rememberZone()
	view := activityView{Range: v.field("range")}
	length := map[string]int{"7": 7, "": 30, "90": 90}[view.Range]
	if length == 0 {
		view.Range, length = "", 30
	}
	for _, r := range [][2]string{{"7", "7 days"}, {"", "30 days"}, {"90", "90 days"}} {
		view.Tabs = append(view.Tabs, tab{Words: r[1], Count: -1, Path: v.URL("range", r[0]), Current: r[0] == view.Range})
	}
	end := day(v.now, v.zone).AddDate(0, 0, 1)
	from := end.AddDate(0, 0, -length)
	view.From, view.To = from.Format("2 January"), end.AddDate(0, 0, -1).Format("2 January 2006")
	var s control.Summary
	q := url.Values{"from": {from.UTC().Format(time.RFC3339)}, "to": {end.UTC().Format(time.RFC3339)}, "zone": {v.Zone()}, "limit": {"1000"}}
	if err := v.get("/summary", q, &s); err != nil {
		return err
	}
	p, err := v.people()
	if err != nil {
		return err
	}
	view.byDay(s, from, length)
	view.Heat = heat(s.ByHour)
	view.coverage(s.Coverage)
	most := 0.0
	for _, u := range s.Users {
		most = max(most, u.Score)
	}
	for _, u := range s.Users {
		row := userRow{UserCount: u, Name: p.user(u.UserID), Path: v.path("timeline", "user", string(u.UserID), "day", u.LastAt.In(v.zone).Format(time.DateOnly))}
		row.Share = share(100 * u.Score / max(most, .01))
		view.Users = append(view.Users, row)
	}
	if first := 25; len(view.Users) > first+5 {
		view.Users, view.Others = view.Users[:first], view.Users[first:]
	}
	for _, a := range s.AgentsSkipped {
		known := p.agents[a.AgentID]
		row := agentSkips{AgentCount: a, Name: p.agent(a.AgentID), Mapped: known.State == control.Matched}
		if known.ID != 0 {
			row.Path = v.agentRow(known, p).Path
		}
		view.AgentsSkipped = append(view.AgentsSkipped, row)
	}
	return v.show(http.StatusOK, "activity", "Activity", view)
}

func (view *activityView) byDay(s control.Summary, from time.Time, length int) {
	counts, totals := map[string]map[schemas.Kind]int64{}, map[schemas.Kind]int64{}
	for _, d := range s.ByDay {
		if counts[d.Day] == nil {
			counts[d.Day] = map[schemas.Kind]int64{}
		}
		counts[d.Day][d.Kind] += d.Events
		totals[d.Kind] += d.Events
		view.Activities += d.Events
		view.Score += d.Score
	}
	var days []string
	for i := range length {
		d := from.AddDate(0, 0, i).Format(time.DateOnly)
		days = append(days, d)
		row := dayRow{Day: from.AddDate(0, 0, i).Format("Mon 2 Jan")}
		for _, k := range schemas.Kinds() {
			row.Counts = append(row.Counts, counts[d][k])
			row.All += counts[d][k]
		}
		view.Days = append(view.Days, row)
	}
	slices.Reverse(view.Days)
	for i, k := range schemas.Kinds() {
		view.Kinds = append(view.Kinds, kindTotal{kindWord(k), kindClasses[i%len(kindClasses)], k, totals[k]})
	}
	view.Bars = barsByDay(days, counts)
}

func (view *activityView) coverage(c control.Coverage) {
	view.Coverage = c
	numbers, classes := []int{int(c.Activities)}, []string{"good"}
	for reason, n := range c.Skipped {
		if n > 0 {
			class := "info"
			if reason == schemas.Unmapped {
				class = "warn"
			}
			view.Skips = append(view.Skips, skipRow{skipWord(reason), class, n})
		}
	}
	slices.SortFunc(view.Skips, func(a, b skipRow) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Words, b.Words)) })
	for _, s := range view.Skips {
		numbers, classes = append(numbers, int(s.N)), append(classes, s.Class)
	}
	view.Meter = meter(int(c.Events), numbers, classes)
}
