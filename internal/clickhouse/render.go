package clickhouse

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/worksights/halo-connector/schemas"
)

// ErrCluster says that a cluster has a name which we do not put into a statement.
var ErrCluster = errors.New("not the name of a cluster: want letters, digits, '_', '.' and '-', at most 64, or such a name in braces for a macro")

var clusterName = regexp.MustCompile(`\A(?:[A-Za-z0-9_.-]{1,64}|\{[A-Za-z0-9_.-]{1,64}\})\z`)

// CheckCluster refuses what is no cluster's name; "" is none, and fine.
func CheckCluster(name string) error {
	if name != "" && !clusterName.MatchString(name) {
		return ErrCluster
	}
	return nil
}

// layout is how a database keeps its copies. There is one text of each
// migration, the file; a layout changes the two places in which copies show, and
// [layout.of] of the plain one is the file, byte by byte.
type layout struct {
	cluster    string // ON CLUSTER: every host has the database for itself
	replicated bool   // a database of engine Replicated: it hands on what it is told, and knows the paths
}

// The paths of replicas in the keeper. They are written out so that they do not
// depend on a server's defaults; {database} keeps two installations apart.
//
// outcomes_log has a path for each shard, of which there is one. The ledger is
// one table for all hosts, whatever shard they think they are in.
const (
	tablePath  = `'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'`
	ledgerPath = `'/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}'`
)

var (
	created = regexp.MustCompile(`(?m)^CREATE (DATABASE|TABLE|VIEW) IF NOT EXISTS (\S+)`)
	folding = regexp.MustCompile(`(?m)^ENGINE = ReplacingMergeTree(?:\((\w+)\))?`)
)

func (l layout) of(statement, paths string) string {
	if l.cluster != "" {
		statement = created.ReplaceAllString(statement, "CREATE $1 IF NOT EXISTS $2 ON CLUSTER '"+l.cluster+"'")
	}
	if l.cluster == "" && !l.replicated {
		return statement
	}
	return folding.ReplaceAllStringFunc(statement, func(engine string) string {
		version := folding.FindStringSubmatch(engine)[1]
		var args []string
		if l.cluster != "" {
			args = append(args, paths)
		}
		if version != "" {
			args = append(args, version)
		}
		return "ENGINE = ReplicatedReplacingMergeTree(" + strings.Join(args, ", ") + ")"
	})
}

// ledger is the table of what was applied. Two Migrates that run at once
// record a migration twice; the table folds that.
const ledger = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    version    UInt32,
    name       String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY version
`

func createDatabaseStatement(name string) string {
	return "CREATE DATABASE IF NOT EXISTS " + quoteName(name)
}

func retentionStatement(months int) string {
	return fmt.Sprintf("ALTER TABLE outcomes_log MODIFY TTL toDateTime(received_at) + toIntervalMonth(%d)", months)
}

// Print writes the statements that [Migration.Apply] would send to an empty server, for
// one who runs them himself. It connects nowhere.
func (m Migration) Print(w io.Writer) error {
	if err := m.check(); err != nil {
		return err
	}
	name, err := Database(m.DSN)
	if err != nil {
		return err
	}
	steps, err := migrations()
	if err != nil {
		return err
	}
	l := layout{cluster: m.Cluster}
	all := []string{l.of(createDatabaseStatement(name), ""), "USE " + quoteName(name), l.of(ledger, ledgerPath)}
	for _, s := range steps {
		all = append(all, l.of(s.statement, tablePath),
			fmt.Sprintf("INSERT INTO schema_migrations (version, name) VALUES (%d, '%s')", s.version, s.name))
	}
	for _, s := range append(all, retentionStatement(m.Months)) {
		if _, err := fmt.Fprintf(w, "%s;\n\n", strings.TrimRight(s, "\n")); err != nil {
			return err
		}
	}
	return nil
}

func quoteName(name string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}

type migration struct {
	version   uint32
	name      string
	statement string
	makes     string // the table or view that it creates
	view      bool
}

// migrations are the embedded ones, in order.
func migrations() ([]migration, error) {
	files, err := fs.Glob(schemas.Migrations, "clickhouse/*.sql") // sorted by name
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".sql")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseUint(number, 10, 32)
		if err != nil || version != uint64(i+1) {
			return nil, fmt.Errorf("migration %s: want the number %04d", name, i+1)
		}
		body, err := schemas.Migrations.ReadFile(file)
		if err != nil {
			return nil, err
		}
		makes := created.FindStringSubmatch(string(body))
		if makes == nil {
			return nil, fmt.Errorf("migration %s creates nothing that could be looked for afterwards", name)
		}
		all = append(all, migration{uint32(version), name, string(body), makes[2], makes[1] == "VIEW"})
	}
	return all, nil
}
