package timeline_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline"
)

// arrived is a Kafka that has one event.
type arrived struct {
	nothing
	facts *schemas.Event
	n     int
	asked *time.Time
}

func (a arrived) Arrivals(_ context.Context, _ schemas.Tenant, _ schemas.ID, from time.Time) (*schemas.Event, int, error) {
	*a.asked = from
	return a.facts, a.n, nil
}

func TestAnEventIsExplained(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	rows := history()
	insert(t, conn, rows)
	all := folded(rows, "acme")
	find := func(keep func(row) bool) row {
		i := slices.IndexFunc(all, keep)
		if i < 0 {
			t.Fatal("no such event: this proves nothing")
		}
		return all[i]
	}
	repeated := find(func(r row) bool {
		return r.Reason == "" && slices.ContainsFunc(rows, func(o row) bool { return o.ID == r.ID && o.User == "" && o.Agent == 99 })
	})
	unmapped := find(func(r row) bool { return r.Reason == schemas.Unmapped })
	later := unmapped.ReceivedAt.Add(time.Hour)
	for _, c := range []struct {
		name      string
		row       row
		kafka     arrived
		intervals []control.Interval
		err       error
		arrivals  int
		why       string
	}{
		{"an activity that arrived twice", repeated, arrived{facts: &schemas.Event{EventTime: repeated.OccurredAt}, n: 2}, []control.Interval{{UserID: repeated.User}}, nil, 2, "It arrived 2 times"},
		{"one that Kafka no longer has", repeated, arrived{}, nil, control.ErrUnknownAgent, 1, "Kafka no longer has"},
		{"a skip of an agent who was mapped later", unmapped, arrived{facts: &schemas.Event{EventTime: unmapped.OccurredAt}, n: 1}, []control.Interval{{From: later}}, nil, 1, "The agent was mapped on " + later.Format(time.DateOnly)},
		{"a skip of one who still is not", unmapped, arrived{facts: &schemas.Event{EventTime: schemas.Epoch}, n: 1}, nil, nil, 1, "Halo gave no time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked time.Time
			c.kafka.asked = &asked
			id, _ := schemas.ParseID(c.row.ID)
			e, err := timeline.New(conn, c.kafka, mappings{intervals: c.intervals, err: c.err}, time.Now).Explain(t.Context(), "acme", id)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "outcome", e.Outcome, c.row.Event)
			if e.Arrivals != c.arrivals || !e.FirstReceivedAt.Equal(c.row.ReceivedAt) || !asked.Equal(c.row.ReceivedAt) || e.Facts != c.kafka.facts {
				t.Errorf("%+v, asked from %v", e, asked)
			}
			if e.Mapping == nil || e.Mapping.Agent != c.row.Agent || !e.Mapping.At.Equal(c.row.ReceivedAt) || len(e.Mapping.Intervals) != len(c.intervals) {
				t.Errorf("mapping %+v", e.Mapping)
			}
			if !strings.Contains(strings.Join(e.Why, " "), c.why) {
				t.Errorf("no %q in %q", c.why, e.Why)
			}
		})
	}
}

func TestAnEventThatIsNotTheTenantsOrIsErasedIsUnknown(t *testing.T) {
	tl, conn := filled(t)
	all := folded(history(), "acme")
	i := slices.IndexFunc(all, func(r row) bool { return r.User == "u-2" })
	id, _ := schemas.ParseID(all[i].ID)
	erased := func(of schemas.UserID) *timeline.Timeline {
		return timeline.New(conn, nothing{}, mappings{erased: func(t schemas.Tenant, u schemas.UserID) bool { return t == "acme" && u == of }}, time.Now)
	}
	for name, c := range map[string]struct {
		tl     *timeline.Timeline
		tenant schemas.Tenant
		id     schemas.ID
	}{
		"nobody's":         {tl, "acme", eventID(123_456)},
		"another tenant's": {tl, "other", id},
		"an erased user's": {erased("u-2"), "acme", id},
		"an erased tenant": {erased(""), "acme", id},
	} {
		if _, err := c.tl.Explain(t.Context(), c.tenant, c.id); !errors.Is(err, control.ErrUnknownEvent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := erased("u-3").Explain(t.Context(), "acme", id); err != nil {
		t.Errorf("another user is erased: %v", err)
	}
}

func TestArrivalsAreToldAndCounted(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	tl := timeline.New(conn, nothing{}, nothing{}, func() time.Time { return now })
	ctx := t.Context()
	if last, err := tl.LastDelivery(ctx, "acme"); err != nil || !last.IsZero() {
		t.Errorf("nothing was delivered: %v, %v", last, err)
	}
	n := 0
	var rows []row
	add := func(tenant schemas.Tenant, reason schemas.Reason, agent schemas.AgentID, received time.Time) {
		n++
		rows = append(rows, row{tenant: tenant, event: received.Add(-time.Duration(n) * time.Hour), Event: control.Event{
			ID: eventID(n).String(), Reason: reason, Agent: agent, OccurredAt: received, ReceivedAt: received,
		}}.judged())
	}
	at := now.Truncate(timeline.ArrivalSpan).Add(-24 * time.Hour)
	add("acme", "", 7, at.Add(-500*24*time.Hour))
	insert(t, conn, rows)
	if last, err := tl.LastDelivery(ctx, "acme"); err != nil || !last.Equal(rows[0].ReceivedAt) {
		t.Errorf("last delivery %v, %v; want one of long ago", last, err)
	}
	rows = nil
	add("acme", "", 7, at.Add(time.Second))
	add("acme", schemas.Unmapped, 5, at.Add(12*time.Minute))
	for range 3 {
		add("acme", schemas.Unmapped, 6, at.Add(13*time.Minute))
	}
	add("acme", schemas.StaleWebhook, 0, at.Add(25*time.Minute+123*time.Millisecond))
	add("other", schemas.Unassigned, 0, at.Add(time.Hour))
	add("ahead", "", 7, now.Add(time.Hour)) // its clock
	insert(t, conn, rows)
	for tenant, want := range map[schemas.Tenant]time.Time{"acme": at.Add(25*time.Minute + 123*time.Millisecond), "ahead": now.Add(time.Hour)} {
		if last, err := tl.LastDelivery(ctx, tenant); err != nil || !last.Equal(want) {
			t.Errorf("last delivery of %s %v, %v", tenant, last, err)
		}
	}
	spans, err := tl.Arrivals(ctx, "acme", at)
	if want := []time.Time{at, at.Add(10 * time.Minute), at.Add(20 * time.Minute)}; err != nil || !slices.EqualFunc(spans, want, time.Time.Equal) {
		t.Errorf("arrivals %v, %v", spans, err)
	}
	got, err := tl.Coverage(ctx, "acme", at)
	if err != nil || got.Events != 6 || got.Activities != 1 || got.Skipped[schemas.Unmapped] != 4 || got.Skipped[schemas.StaleWebhook] != 1 {
		t.Errorf("coverage %+v, %v", got, err)
	}
	agents, err := tl.Unmapped(ctx, "acme", at)
	if err != nil || fmt.Sprint(agents) != fmt.Sprint([]control.AgentCount{{AgentID: 6, Events: 3, LastAt: at.Add(13 * time.Minute)}, {AgentID: 5, Events: 1, LastAt: at.Add(12 * time.Minute)}}) {
		t.Errorf("unmapped %v, %v", agents, err)
	}
}

// What a person must mend is told to whoever asked: trying again helps nobody. A
// reader under readonly = 1 may not even change a setting, and the driver sends
// some with each statement.
func TestAReaderIsToldWhichRightIsMissing(t *testing.T) {
	for _, c := range []struct {
		code int
		want string
	}{
		{164, "may not change settings (readonly = 1)"},
		{452, "profile"},
		{497, "lacks SELECT"},
		{60, "haloctl migrate"},
		{81, "haloctl migrate"},
		{516, "AUTHENTICATION_FAILED"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.code == 164 && !r.URL.Query().Has("max_execution_time") {
				t.Error("a query without settings: this proves nothing")
			}
			w.Header().Set("X-ClickHouse-Exception-Code", fmt.Sprint(c.code))
			http.Error(w, fmt.Sprintf("Code: %d. DB::Exception: private words. (X)", c.code), http.StatusInternalServerError)
		}))
		conn, err := clickhouse.Open(server.URL + "/worksights")
		if err != nil {
			t.Fatal(err)
		}
		tl := timeline.New(conn, nothing{}, nothing{}, time.Now)
		_, events := tl.Events(t.Context(), "acme", control.Query{Limit: 1})
		_, explained := tl.Explain(t.Context(), "acme", eventID(1))
		_, summary := tl.Summary(t.Context(), "acme", noon(), time.Now(), time.UTC)
		for _, err := range []error{tl.Check(t.Context()), events, explained, summary} {
			var refused *control.Refusal
			if !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable || refused.RetryAfter != 0 || !strings.Contains(refused.Message, c.want) {
				t.Errorf("code %d: %v", c.code, err)
			}
			if err != nil && strings.Contains(err.Error(), "private") || clickhouse.ClassOf(err) != clickhouse.Misconfigured {
				t.Errorf("code %d: %v is of class %s", c.code, err, clickhouse.ClassOf(err))
			}
		}
		conn.Close()
		server.Close()
	}
	conn := clickhousetest.Migrated(t)
	if err := timeline.New(conn, nothing{}, nothing{}, time.Now).Check(t.Context()); err != nil {
		t.Errorf("all is well, and %v", err)
	}
}

func TestWhatCannotBeReadNowIsNoRefusalAndQuotesNothing(t *testing.T) {
	conn, err := clickhouse.Open("http://127.0.0.1:1/worksights")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var refused *control.Refusal
	_, err = timeline.New(conn, nothing{}, nothing{}, time.Now).Events(t.Context(), "acme", control.Query{User: "u-marker", Limit: 1})
	if err == nil || errors.As(err, &refused) || strings.Contains(err.Error(), "u-marker") || strings.Contains(err.Error(), "SELECT") {
		t.Errorf("says %v", err)
	}
}
