package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

func migrated(t *testing.T, environ []string, args ...string) (status int, out string) {
	t.Helper()
	var b strings.Builder
	s := &streams{in: strings.NewReader(""), out: &b, err: &b, environ: environ}
	status = run(context.Background(), s, append([]string{"migrate"}, args...))
	return status, b.String()
}

// The address is nobody's: whoever dialled it would fail.
const nobody = "CLICKHOUSE_DSN=http://u:hunter2@127.0.0.1:1/worksights"

func TestMigratePrintWritesTheStatementsAndConnectsNowhere(t *testing.T) {
	for cluster, want := range map[string]string{
		"":          "CREATE TABLE IF NOT EXISTS outcomes_log\n",
		"main-1.eu": "CREATE TABLE IF NOT EXISTS outcomes_log ON CLUSTER 'main-1.eu'\n",
		"{cluster}": "CREATE VIEW IF NOT EXISTS activities ON CLUSTER '{cluster}' AS\n",
	} {
		status, out := migrated(t, []string{nobody, "CLICKHOUSE_CLUSTER=" + cluster, "RETENTION_MONTHS=13"}, "--print")
		if status != exitOK || !strings.Contains(out, want) || !strings.Contains(out, "toIntervalMonth(13)") || strings.Contains(out, "hunter2") {
			t.Errorf("cluster %q: status %d, no %q in\n%s", cluster, status, want, out)
		}
	}
}

func TestAClusterOfAnOddNameIsRefused(t *testing.T) {
	for _, cluster := range []string{"a b", "x'; DROP TABLE outcomes_log", "`a`", "{}", "{a}b", "{a", "ä", strings.Repeat("a", 65), "a\n"} {
		if status, out := migrated(t, []string{nobody, "CLICKHOUSE_CLUSTER=" + cluster}, "--print"); status != exitUsage || !strings.Contains(out, "CLICKHOUSE_CLUSTER") {
			t.Errorf("%q: status %d, %s", cluster, status, out)
		}
	}
}

// Status 4 tells a script to try again: only what time mends has it.
func TestTheStatusOfMigrateSaysWhetherARepeatHelps(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-ClickHouse-Exception-Code", "516")
		http.Error(w, "Code: 516. DB::Exception: private: Authentication failed. (AUTHENTICATION_FAILED)", http.StatusForbidden)
	}))
	defer refusing.Close()
	dsn := clickhousetest.DSN(t)
	if status, out := migrated(t, []string{"CLICKHOUSE_DSN=" + dsn}); status != exitOK || !strings.Contains(out, "25 months") {
		t.Fatalf("status %d, %s", status, out)
	}
	conn, err := clickhouse.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	long := time.Now().AddDate(-1, 0, 0).UTC().Format(time.DateOnly)
	if err := conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO outcomes_log (tenant_id, event_time, received_at) SELECT 'acme', '%[1]s', '%[1]s' FROM numbers(7)", long)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dsn, months string
		args              []string
		status            int
		want              string
	}{
		{"nobody is there", "http://127.0.0.1:1/worksights", "25", nil, exitUnavailable, "refused"},
		{"a wrong password", refusing.URL + "/worksights", "25", nil, exitFailed, "AUTHENTICATION_FAILED"},
		{"rows would be deleted", dsn, "6", nil, exitUsage, "deletes 1 rows"},
		{"and may be", dsn, "6", []string{"--yes"}, exitOK, "6 months"},
	} {
		status, out := migrated(t, []string{"CLICKHOUSE_DSN=" + c.dsn, "RETENTION_MONTHS=" + c.months}, c.args...)
		if status != c.status || !strings.Contains(out, c.want) || strings.Contains(out, "private") {
			t.Errorf("%s: status %d, %s", c.name, status, out)
		}
	}
}
