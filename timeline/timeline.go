// Package timeline is the read model: what became of a tenant's events, as
// people and pages ask for it.
//
// It promises that
//   - an answer is bounded by its tenant, and in time, memory and length, whatever
//     is asked;
//   - repeats are folded: what it tells is what the views show;
//   - a walk from page to page meets each row that was there at its first page
//     once, whatever arrives meanwhile;
//   - it changes nothing, and needs no instance to be in charge: every process
//     that reaches ClickHouse can answer.
//
// What keeps that true: each query names its tenant and has limits of its own;
// rows are found by an index over the log and then folded by their key, or read
// from the views; a position in a list is the time and the id of a row, and not a
// number of rows.
//
// The package knows ClickHouse and the nouns. What Kafka still has of an event,
// refused deliveries and the audit trail come from [Records], the histories of
// mappings from [Mappings].
package timeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Records are a tenant's records in Kafka, read back. Each call is bounded in
// time and memory, and may be repeated.
type Records interface {
	// Arrivals finds the records of an event that were written from the instant
	// on: the first, nil where there is none any more, and how many there are.
	// When time runs out it answers with what it has found so far.
	Arrivals(ctx context.Context, t schemas.Tenant, id schemas.ID, from time.Time) (first *schemas.Event, n int, err error)
	// Deliveries are the last limit of the tenant's refused deliveries, newest first.
	Deliveries(ctx context.Context, t schemas.Tenant, limit int) ([]schemas.Refused, error)
	// Changes are a page of the tenant's audit trail, newest first, those of one
	// instant by their ids, descending.
	Changes(ctx context.Context, t schemas.Tenant, q control.Query) ([]schemas.Change, error)
}

// Mappings is what the control plane knows of whom agents are mapped to.
type Mappings interface {
	// History is whom an agent was mapped to, newest first.
	History(ctx context.Context, t schemas.Tenant, agent schemas.AgentID) ([]control.Interval, error)
	// Erased says whether what happened to the user, or with "" to the tenant, at
	// the instant is erased.
	Erased(t schemas.Tenant, user schemas.UserID, at time.Time) bool
}

// Timeline answers from ClickHouse.
type Timeline struct {
	conn     driver.Conn
	records  Records
	mappings Mappings
	now      func() time.Time
	days     *days
}

// New returns the read model over conn, which stays the caller's to close.
func New(conn driver.Conn, records Records, mappings Mappings, now func() time.Time) *Timeline {
	return &Timeline{conn, records, mappings, now, newDays()}
}

const (
	// patience bounds one call. A page that takes longer was left by its reader.
	patience = 15 * time.Second
	// memory bounds a query. The embedded engine has half a gigabyte for all.
	memory = 256 << 20
	// most bounds an answer.
	most = 1000
)

// bound gives a call its limits, on our side and on the server's.
func bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	return ch.Context(ctx, ch.WithSettings(ch.Settings{
		"max_execution_time": int(patience / time.Second),
		"max_memory_usage":   memory,
	})), cancel
}

// each reads the rows of a query.
func (t *Timeline) each(ctx context.Context, query string, args []any, scan func(driver.Rows) error) error {
	rows, err := t.conn.Query(ctx, query, args...)
	if err != nil {
		return unreadable(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return unreadable(err)
		}
	}
	if err := rows.Err(); err != nil {
		return unreadable(err)
	}
	return nil
}

// ClickHouse's codes for a reader who lacks something.
const (
	readOnly        = 164 // readonly = 1: he may not even change a setting
	outOfBounds     = 452 // a setting is outside what his profile allows
	accessDenied    = 497
	unknownTable    = 60
	unknownDatabase = 81
)

// unreadable says what an error of a query means to whoever asked. Time mends
// most; what a person must mend is named, for nobody else will find out.
func unreadable(err error) error {
	err = clickhouse.Redact(err)
	said := (*clickhouse.Error)(nil)
	if !errors.As(err, &said) || said.Class == clickhouse.Unavailable {
		return err
	}
	what := said.Error()
	switch said.Code {
	case readOnly:
		what = "the ClickHouse user of CLICKHOUSE_DSN may not change settings (readonly = 1); he needs readonly = 2, or no such profile"
	case outOfBounds:
		what = fmt.Sprintf("the settings profile of CLICKHOUSE_DSN's user forbids max_execution_time = %d or max_memory_usage = %d", int(patience/time.Second), memory)
	case accessDenied:
		what = "the ClickHouse user of CLICKHOUSE_DSN lacks SELECT on outcomes_log, activities or skipped; see deploy/clickhouse/grants.sql"
	case unknownTable, unknownDatabase:
		what = "the tables are not there; run haloctl migrate"
	}
	return &misconfigured{control.Refuse(http.StatusServiceUnavailable, control.ErrNoTimeline.Code, "The timeline cannot be read: %s.", what), said}
}

// misconfigured is a refusal that keeps its cause.
type misconfigured struct {
	refusal *control.Refusal
	cause   error
}

func (m *misconfigured) Error() string   { return m.refusal.Error() }
func (m *misconfigured) Unwrap() []error { return []error{m.refusal, m.cause} }

// Check is nil where the read model can be read. Its error says who must act.
func (t *Timeline) Check(ctx context.Context) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	return t.each(ctx, "SELECT (SELECT count() FROM activities WHERE tenant_id = '') + (SELECT count() FROM skipped WHERE tenant_id = '')", nil,
		func(rows driver.Rows) error {
			var n uint64
			return rows.Scan(&n)
		})
}
