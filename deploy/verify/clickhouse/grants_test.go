package clickhouse

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhousetest"
)

var passwords = ch.Parameters{
	"migrate_password": "m", "sink_password": "s", "connect_password": "c", "erase_password": "e", "analyst_password": "a",
}

// TestTheEngineReadsEveryStatementAboutRights has ClickHouse's parser read them,
// those too that the embedded engine cannot carry out: it keeps no users.
func TestTheEngineReadsEveryStatementAboutRights(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	for _, file := range []string{"grants.sql", "users.sql"} {
		all := statements(read(t, file))
		if len(all) < 10 {
			t.Fatalf("%s: %d statements: this proves nothing", file, len(all))
		}
		for _, s := range all {
			if err := parse(t, conn, s); err != nil {
				t.Errorf("%s: %v\n%s", file, err, s)
			}
		}
	}
	if parse(t, conn, "GRANT NONSENSE ON worksights.outcomes_log TO halo_sink") == nil {
		t.Error("the engine reads a right that there is none of: this proves nothing")
	}
}

func parse(t *testing.T, conn driver.Conn, statement string) error {
	t.Helper()
	rows, err := conn.Query(ch.Context(t.Context(), ch.WithParameters(passwords)), "EXPLAIN AST "+statement)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
	}
	return rows.Err()
}

var (
	grant  = regexp.MustCompile(`(?s)^GRANT (.+) ON (\S+)\.(\S+) TO (\w+)$`)
	role   = regexp.MustCompile(`^CREATE ROLE IF NOT EXISTS (\w+)$`)
	policy = regexp.MustCompile(`(?s)^CREATE ROW POLICY OR REPLACE \w+ ON (\S+)\.(\S+)\s+FOR SELECT USING (.+) TO (.+)$`)
	member = regexp.MustCompile(`^GRANT (\w+) TO (\w+)$`)
)

func TestGrantsNameWhatIsThere(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	for _, s := range statements(read(t, "grants.sql")) {
		if strings.HasPrefix(s, "CREATE TABLE") {
			if err := conn.Exec(t.Context(), strings.ReplaceAll(s, "worksights.", "")); err != nil {
				t.Fatal(err)
			}
		}
	}
	tables := column(t, conn, "SELECT name FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE '.%'")
	roles, policed := map[string]bool{}, map[string]bool{}
	all := statements(read(t, "grants.sql"))
	for _, s := range all {
		if m := role.FindStringSubmatch(s); m != nil {
			roles[m[1]] = true
		}
	}
	for _, s := range all {
		switch {
		case grant.MatchString(s):
			m := grant.FindStringSubmatch(s)
			known := m[2] == "worksights" && (m[3] == "*" || slices.Contains(tables, m[3])) || m[2] == "system" || m[1] == "CLUSTER"
			if !known {
				t.Errorf("there is no %s.%s: %s", m[2], m[3], s)
			}
			if !roles[m[4]] {
				t.Errorf("there is no role %s: %s", m[4], s)
			}
			if strings.Contains(m[1], "ALL") || strings.Contains(m[1], "DROP TABLE") || strings.Contains(m[1], "TRUNCATE") {
				t.Errorf("nobody needs as much: %s", s)
			}
		case policy.MatchString(s):
			m := policy.FindStringSubmatch(s)
			// The condition is one over the columns of the table.
			if got := column(t, conn, "SELECT toString(count()) FROM "+m[2]+" WHERE "+strings.ReplaceAll(m[3], "worksights.", "")); len(got) != 1 {
				t.Errorf("%s: %v", s, got)
			}
			for r := range strings.SplitSeq(m[4], ", ") {
				if !roles[r] {
					t.Errorf("there is no role %s: %s", r, s)
				}
				policed[r] = true
			}
		case strings.HasPrefix(s, "GRANT"):
			t.Errorf("a grant that this test cannot read: %s", s)
		}
	}
	// A reader whom no policy names may be shown nothing.
	for _, s := range all {
		if m := grant.FindStringSubmatch(s); m != nil && strings.HasPrefix(m[1], "SELECT") && m[2] == "worksights" && !policed[m[4]] {
			t.Errorf("role %s reads, and no row policy says what", m[4])
		}
	}
	for _, s := range statements(read(t, "users.sql")) {
		if m := member.FindStringSubmatch(s); m != nil && !roles[m[1]] {
			t.Errorf("there is no role %s: %s", m[1], s)
		}
	}
}

// TestNobodyMayDoMoreThanHisStageDoes holds the whole list of rights: whoever
// adds one says so here.
func TestNobodyMayDoMoreThanHisStageDoes(t *testing.T) {
	got := map[string][]string{}
	for _, s := range statements(read(t, "grants.sql")) {
		if m := grant.FindStringSubmatch(s); m != nil {
			got[m[4]] = append(got[m[4]], m[1]+" "+m[3])
		}
	}
	reads := []string{"SELECT outcomes_log", "SELECT activities", "SELECT skipped", "SELECT daily_activity"}
	want := map[string][]string{
		"halo_migrate": {
			"CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP VIEW *", "ALTER ADD COLUMN, ALTER TTL outcomes_log", "SELECT *", "INSERT schema_migrations",
			"SELECT mutations", "SELECT replicas", "CLUSTER *",
		},
		"halo_sink":    {"INSERT outcomes_log", "SELECT replicas"},
		"halo_connect": reads[:3],
		"halo_erase": {
			"ALTER DELETE outcomes_log", "SELECT(tenant_id, user_id, event_time, activity_id, version, received_at) outcomes_log", "SELECT mutations", "SELECT parts",
		},
		"halo_analyst":         reads,
		"halo_analyst_tenants": append(slices.Clone(reads), "SELECT analyst_access"),
	}
	for r, rights := range want {
		if d := diff(got[r], rights); d != "" {
			t.Errorf("%s: %s", r, d)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d roles have rights, %d are known here", len(got), len(want))
	}
}

func TestTheBoundsOfAnalystsCannotBeLifted(t *testing.T) {
	i := slices.IndexFunc(statements(read(t, "grants.sql")), func(s string) bool { return strings.HasPrefix(s, "CREATE SETTINGS PROFILE") })
	profile := statements(read(t, "grants.sql"))[i]
	for _, setting := range []string{"max_execution_time", "max_memory_usage", "max_threads"} {
		if !regexp.MustCompile(setting + ` = \d+ MIN [1-9]\d* MAX [1-9]`).MatchString(profile) {
			t.Errorf("%s has no bounds", setting)
		}
	}
	if !strings.Contains(profile, "readonly = 2 READONLY") {
		t.Error("analysts could write, or make themselves able to")
	}
}

// TestEveryAnalystHasBounds: the last list of a profile or quota is the one that
// holds, whatever was in those before it.
func TestEveryAnalystHasBounds(t *testing.T) {
	analysts, last := []string{}, map[string][]string{}
	for _, s := range statements(read(t, "grants.sql")) {
		if m := role.FindStringSubmatch(s); m != nil && strings.HasPrefix(m[1], "halo_analyst") {
			analysts = append(analysts, m[1])
		}
		if m := audience.FindStringSubmatch(s); m != nil {
			last[m[1]] = strings.Split(m[2], ", ")
		}
	}
	for _, what := range []string{"SETTINGS PROFILE", "QUOTA"} {
		for _, r := range analysts {
			if !slices.Contains(last[what], r) {
				t.Errorf("%s is not in the last list of the %s", r, what)
			}
		}
	}
	if len(analysts) < 2 {
		t.Errorf("%v: this proves nothing", analysts)
	}
}

var audience = regexp.MustCompile(`(?s)^(?:CREATE|ALTER) (SETTINGS PROFILE|QUOTA) .*\bTO ([\w, ]+)$`)

// column is the one column of a query's answer.
func column(t *testing.T, conn driver.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	return table(t, rows, err)
}
