package timeline_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

func TestASummaryCountsWhatTheViewsShow(t *testing.T) {
	tl, conn := filled(t)
	kathmandu, err := time.LoadLocation("Asia/Kathmandu") // 5:45 h ahead
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range []*time.Location{time.UTC, kathmandu} {
		for _, days := range []int{1, 30, 400} {
			from, to := noon().AddDate(0, 0, -days), noon().Add(3*time.Millisecond)
			got, err := tl.Summary(t.Context(), "acme", from, to, zone)
			if err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("%d days in %v", days, zone), got, summed(from, to, zone))
			if days == 400 && (got.Coverage.Activities < 150 || len(got.AgentsSkipped) == 0 || len(got.ByDay) < 20) {
				t.Errorf("%+v: this proves little", got.Coverage)
			}
		}
	}
	empty, err := tl.Summary(t.Context(), "nobody", noon(), time.Now(), time.UTC)
	if err != nil || empty.ByDay == nil || empty.Users == nil || empty.AgentsSkipped == nil || empty.Coverage.Skipped == nil {
		t.Errorf("of nobody: %+v, %v", empty, err)
	}
	var views uint64
	if err := conn.QueryRow(t.Context(), "SELECT (SELECT count() FROM activities WHERE tenant_id = 'acme') + (SELECT count() FROM skipped WHERE tenant_id = 'acme')").Scan(&views); err != nil {
		t.Fatal(err)
	}
	all, err := tl.Summary(t.Context(), "acme", noon().AddDate(0, 0, -399), time.Now(), time.UTC)
	if err != nil || uint64(all.Coverage.Events) != views {
		t.Errorf("%d events, the views show %d, %v", all.Coverage.Events, views, err)
	}
}

// summed counts by hand.
func summed(from, to time.Time, zone *time.Location) control.Summary {
	s := control.Summary{ByDay: []control.DayCount{}, Users: []control.UserCount{}, AgentsSkipped: []control.AgentCount{}, Coverage: control.Coverage{Skipped: map[schemas.Reason]int64{}}}
	for _, r := range folded(history(), "acme") {
		if r.OccurredAt.Before(from) || !r.OccurredAt.Before(to) {
			continue
		}
		s.Coverage.Events++
		if r.Reason != "" {
			s.Coverage.Skipped[r.Reason]++
			if r.Reason == schemas.Unmapped {
				i := slices.IndexFunc(s.AgentsSkipped, func(a control.AgentCount) bool { return a.AgentID == r.Agent })
				if i < 0 {
					s.AgentsSkipped, i = append(s.AgentsSkipped, control.AgentCount{AgentID: r.Agent}), len(s.AgentsSkipped)
				}
				s.AgentsSkipped[i].Events++
				if r.OccurredAt.After(s.AgentsSkipped[i].LastAt) {
					s.AgentsSkipped[i].LastAt = r.OccurredAt
				}
			}
			continue
		}
		s.Coverage.Activities++
		at := r.OccurredAt.In(zone)
		s.ByHour[(int(at.Weekday())+6)%7][at.Hour()]++
		day := at.Format(time.DateOnly)
		i := slices.IndexFunc(s.ByDay, func(d control.DayCount) bool { return d.Day == day && d.Kind == r.Kind })
		if i < 0 {
			s.ByDay, i = append(s.ByDay, control.DayCount{Day: day, Kind: r.Kind}), len(s.ByDay)
		}
		s.ByDay[i].Events++
		s.ByDay[i].Score += float64(r.Weight)
		j := slices.IndexFunc(s.Users, func(u control.UserCount) bool { return u.UserID == r.User })
		if j < 0 {
			s.Users, j = append(s.Users, control.UserCount{UserID: r.User}), len(s.Users)
		}
		s.Users[j].Events++
		s.Users[j].Score += float64(r.Weight)
		if r.OccurredAt.After(s.Users[j].LastAt) {
			s.Users[j].LastAt = r.OccurredAt
		}
	}
	slices.SortFunc(s.ByDay, func(a, b control.DayCount) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(slices.Index(schemas.Kinds(), a.Kind), slices.Index(schemas.Kinds(), b.Kind)))
	})
	slices.SortFunc(s.Users, func(a, b control.UserCount) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Events, a.Events), cmp.Compare(a.UserID, b.UserID))
	})
	slices.SortFunc(s.AgentsSkipped, func(a, b control.AgentCount) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.AgentID, b.AgentID))
	})
	return s
}
