package sink

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/schemas"
)

// TestColumnsFitTheTypesThatAServerSends: over the native protocol a server
// begins an insert with an empty block in the table's own types, LowCardinality
// among them, and the driver fills that. The embedded engine speaks HTTP only,
// and never names LowCardinality to a client.
func TestColumnsFitTheTypesThatAServerSends(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	var described []struct{ Name, Type string }
	err := conn.Select(t.Context(), &described, `SELECT name AS "Name", type AS "Type" FROM system.columns
		WHERE database = currentDatabase() AND table = 'outcomes_log' AND default_kind != 'MATERIALIZED'`)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, d := range described {
		types[d.Name] = d.Type
	}

	at := time.Date(2026, 10, 2, 14, 3, 27, 123e6, time.UTC)
	var rows Rows
	for _, o := range []Outcome{
		{
			Tenant: "acme", ID: schemas.ID{1, 15: 2}, User: "ada", Category: schemas.Category, Kind: schemas.UpdatedByUser, Weight: 0.25,
			Ticket: 7, Agent: 42, CreditedAs: "assignee", ActorType: schemas.ActorSystem, Status: -1, EventTime: at, OccurredAt: at, ReceivedAt: at.Add(time.Second),
		},
		{Tenant: "globex", ID: schemas.ID{2}, Reason: schemas.Unmapped, EventTime: at, OccurredAt: at, ReceivedAt: at},
	} {
		rows.Add(o)
	}
	block, low := proto.NewBlock(), 0
	for _, col := range rows.columns() {
		if err := block.AddColumn(col.name, chcolumn.Type(types[col.name])); err != nil {
			t.Fatalf("%s: the table has type %q: %v", col.name, types[col.name], err)
		}
		if _, ok := block.Columns[len(block.Columns)-1].(*chcolumn.LowCardinality); ok {
			low++
		}
	}
	if low == 0 || len(block.Columns) != len(described) {
		t.Fatalf("%d columns of %d, %d of low cardinality: this proves nothing", len(block.Columns), len(described), low)
	}
	for i, col := range rows.columns() {
		if _, err := block.Columns[i].Append(col.values); err != nil {
			t.Fatalf("%s: %v", col.name, err)
		}
	}

	var wire chproto.Buffer
	if err := block.Encode(&wire, proto.DBMS_TCP_PROTOCOL_VERSION); err != nil {
		t.Fatal(err)
	}
	read := proto.NewBlock()
	if err := read.Decode(chproto.NewReader(bytes.NewReader(wire.Buf)), proto.DBMS_TCP_PROTOCOL_VERSION); err != nil {
		t.Fatal(err)
	}
	for i, col := range rows.columns() {
		want := reflect.ValueOf(col.values)
		for row := range want.Len() {
			if got := read.Columns[i].Row(row, false); !reflect.DeepEqual(instant(got), want.Index(row).Interface()) {
				t.Errorf("%s, row %d: read %v, appended %v", col.name, row, got, want.Index(row))
			}
		}
	}
}

// instant is a time as the columns hold it, and other values as they are.
func instant(v any) any {
	if t, ok := v.(time.Time); ok {
		return t.UnixMilli()
	}
	return v
}
