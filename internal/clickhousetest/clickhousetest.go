// Package clickhousetest gives tests a real ClickHouse and never a fake one: a
// database of their own on the server that TEST_CLICKHOUSE_DSN names, else on
// an embedded engine that the test binary starts when first asked and ends with
// itself. Where there is neither, the test fails and says what to run; it is
// never skipped, for a skipped test hides that nothing was shown.
package clickhousetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/embedded/engine"
)

// shared is the engine of this test binary. It is a variable of the package
// because a test binary has one data directory's worth of memory to spare and
// testing.M hands nothing from TestMain to the tests.
var shared struct {
	sync.Mutex
	engine *engine.Engine
	dir    string
}

// Main runs the tests of a package that uses [DSN]; its TestMain consists of
// this call. It becomes the engine's child process where it must, and ends the
// engine after the tests.
func Main(m *testing.M) {
	engine.Child()
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.engine != nil {
		_ = shared.engine.Close()
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// DSN returns the DSN of an empty database, made for t and dropped at its end.
func DSN(t testing.TB) string {
	t.Helper()
	server := os.Getenv("TEST_CLICKHOUSE_DSN")
	if server == "" {
		server = "http://" + embedded(t).Addr()
	}
	return FreshDatabase(t, server)
}

// Migrated returns a connection to an empty database with our schema, made for t
// and dropped at its end.
func Migrated(t testing.TB) driver.Conn {
	t.Helper()
	dsn := DSN(t)
	if err := clickhouse.Migrate(t.Context(), dsn, clickhouse.DefaultRetention, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Engine returns the embedded engine of this test binary, for tests that do
// something to it which a server would not let them.
func Engine(t testing.TB) *engine.Engine {
	t.Helper()
	return embedded(t)
}

func embedded(t testing.TB) *engine.Engine {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.engine != nil {
		return shared.engine
	}
	dir, err := os.MkdirTemp("", "clickhousetest-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// The engine outlives t, so its log cannot go to t.
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	e, err := engine.Start(ctx, engine.Config{Dir: dir, Addr: "127.0.0.1:0", Library: os.Getenv("LIBCHDB_PATH")}, log)
	if err != nil {
		_ = os.RemoveAll(dir)
		t.Fatalf("start the embedded ClickHouse: %v", err)
	}
	shared.engine, shared.dir = e, dir
	return e
}

// FreshDatabase makes an empty database on the server that dsn names and
// returns dsn with that database. It is dropped at the end of t.
func FreshDatabase(t testing.TB, dsn string) string {
	t.Helper()
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("TEST_CLICKHOUSE_DSN cannot be parsed") // its text may hold a password
	}
	at.Path = "/default"
	opts, err := ch.ParseDSN(at.String())
	if err != nil {
		t.Fatal("TEST_CLICKHOUSE_DSN cannot be parsed")
	}
	conn, err := ch.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	name := "test_" + hex.EncodeToString(id[:])
	if err := conn.Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("make a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+name+" SYNC"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
		_ = conn.Close()
	})
	at.Path = "/" + name
	return at.String()
}
