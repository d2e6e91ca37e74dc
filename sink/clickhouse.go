package sink

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/worksights/halo-connector/internal/clickhouse"
)

// ClickHouse is the [Store] in production: the table outcomes_log of the
// database that its connection is to. It is not safe for concurrent use.
type ClickHouse struct {
	conn    driver.Conn
	columns columns // kept from batch to batch for their memory
}

var _ Store = (*ClickHouse)(nil)

// NewClickHouse returns the store on conn, which is from clickhouse.Open and
// stays the caller's to close.
func NewClickHouse(conn driver.Conn) *ClickHouse { return &ClickHouse{conn: conn} }

// Append inserts rows as one block, column by column.
//
// A block that spans partitions of the table becomes several parts, so that an
// insert which fails halfway leaves some of them; hence the contract of Store.
func (c *ClickHouse) Append(ctx context.Context, rows []Outcome) error {
	if len(rows) == 0 {
		return nil
	}
	err := c.insert(ctx, rows)
	if err == nil {
		return nil
	}
	if clickhouse.ClassOf(err) == clickhouse.BadRow {
		return fmt.Errorf("%w: %w", ErrRefused, clickhouse.Redact(err))
	}
	return fmt.Errorf("append %d rows: %w", len(rows), clickhouse.Redact(err))
}

func (c *ClickHouse) insert(ctx context.Context, rows []Outcome) (err error) {
	c.columns.fill(rows)
	all := c.columns.all()
	names, types := make([]string, len(all)), make([]ch.ColumnNameAndType, len(all))
	for i, col := range all {
		names[i], types[i] = col.name, ch.ColumnNameAndType{Name: col.name, Type: col.typ}
	}
	// Drawn and not derived: a token says that an insert is another, and every
	// attempt is.
	ctx = clickhouse.Insert(ctx, rand.Text())
	// Over HTTP the driver would ask for the table's columns before each
	// insert, and build LowCardinality columns through a map of interfaces; told
	// the types, it does neither, and the server converts.
	ctx = ch.Context(ctx, ch.WithColumnNamesAndTypes(types))
	batch, err := c.conn.PrepareBatch(ctx, "INSERT INTO outcomes_log ("+strings.Join(names, ", ")+")")
	if err != nil {
		return err
	}
	defer func() { _ = batch.Close() }() // gives the connection back where Send did not come to it
	for i, col := range all {
		if err := batch.Column(i).Append(col.values); err != nil {
			return err
		}
	}
	return batch.Send()
}

// columns are a batch turned on its side.
type columns struct {
	tenant, reason, user, category, kind, creditedAs []string

	event, occurred, received []int64 // ms since 1970, which is what the driver takes for DateTime64
	id                        []uuid.UUID
	version, ticket, agent    []uint64
	weight                    []float32
	status                    []int32
}

func (c *columns) fill(rows []Outcome) {
	n := len(rows)
	for _, s := range []*[]string{&c.tenant, &c.reason, &c.user, &c.category, &c.kind, &c.creditedAs} {
		resize(s, n)
	}
	for _, s := range []*[]int64{&c.event, &c.occurred, &c.received} {
		resize(s, n)
	}
	for _, s := range []*[]uint64{&c.version, &c.ticket, &c.agent} {
		resize(s, n)
	}
	resize(&c.id, n)
	resize(&c.weight, n)
	resize(&c.status, n)
	for i := range rows {
		o := &rows[i]
		c.tenant[i], c.reason[i], c.user[i] = string(o.Tenant), string(o.Reason), string(o.User)
		c.category[i], c.kind[i], c.creditedAs[i] = o.Category, string(o.Kind), string(o.CreditedAs)
		c.event[i], c.occurred[i], c.received[i] = o.EventTime.UnixMilli(), o.OccurredAt.UnixMilli(), o.ReceivedAt.UnixMilli()
		c.id[i], c.version[i] = uuid.UUID(o.ID), o.Version()
		c.ticket[i], c.agent[i] = o.Ticket, uint64(o.Agent)
		c.weight[i], c.status[i] = o.Weight, o.Status
	}
}

func resize[T any](s *[]T, n int) {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	*s = (*s)[:n]
}

type column struct {
	name   string
	typ    string // as it is sent; the table's own type may be a LowCardinality of it
	values any
}

// all are the columns in the order of the table.
func (c *columns) all() []column {
	const text, id, number, moment = "String", "UUID", "UInt64", "DateTime64(3, 'UTC')"
	return []column{
		{"tenant_id", text, c.tenant},
		{"event_time", moment, c.event},
		{"activity_id", id, c.id},
		{"version", number, c.version},
		{"reason", text, c.reason},
		{"user_id", text, c.user},
		{"category", text, c.category},
		{"kind", text, c.kind},
		{"weight", "Float32", c.weight},
		{"ticket_id", number, c.ticket},
		{"agent_id", number, c.agent},
		{"credited_as", text, c.creditedAs},
		{"status_id", "Int32", c.status},
		{"occurred_at", moment, c.occurred},
		{"received_at", moment, c.received},
	}
}
