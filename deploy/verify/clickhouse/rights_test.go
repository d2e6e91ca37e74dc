package clickhouse

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/embedded/engine"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
	"github.com/worksights/halo-connector/timeline"
)

// What ClickHouse says to whom it does not let: a right that he has not, a
// session that is read-only, a setting outside its bounds.
const (
	denied   = 497
	readonly = 164
	bounds   = 452
)

// TestEachRoleCanDoItsWorkAndNothingElse has ClickHouse itself enforce
// grants.sql. The embedded engine takes its one user from a file and cannot be
// told of more by SQL, so that each role's statements are turned into that file,
// and one engine after the other is started on the same data, its user in that
// role: first who makes the tables, then who fills them, then who reads.
func TestEachRoleCanDoItsWorkAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	for _, r := range []struct {
		role    string
		work    func(t *testing.T, dsn string, conn driver.Conn)
		refused map[string]int32
	}{
		{"halo_migrate", migrate, map[string]int32{
			"DROP TABLE outcomes_log":                              denied,
			"ALTER TABLE outcomes_log DELETE WHERE 1":              denied,
			"DELETE FROM outcomes_log WHERE 1":                     denied,
			"ALTER TABLE outcomes_log DROP PARTITION '0'":          denied,
			"ALTER TABLE outcomes_log DROP COLUMN user_id":         denied,
			"ALTER TABLE outcomes_log UPDATE user_id = '' WHERE 1": denied,
			"DROP DATABASE worksights":                             denied,
			"TRUNCATE TABLE outcomes_log":                          denied,
			"INSERT INTO outcomes_log (tenant_id) VALUES ('acme')": denied,
			"CREATE DATABASE another":                              denied,
			"SELECT * FROM file('users.xml', 'LineAsString')":      denied,
			"CREATE USER eve IDENTIFIED WITH no_password":          denied,
			"CREATE ROLE another":                                  denied,
		}},
		{"", grantDemo, nil}, // who may do everything
		{"halo_sink", fill, map[string]int32{
			"SELECT tenant_id FROM outcomes_log":                  denied,
			"SELECT tenant_id FROM activities":                    denied,
			"INSERT INTO schema_migrations (version) VALUES (99)": denied,
			"ALTER TABLE outcomes_log DELETE WHERE 1":             denied,
			"ALTER TABLE outcomes_log ADD COLUMN subject String":  denied,
			"TRUNCATE TABLE outcomes_log":                         denied,
			"CREATE TABLE mine (a UInt8) ENGINE = Memory":         denied,
		}},
		{"halo_connect", answer, map[string]int32{
			"INSERT INTO outcomes_log (tenant_id) VALUES ('acme')": denied,
			"ALTER TABLE outcomes_log DELETE WHERE 1":              denied,
			"SELECT version FROM schema_migrations":                denied,
			"SELECT day FROM daily_activity":                       denied,
			"CREATE TABLE mine (a UInt8) ENGINE = Memory":          denied,
		}},
		{"halo_analyst", analyse("acme", "demo"), map[string]int32{
			"INSERT INTO outcomes_log (tenant_id) VALUES ('acme')":     denied,
			"CREATE TABLE mine (a UInt8) ENGINE = Memory":              denied,
			"SELECT version FROM schema_migrations":                    denied,
			"SELECT * FROM file('users.xml', 'LineAsString')":          denied,
			"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')": denied,
			"SET readonly = 0":                                                   readonly,
			"SET max_execution_time = 0":                                         bounds,
			"SET max_execution_time = 301":                                       bounds,
			"SET max_memory_usage = 0":                                           bounds,
			"SELECT 1 SETTINGS max_threads = 9":                                  bounds,
			"SELECT 1 SETTINGS max_memory_usage = 9000000000, readonly = 2":      bounds,
			"SELECT count() FROM activities SETTINGS max_execution_time = 86400": bounds,
		}},
		{"halo_analyst_tenants", analyse("demo"), map[string]int32{
			"SELECT version FROM schema_migrations":                 denied,
			"INSERT INTO analyst_access VALUES ('default', 'acme')": denied,
			"SELECT * FROM file('users.xml', 'LineAsString')":       denied,
			"SET readonly = 0": readonly,
		}},
		{"halo_erase", eraseAnn, map[string]int32{
			"SELECT ticket_id FROM outcomes_log":                   denied,
			"SELECT tenant_id FROM activities":                     denied,
			"INSERT INTO outcomes_log (tenant_id) VALUES ('acme')": denied,
			"ALTER TABLE outcomes_log ADD COLUMN subject String":   denied,
			"ALTER TABLE outcomes_log UPDATE user_id = '' WHERE 1": denied,
			"TRUNCATE TABLE outcomes_log":                          denied,
			"DROP TABLE outcomes_log":                              denied,
		}},
	} {
		ok := t.Run(r.role, func(t *testing.T) {
			dsn, conn := as(t, dir, r.role)
			r.work(t, dsn, conn)
			for statement, want := range r.refused {
				err := conn.Exec(t.Context(), statement)
				e, isOne := errors.AsType[*ch.Exception](err)
				if !isOne || e.Code != want {
					t.Errorf("%s: %v, want code %d", statement, err, want)
				}
			}
		})
		if !ok {
			return // whoever comes next lacks what this one was to do
		}
	}
}

// as starts an engine on dir whose user is in the role and nothing else, and
// ends it with t. The connection is one to the database, which may not be there.
func as(t *testing.T, dir, role string) (dsn string, conn driver.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	users := ""
	if role != "" {
		users = usersFile(t, role)
	}
	e, err := engine.Start(ctx, engine.Config{
		Dir: dir, Addr: "127.0.0.1:0", Library: os.Getenv("LIBCHDB_PATH"), Users: users,
	}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if conn, err = clickhouse.Open(e.DSN()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return e.DSN(), conn
}

// usersFile is what grants.sql says of one role as a users.xml, whose one user
// is in it.
func usersFile(t *testing.T, role string) string {
	t.Helper()
	var rights, filters, profile strings.Builder
	for _, s := range statements(read(t, "grants.sql")) {
		if m := grant.FindStringSubmatch(s); m != nil && m[4] == role {
			fmt.Fprintf(&rights, "<query>%s</query>", escape(strings.TrimSuffix(s, " TO "+role)))
		}
		if m := policy.FindStringSubmatch(s); m != nil && slices.Contains(strings.Split(m[4], ", "), role) {
			fmt.Fprintf(&filters, "<%s><filter>%s</filter></%[1]s>", m[2], escape(m[3]))
		}
		if m := bound.FindStringSubmatch(s); m != nil && slices.Contains(profiled(t), role) {
			profile.WriteString(settings(t, m[1]))
		}
	}
	if rights.Len() == 0 {
		t.Fatalf("role %s has no rights: this proves nothing", role)
	}
	// Whoever logs in may name the database that everybody knows; the embedded
	// engine has no log-in, and enters it by a statement, which is checked.
	rights.WriteString("<query>GRANT SHOW DATABASES ON default.*</query>")
	return fmt.Sprintf(`<clickhouse>
	<profiles><default>%s</default></profiles>
	<users><default>
		<password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
		<grants>%s</grants><databases><worksights>%s</worksights></databases>
	</default></users>
	<quotas><default/></quotas>
</clickhouse>`, &profile, &rights, &filters)
}

var (
	bound   = regexp.MustCompile(`(?s)^CREATE SETTINGS PROFILE OR REPLACE halo_analyst SETTINGS\s+(.+)\nTO `)
	setting = regexp.MustCompile(`^(\w+) = (\d+)(?: MIN (\d+) MAX (\d+))?( READONLY)?$`)
	members = regexp.MustCompile(`(?m)^ALTER SETTINGS PROFILE halo_analyst TO (.+)$`)
)

// profiled are the roles that the bounds of analysts are for.
func profiled(t *testing.T) []string {
	t.Helper()
	for _, s := range statements(read(t, "grants.sql")) {
		if m := members.FindStringSubmatch(s); m != nil {
			return strings.Split(m[1], ", ")
		}
	}
	t.Fatal("nobody has the profile halo_analyst")
	return nil
}

// settings are those of a profile, and their constraints, in the form of a
// users.xml.
func settings(t *testing.T, list string) string {
	t.Helper()
	var values, constraints strings.Builder
	for s := range strings.SplitSeq(list, ",") {
		m := setting.FindStringSubmatch(strings.TrimSpace(s))
		if m == nil {
			t.Fatalf("a setting that this test cannot read: %s", s)
		}
		fmt.Fprintf(&values, "<%s>%s</%[1]s>", m[1], m[2])
		fmt.Fprintf(&constraints, "<%s>", m[1])
		if m[3] != "" {
			fmt.Fprintf(&constraints, "<min>%s</min><max>%s</max>", m[3], m[4])
		}
		if m[5] != "" {
			constraints.WriteString("<readonly/>")
		}
		fmt.Fprintf(&constraints, "</%s>", m[1])
	}
	return values.String() + "<constraints>" + constraints.String() + "</constraints>"
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// migrate is what haloctl migrate does, the first time, again, and with another
// retention.
func migrate(t *testing.T, dsn string, _ driver.Conn) {
	for _, months := range []int{clickhouse.DefaultRetention, clickhouse.DefaultRetention, 13} {
		if err := clickhouse.Migrate(t.Context(), dsn, months, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
}

// grantDemo is what an administrator does, beside roles and policies: the table of
// who may see what, and a line in it.
func grantDemo(t *testing.T, _ string, conn driver.Conn) {
	for _, s := range statements(read(t, "grants.sql")) {
		if strings.HasPrefix(s, "CREATE TABLE") {
			if err := conn.Exec(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := conn.Exec(t.Context(), "INSERT INTO analyst_access VALUES ('default', 'demo'), ('jane', 'acme')"); err != nil {
		t.Fatal(err)
	}
}

// eraseAnn erases a person, and sees that nobody else's rows went.
func eraseAnn(t *testing.T, _ string, conn driver.Conn) {
	const others = "SELECT toString(count()) FROM outcomes_log WHERE NOT (tenant_id = 'acme' AND user_id IN ('ann', 'bob'))"
	before := column(t, conn, others)
	rows, err := clickhouse.NewEraser(conn).Erase(t.Context(), "acme", "ann", time.Now())
	if err != nil || rows == 0 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if d := diff(column(t, conn, "SELECT toString(count()) FROM outcomes_log WHERE tenant_id = 'acme' AND user_id = 'ann'"), []string{"0"}); d != "" {
		t.Error(d)
	}
	if d := diff(column(t, conn, others), before); d != "" {
		t.Error(d)
	}
	if _, err := clickhouse.NewEraser(conn).Gone(t.Context()); err != nil {
		t.Error(err)
	}
}

// fill appends as the sink does: the rows of the analysts' questions, and some
// of tenant demo.
func fill(t *testing.T, _ string, conn driver.Conn) {
	all := rows()
	all = slices.DeleteFunc(all, func(o sink.Outcome) bool { return o.Tenant != "acme" })
	for _, o := range all {
		o.Tenant = "demo"
		all = append(all, o)
	}
	if err := clickhouse.WaitReady(t.Context(), conn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := sink.NewClickHouse(conn).Append(t.Context(), storetest.Rows(all...)); err != nil {
		t.Fatal(err)
	}
}

// answer asks all that connect asks.
func answer(t *testing.T, _ string, conn driver.Conn) {
	read := timeline.New(conn, nil, nil, time.Now)
	since := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	activities, err := read.Timeline(t.Context(), "acme", control.Query{User: "ann", From: since, To: time.Now(), Limit: 100})
	if err != nil || len(activities) != 10 {
		t.Errorf("%d activities, %v", len(activities), err)
	}
	last, err := read.LastDelivery(t.Context(), "acme")
	if err != nil || last.IsZero() {
		t.Errorf("last delivery %v, %v", last, err)
	}
	spans, err := read.Arrivals(t.Context(), "acme", since)
	if err != nil || len(spans) < 10 {
		t.Errorf("arrivals in %d spans, %v", len(spans), err)
	}
	covered, err := read.Coverage(t.Context(), "acme", since)
	if err != nil || covered.Activities == 0 || covered.Skipped[schemas.Unmapped] != 2 {
		t.Errorf("coverage %+v, %v", covered, err)
	}
	for _, ask := range []func() (int, error){
		func() (int, error) { all, err := read.LastDeliveries(t.Context(), since); return len(all), err },
		func() (int, error) { all, err := read.AllUnmapped(t.Context(), since); return len(all), err },
	} {
		if n, err := ask(); err != nil || n == 0 {
			t.Errorf("%d tenants, %v", n, err)
		}
	}
}

// analyse runs each of the analysts' questions, and sees that rows are shown of
// these tenants and no others.
func analyse(tenants ...string) func(*testing.T, string, driver.Conn) {
	return func(t *testing.T, _ string, conn driver.Conn) {
		for name, sql := range queries(t) {
			p := ch.Parameters{
				"tenant": tenants[0], "user": "ann", "day": "2026-03-02", "zone": "UTC", "users": "['ann']", "closed": "[9]",
				"from": "2026-03-02", "to": "2026-03-16", "since": "2026-03-02",
			}
			if rows := ask(t, conn, sql, p); name == "a user's day" && len(rows) == 0 {
				t.Errorf("%s: nothing is shown", name)
			}
		}
		for _, relation := range []string{"outcomes_log", "activities", "skipped", "daily_activity"} {
			if d := diff(column(t, conn, "SELECT DISTINCT toString(tenant_id) AS tenant FROM "+relation+" ORDER BY tenant"), tenants); d != "" {
				t.Errorf("%s shows the rows of tenants %s", relation, d)
			}
		}
	}
}
