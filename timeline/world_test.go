package timeline_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline"
)

// row is a row of the log.
type row struct {
	control.Event
	tenant  schemas.Tenant
	event   time.Time // event_time
	version uint64
}

// noon is a day before now, so that no row has expired.
func noon() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour) }

func eventID(n int) schemas.ID {
	var id schemas.ID
	r := mathrand.New(mathrand.NewPCG(uint64(n), 11))
	binary.BigEndian.PutUint64(id[:8], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return id
}

// history are rows of three tenants: most in few milliseconds of noon, some
// months old, some without a time, each tenth event arriving again, judged
// otherwise.
func history() []row {
	random := mathrand.New(mathrand.NewPCG(7, 7))
	var rows []row
	for n := range 600 {
		at := noon().Add(time.Duration(random.IntN(7)) * time.Millisecond)
		switch n % 12 {
		case 5:
			at = noon().Add(-time.Duration(random.IntN(90*24)) * time.Hour)
		case 7:
			at = noon().Add(-time.Duration(random.IntN(48*60)) * time.Minute)
		}
		r := row{tenant: "acme", event: at, Event: control.Event{
			Outcome: control.OutcomeActivity, ID: eventID(n).String(), Kind: schemas.Kinds()[n%4], Ticket: uint64(1000 + n%40), Agent: schemas.AgentID(7 + n%5),
			User: schemas.UserID(fmt.Sprintf("u-%d", n%5)), Weight: 1, CreditedAs: schemas.CreditedActor, ActorType: schemas.ActorAgent, Status: int32(n % 9),
			OccurredAt: at, ReceivedAt: at.Add(time.Duration(random.IntN(3)) * time.Millisecond),
		}}
		if n%4 == 3 {
			r.Weight = 0.25
		}
		if n%10 == 3 {
			r.Event = skip(r.Event, schemas.Reasons()[n/10%5])
		}
		if n%17 == 4 { // Halo gave no time
			r.event, r.OccurredAt = schemas.Epoch, r.ReceivedAt
		}
		if n%9 == 8 {
			r.tenant = "other"
		}
		rows = append(rows, r.judged())
		if n%10 == 6 {
			again := r
			again.ReceivedAt = again.ReceivedAt.Add(time.Duration(1+random.IntN(4)) * time.Millisecond)
			again.User, again.Agent = "u-again", 99
			if r.Reason == "" && n%20 == 6 {
				again.Event = skip(again.Event, schemas.Unmapped)
			}
			rows = append(rows, again.judged())
		}
	}
	return rows
}

func skip(e control.Event, why schemas.Reason) control.Event {
	e.Outcome, e.Reason, e.User, e.Weight, e.CreditedAs, e.ActorType, e.Status = control.OutcomeSkip, why, "", 0, "", "", 0
	return e
}

func (r row) judged() row {
	r.version = (1<<48 - 1 - uint64(r.ReceivedAt.UnixMilli())) << 16
	return r
}

// insert appends rows in two parts, so that repeats lie in another than what
// they repeat.
func insert(t testing.TB, conn driver.Conn, rows []row) {
	t.Helper()
	for i, some := range [][]row{rows[:len(rows)/2], rows[len(rows)/2:], rows[:len(rows)/5]} {
		batch, err := conn.PrepareBatch(clickhouse.Insert(context.Background(), fmt.Sprint(time.Now().UnixNano(), i)), `INSERT INTO outcomes_log (tenant_id, event_time,
			activity_id, version, reason, user_id, category, kind, weight, ticket_id, agent_id, credited_as, actor_type, status_id, occurred_at, received_at)`)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range some {
			category := schemas.Category
			if r.Reason != "" {
				category = ""
			}
			if err := batch.Append(string(r.tenant), r.event, r.ID, r.version, string(r.Reason), string(r.User), category, string(r.Kind), r.Weight, r.Ticket,
				uint64(r.Agent), string(r.CreditedAs), string(r.ActorType), r.Status, r.OccurredAt, r.ReceivedAt); err != nil {
				t.Fatal(err)
			}
		}
		if len(some) == 0 {
			continue
		}
		if err := batch.Send(); err != nil {
			t.Fatal(err)
		}
	}
}

// folded are the rows of a tenant that count.
func folded(rows []row, tenant schemas.Tenant) []row {
	first := map[string]row{}
	for _, r := range rows {
		if have, ok := first[r.ID]; r.tenant == tenant && (!ok || r.version > have.version) {
			first[r.ID] = r
		}
	}
	var all []row
	for _, r := range first {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b row) int { return cmp.Or(b.ReceivedAt.Compare(a.ReceivedAt), strings.Compare(b.ID, a.ID)) })
	return all
}

// mappings is a control plane that knows what it is told.
type mappings struct {
	nothing
	intervals []control.Interval
	err       error
	erased    func(schemas.Tenant, schemas.UserID) bool
}

func (m mappings) History(context.Context, schemas.Tenant, schemas.AgentID) ([]control.Interval, error) {
	return m.intervals, m.err
}

func (m mappings) Erased(t schemas.Tenant, u schemas.UserID, _ time.Time) bool {
	return m.erased != nil && m.erased(t, u)
}

// filled is the read model over history.
func filled(t *testing.T) (*timeline.Timeline, driver.Conn) {
	t.Helper()
	conn := clickhousetest.Migrated(t)
	insert(t, conn, history())
	return timeline.New(conn, nothing{}, mappings{}, time.Now), conn
}
