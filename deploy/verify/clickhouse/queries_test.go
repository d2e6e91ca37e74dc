package clickhouse

import (
	"regexp"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

// The rows: two users of tenant acme in the first two weeks of March 2026, one
// agent who fell silent, one whom nobody mapped, another tenant with the same
// ids, and repeats that must not count.
func rows() []sink.Outcome {
	var all []sink.Outcome
	n := 0
	add := func(tenant, user string, agent uint64, kind schemas.Kind, ticket uint64, status int32, at string) *sink.Outcome {
		n++
		occurred, err := time.Parse("2006-01-02 15:04", at)
		if err != nil {
			panic(err)
		}
		weight := float32(1)
		if kind == schemas.UpdatedByUser {
			weight = 0.25
		}
		all = append(all, sink.Outcome{
			Tenant: schemas.Tenant(tenant), EventTime: occurred, ID: schemas.ID{0: byte(n), 8: byte(n)},
			User: schemas.UserID(user), Category: schemas.Category, Kind: kind, Weight: weight,
			Ticket: ticket, Agent: schemas.AgentID(agent), CreditedAs: "actor", Status: status,
			OccurredAt: occurred, ReceivedAt: occurred.Add(80 * time.Second),
		})
		return &all[len(all)-1]
	}
	skip := func(agent uint64, reason schemas.Reason, at string) {
		o := add("acme", "", agent, schemas.UpdatedByAgent, 50, 0, at)
		o.User, o.Category, o.Weight, o.CreditedAs, o.Reason = "", "", 0, "", reason
	}
	const logged, status, byAgent, byUser = schemas.TicketLogged, schemas.StatusChanged, schemas.UpdatedByAgent, schemas.UpdatedByUser
	// Monday 2 March. In Berlin 23:30 UTC is half past midnight of the next day.
	add("acme", "ann", 10, logged, 1, 1, "2026-03-02 08:00")
	add("acme", "ann", 10, byAgent, 1, 2, "2026-03-02 09:00")
	add("acme", "ann", 10, status, 1, 9, "2026-03-02 10:00") // ann closes 1
	add("acme", "bob", 11, status, 1, 2, "2026-03-03 10:00") // bob opens it again: ann's reopen
	add("acme", "bob", 11, status, 1, 9, "2026-03-04 10:00") // bob closes 1
	add("acme", "bob", 11, status, 1, 8, "2026-03-04 11:00") // 8 is closed too: neither
	add("acme", "ann", 10, byUser, 2, 0, "2026-03-02 23:30")
	// The week after.
	add("acme", "ann", 10, byAgent, 2, 2, "2026-03-09 09:00")
	add("acme", "ann", 10, status, 3, 2, "2026-03-10 09:00") // closed in January, see below
	// Before the period: 3 was closed by bob, and agent 12 was still at work.
	add("acme", "bob", 11, status, 3, 9, "2026-01-20 09:00")
	add("acme", "cem", 12, byAgent, 4, 2, "2026-02-20 09:00")
	add("acme", "cem", 12, byAgent, 4, 2, "2026-02-27 16:45")
	// Another tenant, same user and agent.
	add("other", "ann", 10, byAgent, 1, 9, "2026-03-02 09:30")
	skip(13, schemas.Unmapped, "2026-03-02 12:00")
	skip(13, schemas.Unmapped, "2026-03-05 12:00")
	skip(0, schemas.Unassigned, "2026-03-05 13:00")
	// Still Sunday in UTC, and Monday in Berlin.
	add("acme", "ann", 10, byAgent, 6, 2, "2026-03-01 23:30")
	// ann closes 7, bob files it as 8 and then opens it again: ann's reopen.
	add("acme", "ann", 10, status, 7, 9, "2026-03-11 08:00")
	add("acme", "bob", 11, status, 7, 8, "2026-03-11 09:00")
	add("acme", "bob", 11, status, 7, 2, "2026-03-11 10:00")
	// In Cairo clocks go from midnight of 24 April to one o'clock: 23:30 of the day
	// before, and half past one.
	add("acme", "ann", 10, byAgent, 8, 0, "2026-04-23 21:30")
	add("acme", "ann", 10, byAgent, 9, 0, "2026-04-23 22:30")
	// Sent again: each once more, later, and one of them mapped to somebody else
	// by then. The first arrival wins.
	for _, i := range []int{0, 2, 13} {
		again := all[i]
		again.ReceivedAt = again.ReceivedAt.Add(time.Hour)
		again.User = "bob"
		again.Reason = ""
		all = append(all, again)
	}
	return all
}

// queries are the named queries of the file.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, part := range strings.Split("\n"+read(t, "queries.sql"), "\n-- name: ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		if _, twice := all[name]; twice {
			t.Errorf("two queries are called %q", name)
		}
		if !strings.HasPrefix(rest, "-- ") {
			t.Errorf("%s: nothing says what it answers", name)
		}
		found := statements(rest)
		if len(found) != 1 {
			t.Fatalf("%s: %d statements", name, len(found))
		}
		all[name] = found[0]
	}
	return all
}

func TestEveryQueryOfTheAnalystsGivesTheRightAnswer(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	store := sink.NewClickHouse(conn)
	// In two inserts, so that repeats lie in another part than what they repeat.
	all := rows()
	for _, part := range [][]sink.Outcome{all[:len(all)-3], all[len(all)-3:]} {
		if err := store.Append(t.Context(), storetest.Rows(part...)); err != nil {
			t.Fatal(err)
		}
	}
	march := ch.Parameters{"tenant": "acme", "from": "2026-03-02", "to": "2026-03-16"}
	with := func(more ch.Parameters) ch.Parameters {
		p := ch.Parameters{}
		for _, m := range []ch.Parameters{march, more} {
			for k, v := range m {
				p[k] = v
			}
		}
		return p
	}
	want := map[string]struct {
		parameters ch.Parameters
		rows       []string
	}{
		"a user's day": {ch.Parameters{"tenant": "acme", "user": "ann", "day": "2026-03-02", "zone": "Europe/Berlin"}, []string{
			"2026-03-02T00:30:00+01:00 updated_by_agent 6 2 actor 1",
			"2026-03-02T09:00:00+01:00 ticket_logged 1 1 actor 1",
			"2026-03-02T10:00:00+01:00 updated_by_agent 1 2 actor 1",
			"2026-03-02T11:00:00+01:00 status_changed 1 9 actor 1",
		}},
		"a team by week": {with(ch.Parameters{"users": "['ann','bob','nobody']"}), []string{
			"2026-03-02 ann 4 3.25 1",
			"2026-03-02 bob 3 3 2",
			"2026-03-09 ann 3 3 3",
			"2026-03-09 bob 2 2 1",
		}},
		"score by kind": {march, []string{
			"status_changed 8 8 71.1",
			"updated_by_agent 2 2 17.8",
			"ticket_logged 1 1 8.9",
			"updated_by_user 1 0.25 2.2",
		}},
		"resolutions and reopens": {with(ch.Parameters{"closed": "[8,9]"}), []string{
			"ann 2 2",
			"bob 1 1",
		}},
		"quiet agents": {ch.Parameters{"tenant": "acme", "since": "2026-03-02", "to": "2026-03-16"}, []string{
			"12 cem 2026-02-27T16:45:00+00:00 2",
		}},
		"unmapped agents": {march, []string{
			"13 2 2026-03-05T12:00:00+00:00",
		}},
		"why nothing came of events": {march, []string{
			"credited 12 80",
			"unmapped 2 13.3",
			"unassigned 1 6.7",
		}},
		"how late events arrive": {with(ch.Parameters{"to": "2026-03-03"}), []string{
			"2026-03-02 4 80 80",
		}},
	}
	found := queries(t)
	for name, sql := range found {
		t.Run(name, func(t *testing.T) {
			w, ok := want[name]
			if !ok {
				t.Fatal("no answer of it is known here")
			}
			bounded(t, sql)
			got := ask(t, conn, sql, w.parameters)
			if d := diff(got, w.rows); d != "" {
				t.Error(d)
			}
		})
	}
	for day, row := range map[string]string{
		"2026-04-23": "2026-04-23T23:30:00+02:00 updated_by_agent 8 0 actor 1",
		"2026-04-24": "2026-04-24T01:30:00+03:00 updated_by_agent 9 0 actor 1",
	} {
		p := ch.Parameters{"tenant": "acme", "user": "ann", "day": day, "zone": "Africa/Cairo"}
		if d := diff(ask(t, conn, found["a user's day"], p), []string{row}); d != "" {
			t.Errorf("a day that begins without a midnight: %s", d)
		}
	}
	for name := range want {
		if _, ok := found[name]; !ok {
			t.Errorf("queries.sql has no query %q", name)
		}
	}
}

func ask(t *testing.T, conn driver.Conn, sql string, p ch.Parameters) []string {
	t.Helper()
	rows, err := conn.Query(ch.Context(t.Context(), ch.WithParameters(p)), sql)
	return table(t, rows, err)
}

var source = regexp.MustCompile(`FROM (activities|skipped|daily_activity|outcomes_log)\b`)

// bounded fails the test where a part of the query that reads a view has no
// bound of the tenant or of time.
func bounded(t *testing.T, sql string) {
	t.Helper()
	parts := source.Split(sql, -1)[1:]
	if len(parts) == 0 {
		t.Error("reads none of our views")
	}
	for _, part := range parts {
		if !strings.Contains(part, "tenant_id = {tenant:String}") {
			t.Error("is not bounded by its tenant")
		}
		if !regexp.MustCompile(`(occurred_at|day) >= `).MatchString(part) || !regexp.MustCompile(`(occurred_at|day) < `).MatchString(part) {
			t.Error("is not bounded in time")
		}
	}
}
