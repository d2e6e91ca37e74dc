// Package clickhouse holds deploy/clickhouse to the engine: every query is run
// on rows whose answers are known, every statement about rights is read by
// ClickHouse's own parser, what it names must be in the migrated schema, and each
// role does its work under its rights and is refused what is not its work.
//
// Where TEST_CLICKHOUSE_DSN names a server, the queries run there.
package clickhouse

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhousetest"
)

const folder = "../../clickhouse/"

func TestMain(m *testing.M) { clickhousetest.Main(m) }

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(folder + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var comment = regexp.MustCompile(`(?m)^\s*--.*$`)

// statements splits a file at semicolons, comments left out. None of our files
// has a semicolon in a string.
func statements(text string) []string {
	var all []string
	for s := range strings.SplitSeq(comment.ReplaceAllString(text, ""), ";") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// table reads the whole answer to a query as one line of text per row.
func table(t *testing.T, rows driver.Rows, err error) []string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var lines []string
	for rows.Next() {
		values := make([]any, len(rows.ColumnTypes()))
		for i, c := range rows.ColumnTypes() {
			values[i] = newValue(c)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		fields := make([]string, len(values))
		for i, v := range values {
			fields[i] = text(v)
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func diff(got, want []string) string {
	if len(got) == len(want) {
		same := true
		for i := range got {
			same = same && got[i] == want[i]
		}
		if same {
			return ""
		}
	}
	return fmt.Sprintf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
}
