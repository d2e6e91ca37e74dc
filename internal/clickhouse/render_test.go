package clickhouse

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/schemas"
)

func TestOnOneServerAMigrationIsItsFileByteByByte(t *testing.T) {
	files, err := filepath.Glob("../../schemas/clickhouse/*.sql")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	all, err := migrations()
	if err != nil || len(all) != len(files) {
		t.Fatalf("%d migrations, %v", len(all), err)
	}
	for i, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := (layout{}).of(all[i].statement, tablePath); got != string(want) {
			t.Errorf("%s: differs from its file", all[i].name)
		}
		embedded, err := schemas.Migrations.ReadFile("clickhouse/" + filepath.Base(file))
		if err != nil || string(embedded) != string(want) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestOnAClusterEveryMigrationIsForAllHostsAndEveryTableAReplica(t *testing.T) {
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []layout{{cluster: "main"}, {cluster: "{cluster}"}} {
		tables := 0
		for _, text := range append([]string{l.of(ledger, ledgerPath)}, rendered(l, all)...) {
			if strings.Count(text, "ON CLUSTER '"+l.cluster+"'") != 1 {
				t.Errorf("not for all hosts: %s", text)
			}
			if strings.Contains(text, "\nENGINE = ") {
				tables++
				if !strings.Contains(text, "\nENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/") || !strings.Contains(text, "{replica}'") {
					t.Errorf("no replica with a path of its own: %s", text)
				}
			}
		}
		if tables != 2 {
			t.Errorf("%d tables, want outcomes_log and the ledger", tables)
		}
	}
	for _, text := range rendered(layout{replicated: true}, all) {
		if strings.Contains(text, "ON CLUSTER") || strings.Contains(text, "/clickhouse/") || strings.Contains(text, "\nENGINE = ReplacingMergeTree") {
			t.Errorf("a Replicated database hands on what it is told and knows the paths: %s", text)
		}
	}
}

func rendered(l layout, all []migration) (texts []string) {
	for _, m := range all {
		texts = append(texts, l.of(m.statement, tablePath))
	}
	return texts
}
