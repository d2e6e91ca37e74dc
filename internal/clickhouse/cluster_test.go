package clickhouse_test

import (
	"strings"
	"testing"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
)

// No server with replicas is at hand: the engine's own parser reads what such a
// one would be sent.
func TestTheEngineReadsWhatAClusterIsSent(t *testing.T) {
	conn := open(t, clickhousetest.DSN(t))
	for _, cluster := range []string{"", "main-1.eu", "{cluster}"} {
		var out strings.Builder
		m := clickhouse.Migration{DSN: "http://127.0.0.1:1/worksights", Months: 25, Cluster: cluster}
		if err := m.Print(&out); err != nil {
			t.Fatal(err)
		}
		statements := strings.Split(out.String(), ";\n\n")
		if len(statements) < 12 {
			t.Fatalf("%d statements: this proves nothing", len(statements))
		}
		on := 0
		for _, s := range statements[:len(statements)-1] {
			var formatted string
			if err := conn.QueryRow(t.Context(), "SELECT formatQuery($1)", s).Scan(&formatted); err != nil {
				t.Errorf("cluster %q: %v\n%s", cluster, clickhouse.Redact(err), s)
			}
			if strings.Contains(formatted, "ON CLUSTER `"+cluster+"`") || strings.Contains(formatted, "ON CLUSTER "+cluster) {
				on++
			}
		}
		if cluster != "" && on != 6 {
			t.Errorf("cluster %q: the engine finds it in %d statements, want the database, the ledger and four more", cluster, on)
		}
	}
}

func TestATableWithoutReplicasHasOneCopy(t *testing.T) {
	c, err := clickhouse.Replicas(t.Context(), clickhousetest.Migrated(t))
	if err != nil || c.Total != 1 || c.Active != 1 || len(c.Missing) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}
