package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ErrSchema says that the database has a table or view of ours that is not what
// the migrations make, and that cannot be mended without losing something.
var ErrSchema = errors.New("the schema is not ours")

// defect is what a table or view lacks; "" where it is as its migration makes it.
type defect string

const missing defect = "it is not there"

// look compares what a migration makes with what the server has. An answer to
// the statement proves less than a look: a proxy may have given it.
func look(ctx context.Context, conn driver.Conn, m migration) (defect, error) {
	var engine, key string
	n, err := each(ctx, conn, "SELECT engine, sorting_key FROM system.tables WHERE database = currentDatabase() AND name = $1",
		func(rows driver.Rows) error { return rows.Scan(&engine, &key) }, m.makes)
	switch {
	case err != nil:
		return "", err
	case n == 0:
		return missing, nil
	case m.view && engine != "View":
		return defect("it is a table of engine " + engine), nil
	case !m.view && !strings.HasSuffix(engine, "ReplacingMergeTree"):
		return defect("its engine is " + engine), nil
	case !m.view && key != sortedBy(m.statement):
		return defect("it is sorted by " + key), nil
	}
	want := plainColumns(m.statement)
	if m.view {
		if want, err = columnsOf(ctx, conn, "DESCRIBE TABLE ("+selectOf(m.statement)+")"); err != nil {
			return "", err
		}
	}
	have, err := columnsOf(ctx, conn, "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = $1 ORDER BY position", m.makes)
	if err != nil {
		return "", err
	}
	types := make(map[string]string)
	for _, c := range have {
		types[c.name] = c.typ
	}
	for _, c := range want {
		switch have, ok := types[c.name]; {
		case !ok:
			return defect("it has no column " + c.name), nil
		case have != c.typ:
			return defect("its column " + c.name + " is of type " + have), nil
		}
	}
	if m.view && len(have) != len(want) {
		return defect("it has other columns"), nil
	}
	return "", nil
}

// mend brings what is there and is not right to what it should be, where no row
// is lost by it: a view is made anew, a table is given the columns that it lacks.
func mend(ctx context.Context, conn driver.Conn, m migration, l layout) error {
	if m.view {
		return l.exec(ctx, conn, strings.Replace(l.of(m.statement, tablePath), "CREATE VIEW IF NOT EXISTS", "CREATE OR REPLACE VIEW", 1))
	}
	after := ""
	for _, line := range columnLine.FindAllStringSubmatch(m.statement, -1) {
		on := ""
		if l.cluster != "" {
			on = " ON CLUSTER '" + l.cluster + "'"
		}
		if err := l.exec(ctx, conn, "ALTER TABLE "+m.makes+on+" ADD COLUMN IF NOT EXISTS "+line[1]+" "+line[2]+after); err != nil {
			return err
		}
		after = " AFTER " + line[1]
	}
	return nil
}

// columnLine is a column in a file: four blanks, its name, its type and what
// else is said of it.
var columnLine = regexp.MustCompile(`(?m)^    ([a-z_]+) +([A-Z].*?),?$`)

type column struct{ name, typ string }

func plainColumns(statement string) (all []column) {
	for _, line := range columnLine.FindAllStringSubmatch(statement, -1) {
		typ := line[2]
		for _, more := range []string{" CODEC", " MATERIALIZED", " DEFAULT"} {
			typ, _, _ = strings.Cut(typ, more)
		}
		all = append(all, column{line[1], typ})
	}
	return all
}

func sortedBy(statement string) string {
	m := regexp.MustCompile(`(?m)^ORDER BY \(?([^)\n]+)`).FindStringSubmatch(statement)
	if m == nil {
		return ""
	}
	return m[1]
}

// selectOf is the query of a view.
func selectOf(statement string) string {
	_, query, _ := strings.Cut(statement[strings.Index(statement, "CREATE VIEW"):], " AS\n")
	return query
}

func columnsOf(ctx context.Context, conn driver.Conn, query string, args ...any) (all []column, err error) {
	_, err = each(ctx, conn, query, func(rows driver.Rows) error {
		var c column
		into := []any{&c.name, &c.typ}
		for range len(rows.Columns()) - len(into) {
			into = append(into, new(string)) // what DESCRIBE says beside them
		}
		err := rows.Scan(into...)
		all = append(all, c)
		return err
	}, args...)
	return all, err
}

// each reads the rows of a query and says how many there were.
func each(ctx context.Context, conn driver.Conn, query string, scan func(driver.Rows) error, args ...any) (n int, err error) {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return 0, Redact(err)
	}
	defer func() { _ = rows.Close() }()
	for ; rows.Next(); n++ {
		if err := scan(rows); err != nil {
			return n, Redact(err)
		}
	}
	return n, Redact(rows.Err())
}

// wrong is a defect as an error.
func (d defect) wrong(what string) error { return fmt.Errorf("%w: %s: %s", ErrSchema, what, string(d)) }
