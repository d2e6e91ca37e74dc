package sink

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
)

// ClickHouse is the [Store] in production: the table outcomes_log of the
// database that its connection is to. It is not safe for concurrent use.
type ClickHouse struct{ conn driver.Conn }

var _ Store = (*ClickHouse)(nil)

// NewClickHouse returns the store on conn, which is from clickhouse.Open and
// stays the caller's to close.
func NewClickHouse(conn driver.Conn) *ClickHouse { return &ClickHouse{conn: conn} }

// Append inserts rows as one block, column by column.
//
// A block that spans partitions of the table becomes several parts, so that an
// insert which fails halfway leaves some of them; hence the contract of Store.
func (c *ClickHouse) Append(ctx context.Context, rows *Rows) error {
	if rows.Len() == 0 {
		return nil
	}
	if err := c.insert(ctx, rows); err != nil {
		return fmt.Errorf("append %d rows: %w", rows.Len(), clickhouse.Redact(err))
	}
	return nil
}

func (c *ClickHouse) insert(ctx context.Context, rows *Rows) (err error) {
	columns := rows.columns()
	names, types := make([]string, len(columns)), make([]ch.ColumnNameAndType, len(columns))
	for i, col := range columns {
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
	for i, col := range columns {
		if err := batch.Column(i).Append(col.values); err != nil {
			return err
		}
	}
	return batch.Send()
}

var ttl = regexp.MustCompile(`TTL toDateTime\(received_at\) \+ toIntervalMonth\((\d+)\)`)

// Retention is for how many months after its arrival the table keeps a row, 0
// where it keeps all. It is read from the table and not from a setting of ours,
// which could differ from it.
func (c *ClickHouse) Retention(ctx context.Context) (months int, err error) {
	var engine string
	const query = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes_log'"
	if err := c.conn.QueryRow(ctx, query).Scan(&engine); err != nil {
		return 0, fmt.Errorf("read the retention: %w", clickhouse.Redact(err))
	}
	if m := ttl.FindStringSubmatch(engine); m != nil {
		return strconv.Atoi(m[1])
	}
	return 0, nil
}
