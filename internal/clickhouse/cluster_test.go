package clickhouse_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/internal/embedded/engine"
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

// One engine with macros and a keeper in its memory is as far as a server with
// replicas can be had here: it makes the replicated tables and knows its replica,
// which stays read-only for want of an address for others.
func TestAReplicaThatStaysReadOnlyIsNamedAndAnInsertWaits(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := engine.Start(ctx, engine.Config{Dir: t.TempDir(), Addr: "127.0.0.1:0", Library: os.Getenv("LIBCHDB_PATH"), Extra: `
		<zookeeper><implementation>testkeeper</implementation></zookeeper>
		<macros><shard>01</shard><replica>eu-1</replica><cluster>main</cluster></macros>`}, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if err := open(t, strings.Replace(e.DSN(), "/worksights", "/default", 1)).Exec(ctx, "CREATE DATABASE worksights"); err != nil {
		t.Fatal(err)
	}
	conn := open(t, e.DSN())
	for _, s := range clickhouse.ReplicatedStatements("{cluster}") {
		if err := conn.Exec(ctx, s); err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
	}
	if paths := one[string](t, conn, "SELECT arrayStringConcat(arraySort(groupArray(zookeeper_path || ' ' || replica_name)), ', ') FROM system.replicas"); paths !=
		"/clickhouse/tables/01/worksights/outcomes_log eu-1, /clickhouse/tables/all/worksights/schema_migrations 01-eu-1" {
		t.Errorf("the replicas are %s", paths)
	}
	c, err := clickhouse.Replicas(ctx, conn)
	if err != nil || c.Total != 1 || c.Active != 0 || !slices.Equal(c.Missing, []string{"eu-1"}) {
		t.Errorf("%+v, %v; want that eu-1 is missing", c, err)
	}
	err = conn.Exec(clickhouse.Insert(ctx, "one"), "INSERT INTO outcomes_log (tenant_id) VALUES ('acme')")
	if clickhouse.ClassOf(err) != clickhouse.Unavailable {
		t.Errorf("an insert into a replica that is read-only: %v, of class %s", err, clickhouse.ClassOf(err))
	}
}

func TestATableWithoutReplicasHasOneCopy(t *testing.T) {
	c, err := clickhouse.Replicas(t.Context(), clickhousetest.Migrated(t))
	if err != nil || c.Total != 1 || c.Active != 1 || len(c.Missing) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}
