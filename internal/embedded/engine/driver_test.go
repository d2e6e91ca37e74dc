package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
)

// start runs an engine in dir until the test ends.
func start(t testing.TB, dir string) *Engine {
	t.Helper()
	return startAt(t, dir, "127.0.0.1:0")
}

func startAt(t testing.TB, dir, addr string) *Engine {
	t.Helper()
	e, err := Start(context.Background(), Config{Dir: dir, Addr: addr}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// dial opens the driver on e with the given change to its options.
func dial(t testing.TB, e *Engine, database string, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	return dialAddr(t, e.Addr(), database, change)
}

func dialAddr(t testing.TB, addr, database string, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	opts := &clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{addr}, Auth: clickhouse.Auth{Database: database}}
	if change != nil {
		change(opts)
	}
	conn, err := clickhouse.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func mustExec(t testing.TB, conn driver.Conn, sql ...string) {
	t.Helper()
	for _, s := range sql {
		if err := conn.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func codeFrom(err error) int32 {
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestTheDriver(t *testing.T) {
	e := start(t, t.TempDir())
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *Engine)
	}{
		{"reads what the library writes after the handshake", driverHandshake},
		{"appends by column and reads every type back", driverTypes},
		{"compresses both ways by every method", driverCompression},
		{"meets a server's exceptions", driverExceptions},
		{"binds parameters", driverParameters},
		{"sets a setting for one query only", driverSettings},
		{"scans more rows than one block", driverScan},
		{"sees an error in the middle of a result", driverMidStream},
		{"cancels queries and gets their sessions back", driverCancel},
		{"repeats an insert without repeating its rows", driverDeduplication},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, e) })
	}
}

// driverHandshake pins what this version of the driver does: it asks for its
// own protocol revision, is told 0, and from then on reads plain Native.
func driverHandshake(t *testing.T, e *Engine) {
	var asked []string
	conn := dial(t, e, "", func(o *clickhouse.Options) {
		o.TransportFunc = func(rt *http.Transport) (http.RoundTripper, error) {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
				asked = append(asked, string(body)+" @"+r.URL.Query().Get("client_protocol_version"))
				return rt.RoundTrip(r)
			}), nil
		}
	})
	v, err := conn.ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if want := handshakeQuery + " @54460"; len(asked) != 1 || asked[0] != want {
		t.Errorf("the driver asked %q, want %q: check the handshake against the new driver", asked, want)
	}
	if v.Revision != 0 || v.Version.Major != 26 || v.Timezone.String() != "UTC" {
		t.Errorf("the driver understood %+v", v)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// typesTable has the column types of the connector's own tables.
const typesTable = `(id UUID, tenant LowCardinality(String), user String, weight Float32, ticket UInt64, status Int32,
	credited Enum8('actor' = 1, 'assignee' = 2), at DateTime64(3, 'UTC'), maybe Nullable(Int64), tags Array(String))
	ENGINE = MergeTree ORDER BY (tenant, ticket)`

func driverTypes(t *testing.T, e *Engine) {
	conn := dial(t, e, "", nil)
	mustExec(t, conn, "CREATE TABLE types "+typesTable)
	id := uuid.MustParse("01234567-89ab-cdef-0123-456789abcdef")
	at := time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)
	seven := int64(7)
	batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO types (id, tenant, user, weight, ticket, status, credited, at, maybe, tags)")
	if err != nil {
		t.Fatal(err)
	}
	for i, column := range []any{
		[]uuid.UUID{id, uuid.Nil},
		[]string{"acme", ""},
		[]string{"u1", "täst"},
		[]float32{0.25, 1},
		[]uint64{1 << 63, 0},
		[]int32{-5, 0},
		[]string{"actor", "assignee"},
		[]time.Time{at, time.UnixMilli(0)},
		[]*int64{&seven, nil},
		[][]string{{"a", "b"}, {}},
	} {
		if err := batch.Column(i).Append(column); err != nil {
			t.Fatalf("column %d: %v", i, err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	var got struct {
		ID       uuid.UUID `ch:"id"`
		Tenant   string    `ch:"tenant"`
		User     string    `ch:"user"`
		Weight   float32   `ch:"weight"`
		Ticket   uint64    `ch:"ticket"`
		Status   int32     `ch:"status"`
		Credited string    `ch:"credited"`
		At       time.Time `ch:"at"`
		Maybe    *int64    `ch:"maybe"`
		Tags     []string  `ch:"tags"`
	}
	if err := conn.QueryRow(t.Context(), "SELECT * FROM types WHERE tenant = 'acme'").ScanStruct(&got); err != nil {
		t.Fatal(err)
	}
	if got.ID != id || got.User != "u1" || got.Weight != 0.25 || got.Ticket != 1<<63 || got.Status != -5 ||
		got.Credited != "actor" || !got.At.Equal(at) || got.Maybe == nil || *got.Maybe != 7 || len(got.Tags) != 2 {
		t.Errorf("read back %+v", got)
	}
	if err := conn.QueryRow(t.Context(), "SELECT * FROM types WHERE tenant = ''").ScanStruct(&got); err != nil {
		t.Fatal(err)
	}
	if got.ID != uuid.Nil || got.User != "täst" || got.Maybe != nil || got.At.UnixMilli() != 0 {
		t.Errorf("read back %+v", got)
	}
}

func driverCompression(t *testing.T, e *Engine) {
	mustExec(t, dial(t, e, "", nil), "CREATE TABLE packed (method String, n UInt32) ENGINE = MergeTree ORDER BY n")
	for _, method := range []clickhouse.CompressionMethod{
		clickhouse.CompressionNone, clickhouse.CompressionLZ4,
		clickhouse.CompressionZSTD, clickhouse.CompressionGZIP, clickhouse.CompressionDeflate,
	} {
		conn := dial(t, e, "", func(o *clickhouse.Options) { o.Compression = &clickhouse.Compression{Method: method, Level: 1} })
		batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO packed")
		if err != nil {
			t.Fatalf("%v: %v", method, err)
		}
		const rows = 300_000 // several blocks of a megabyte
		for i := range uint32(rows) {
			if err := batch.Append(method.String(), i); err != nil {
				t.Fatal(err)
			}
		}
		if err := batch.Send(); err != nil {
			t.Fatalf("%v: %v", method, err)
		}
		got, err := conn.Query(t.Context(), "SELECT n FROM packed WHERE method = $1 ORDER BY n", method.String())
		if err != nil {
			t.Fatalf("%v: %v", method, err)
		}
		next := uint32(0)
		for ; got.Next(); next++ {
			var n uint32
			if err := got.Scan(&n); err != nil || n != next {
				t.Fatalf("%v: row %d is %d (%v)", method, next, n, err)
			}
		}
		if err := got.Err(); err != nil || next != rows {
			t.Errorf("%v: %d rows, want %d (%v)", method, next, rows, err)
		}
		if err := conn.Exec(t.Context(), "SELECT nonsense"); codeFrom(err) != 47 {
			t.Errorf("%v: error %v, want code 47", method, err)
		}
	}
}

func driverExceptions(t *testing.T, e *Engine) {
	conn := dial(t, e, "", nil)
	for _, tt := range []struct {
		sql  string
		code int32
	}{
		{"SELECT * FROM nosuch", 60},
		{"SELEC 1", 62},
		{"SELECT nosuch", 47},
		{"SELECT throwIf(1)", 395},
		{"CREATE TABLE other (a UInt8) ENGINE = Nosuch", 56},
		{"CREATE TABLE no.t (a UInt8) ENGINE = Memory", 81},
		{"SELECT 1; SELECT 2", 62},
		{"SELECT 1 SETTINGS nosuch = 1", 115},
	} {
		if err := conn.Exec(t.Context(), tt.sql); codeFrom(err) != tt.code {
			t.Errorf("%s: %v, want code %d", tt.sql, err, tt.code)
		}
	}
	if err := dial(t, e, "not_there_yet", nil).Ping(t.Context()); codeFrom(err) != 81 {
		t.Errorf("unknown database: %v, want code 81", err)
	}
	mustExec(t, conn, "CREATE DATABASE not_there_yet")
	if err := dial(t, e, "not_there_yet", nil).Ping(t.Context()); err != nil {
		t.Errorf("database made meanwhile: %v", err)
	}
	unknown := dial(t, e, "", func(o *clickhouse.Options) { o.Settings = clickhouse.Settings{"nosuch": 1} })
	if err := unknown.Ping(t.Context()); codeFrom(err) != 115 {
		t.Errorf("unknown setting: %v, want code 115", err)
	}
	if err := conn.Ping(t.Context()); err != nil {
		t.Errorf("after all the errors: %v", err)
	}
}

func driverParameters(t *testing.T, e *Engine) {
	ctx := clickhouse.Context(t.Context(), clickhouse.WithParameters(clickhouse.Parameters{
		"s": `it's "a"; \ -- thing`, "n": "-7", "at": "2026-01-02 03:04:05.006",
	}))
	var s string
	var n int32
	var at time.Time
	err := dial(t, e, "", nil).QueryRow(ctx, "SELECT {s:String}, {n:Int32}, {at:DateTime64(3)}").Scan(&s, &n, &at)
	if err != nil {
		t.Fatal(err)
	}
	if s != `it's "a"; \ -- thing` || n != -7 || at.UnixMilli()%1000 != 6 {
		t.Errorf("read back %q, %d, %v", s, n, at)
	}
}

func driverSettings(t *testing.T, e *Engine) {
	conn := dial(t, e, "", func(o *clickhouse.Options) { o.MaxOpenConns = 1 })
	ask := func(ctx context.Context) (block, async, comment string) {
		t.Helper()
		err := conn.QueryRow(ctx, "SELECT toString(getSetting('max_block_size')), toString(getSetting('async_insert')), getSetting('session_timezone')").Scan(&block, &async, &comment)
		if err != nil {
			t.Fatal(err)
		}
		return block, async, comment
	}
	with := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"max_block_size": 123, "async_insert": 1, "log_comment": "mine"}))
	// Twice the pool, so that the session of the first is met again.
	for range 2 * sessions {
		if block, async, _ := ask(with); block != "123" || async != "true" {
			t.Errorf("with settings: max_block_size %s, async_insert %s", block, async)
		}
		if block, async, zone := ask(t.Context()); block == "123" || async != "false" || zone != "UTC" {
			t.Errorf("afterwards: max_block_size %s, async_insert %s, session_timezone %s", block, async, zone)
		}
		mustExec(t, conn, "SET max_block_size = 77") // as over HTTP: gone with its request
	}
}
