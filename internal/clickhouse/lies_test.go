package clickhouse_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
)

// lie is an answer of 200 that is none.
type lie struct {
	name string
	done bool // the statement was carried out all the same
	tell func(w http.ResponseWriter)
}

func cutOff(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, "half")
	panic(http.ErrAbortHandler)
}

var lies = []lie{
	{"an exception in the header", false, func(w http.ResponseWriter) { w.Header().Set("X-ClickHouse-Exception-Code", "241") }},
	{"an exception in the body", false, func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, "Code: 241. DB::Exception: private words. (MEMORY_LIMIT_EXCEEDED)")
	}},
	{"an exception at the end of the body", false, func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, "\r\n__exception__\r\nabcdefgh\r\nCode: 241. DB::Exception: private words. (MEMORY_LIMIT_EXCEEDED)\n80 abcdefgh\r\n__exception__\r\n")
	}},
	{"a body that breaks off", false, cutOff},
	{"a body that breaks off after it was done", true, cutOff},
	{"nothing, and nothing done", false, func(http.ResponseWriter) {}},
}

// lyingAt is a way to the server of dsn on which the n-th statement that changes
// something is answered by a lie. told says how many there were.
func lyingAt(t *testing.T, dsn string, n int64, l lie) (way string, told *atomic.Int64) {
	t.Helper()
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	told = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := r.URL.Query().Get("query") + string(body)
		changes := strings.Contains(text, "CREATE ") || strings.Contains(text, "INSERT ") || strings.Contains(text, "ALTER ")
		lying := changes && told.Add(1) == n
		if lying && !l.done {
			l.tell(w)
			return
		}
		u := *r.URL
		u.Scheme, u.Host = "http", at.Host
		out, _ := http.NewRequestWithContext(r.Context(), r.Method, u.String(), strings.NewReader(string(body)))
		out.Header = r.Header
		res, err := http.DefaultClient.Do(out)
		if err != nil {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		if lying {
			l.tell(w)
			return
		}
		for k, v := range res.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	}))
	t.Cleanup(s.Close)
	return strings.Replace(dsn, at.Host, strings.TrimPrefix(s.URL, "http://"), 1), told
}

// without is a way to the server of dsn that knows no database of that name.
func without(t *testing.T, dsn, name string) string {
	t.Helper()
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	way := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: at.Host})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("database") == name {
			w.Header().Set("X-ClickHouse-Exception-Code", "81")
			http.Error(w, "Code: 81. DB::Exception: Database "+name+" does not exist. (UNKNOWN_DATABASE)", http.StatusNotFound)
			return
		}
		r.Host = at.Host
		way.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	at.Host = strings.TrimPrefix(s.URL, "http://")
	return at.String()
}

func TestNoLieOfAnAnswerIsRecordedAndTheNextMigrateRepairs(t *testing.T) {
	statements := int64(1)
	for i, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			for n := int64(1); n <= statements; n++ {
				if i > 0 && l.name != "nothing, and nothing done" && n != 3 && n != 4 {
					continue // a migration and its record; how a failure is told is the same for all
				}
				dsn := clickhousetest.DSN(t)
				way, told := lyingAt(t, dsn, n, l)
				err := clickhouse.Migrate(t.Context(), way, 25, silent)
				if err != nil && strings.Contains(err.Error(), "private") {
					t.Errorf("the error quotes the answer: %v", err)
				}
				if i == 0 {
					statements = max(statements, told.Load()+1)
				}
				conn := open(t, dsn)
				if told.Load() < n {
					if err != nil {
						t.Errorf("no lie was told, and %v", err)
					}
					if n < 10 {
						t.Errorf("%d statements change something: this proves nothing", n-1)
					}
					continue
				}
				if err == nil && one[uint64](t, conn, whole) != 6 {
					t.Errorf("statement %d: success, and the schema is not whole", n)
				}
				if ledger := one[uint64](t, conn, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"); ledger > 0 {
					if lost := one[uint64](t, conn, `SELECT count() FROM schema_migrations WHERE substring(name, 6) NOT IN
						(SELECT name FROM system.tables WHERE database = currentDatabase())`); lost > 0 {
						t.Errorf("statement %d: %d migrations are recorded, and what they make is not there", n, lost)
					}
				}
				if err := clickhouse.Migrate(t.Context(), dsn, 25, silent); err != nil {
					t.Errorf("statement %d: the next migrate: %v", n, err)
				}
				if one[uint64](t, conn, whole) != 6 {
					t.Errorf("statement %d: not whole after the next migrate", n)
				}
			}
		})
	}
}

// whole counts what there is when all is there: four tables and views, all
// recorded, the retention.
const whole = `SELECT (SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ('outcomes_log', 'activities', 'skipped', 'daily_activity'))
	+ (SELECT uniqExact(version) = 4 FROM schema_migrations)
	+ (SELECT countIf(engine_full LIKE '%toIntervalMonth(25)%') FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes_log')`

func TestAnInsertThatWasAnsweredByALieHasFailed(t *testing.T) {
	for _, l := range lies[:5] {
		t.Run(l.name, func(t *testing.T) {
			dsn := clickhousetest.DSN(t)
			if err := open(t, dsn).Exec(t.Context(), "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a"); err != nil {
				t.Fatal(err)
			}
			way, told := lyingAt(t, dsn, 1, l)
			batch, err := open(t, way).PrepareBatch(clickhouse.Insert(t.Context(), l.name), "INSERT INTO t (a)")
			if err != nil {
				t.Fatal(err)
			}
			if err := batch.Append(uint8(1)); err != nil {
				t.Fatal(err)
			}
			err = batch.Send()
			if told.Load() == 0 {
				t.Fatal("no lie was told: this proves nothing")
			}
			if clickhouse.ClassOf(err) != clickhouse.Unavailable {
				t.Errorf("Send says %v, of class %s", err, clickhouse.ClassOf(err))
			}
		})
	}
}

func TestALongAnswerIsReadWhole(t *testing.T) {
	conn := open(t, clickhousetest.DSN(t))
	if n := one[uint64](t, conn, "SELECT max(length(s)) FROM (SELECT repeat('x', 300000) AS s)"); n != 300000 {
		t.Errorf("%d", n)
	}
	if s := one[string](t, conn, "SELECT toString(groupArray(number)) FROM numbers(200000)"); len(s) < 1_000_000 {
		t.Errorf("%d bytes", len(s))
	}
}

func TestMigrateMendsWhatIsThereAndNotRight(t *testing.T) {
	for _, c := range []struct{ name, harm string }{
		{"a view is gone", "DROP VIEW skipped"},
		{"the table is gone", "DROP TABLE outcomes_log SYNC"},
		{"a view of an earlier build", "CREATE OR REPLACE VIEW activities AS SELECT activity_id, tenant_id FROM outcomes_log"},
		{"a column is missing", "ALTER TABLE outcomes_log DROP COLUMN actor_type"},
		{"the records are gone", "TRUNCATE TABLE schema_migrations"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dsn := clickhousetest.DSN(t)
			conn := open(t, dsn)
			if err := clickhouse.Migrate(t.Context(), dsn, 25, silent); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprint(columns(t, conn, "outcomes_log"), columns(t, conn, "activities"), columns(t, conn, "skipped"))
			if err := conn.Exec(t.Context(), c.harm); err != nil {
				t.Fatal(err)
			}
			if err := clickhouse.Migrate(t.Context(), dsn, 25, silent); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(columns(t, conn, "outcomes_log"), columns(t, conn, "activities"), columns(t, conn, "skipped")); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
}

func TestMigrateSaysWhatItCannotMend(t *testing.T) {
	dsn := clickhousetest.DSN(t)
	conn := open(t, dsn)
	if err := conn.Exec(t.Context(), "CREATE TABLE outcomes_log (tenant_id String) ENGINE = MergeTree ORDER BY tenant_id"); err != nil {
		t.Fatal(err)
	}
	err := clickhouse.Migrate(t.Context(), dsn, 25, silent)
	if !errors.Is(err, clickhouse.ErrSchema) || !strings.Contains(err.Error(), "its engine is MergeTree") {
		t.Errorf("%v, want %v", err, clickhouse.ErrSchema)
	}
	if n := one[uint64](t, conn, "SELECT count() FROM schema_migrations"); n != 0 {
		t.Errorf("%d migrations are recorded", n)
	}
}
