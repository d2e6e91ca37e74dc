package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/schemas"
)

// The bounds of a retention in months. Beyond twenty years the end of a row's
// life no longer fits the type in which ClickHouse computes it (2106).
const (
	DefaultRetention = 25 // two full years and the month that is not over yet
	maxRetention     = 240
)

// ErrRetention says that a retention is out of range.
var ErrRetention = errors.New("retention is not 1 to 240 months")

// Migrate brings the database that dsn names up to date: it makes the database
// where it is missing, applies the migrations that are not recorded in
// schema_migrations, and sets how many months rows are kept.
//
// It may run at any time, beside running sinks, beside another Migrate, and
// again after one that died: every migration may be applied twice, and is
// recorded after it is done. A shorter retention removes rows for good, some
// time within the next days.
func Migrate(ctx context.Context, dsn string, retentionMonths int, log *slog.Logger) error {
	if retentionMonths < 1 || retentionMonths > maxRetention {
		return ErrRetention
	}
	if err := createDatabase(ctx, dsn); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	conn, err := Open(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := apply(ctx, conn, log); err != nil {
		return err
	}
	if err := retain(ctx, conn, retentionMonths, log); err != nil {
		return fmt.Errorf("set the retention: %w", err)
	}
	return nil
}

// createDatabase connects to the database "default", which every server has:
// one that does not exist yet cannot be connected to.
func createDatabase(ctx context.Context, dsn string) error {
	opts, err := options(dsn)
	if err != nil {
		return err
	}
	name := opts.Auth.Database
	if name == "default" {
		return nil
	}
	opts.Auth.Database = "default"
	conn, err := ch.Open(opts)
	if err != nil {
		return ErrDSN
	}
	defer func() { _ = conn.Close() }()
	// Asked first, so that a user who may not create databases can migrate one
	// that was made for him.
	var there uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = $1", name).Scan(&there); err != nil {
		return Redact(err)
	}
	if there > 0 {
		return nil
	}
	return Redact(conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+quoteName(name)))
}

func quoteName(name string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}

// ledger is the table of what was applied. Two Migrates that run at once
// record a migration twice; the table folds that.
const ledger = `
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version    UInt32,
    name       String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY version`

func apply(ctx context.Context, conn driver.Conn, log *slog.Logger) error {
	if err := conn.Exec(ctx, ledger); err != nil {
		return fmt.Errorf("create schema_migrations: %w", Redact(err))
	}
	done, err := applied(ctx, conn)
	if err != nil {
		return fmt.Errorf("read schema_migrations: %w", err)
	}
	steps, err := migrations()
	if err != nil {
		return err
	}
	for _, m := range steps {
		if done[m.version] {
			continue
		}
		if err := conn.Exec(ctx, m.statement); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, Redact(err))
		}
		if err := conn.Exec(ctx, "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)", m.version, m.name); err != nil {
			return fmt.Errorf("record migration %s: %w", m.name, Redact(err))
		}
		log.InfoContext(ctx, "migration applied", "migration", m.name)
	}
	return nil
}

func applied(ctx context.Context, conn driver.Conn) (map[uint32]bool, error) {
	rows, err := conn.Query(ctx, "SELECT DISTINCT version FROM schema_migrations")
	if err != nil {
		return nil, Redact(err)
	}
	defer func() { _ = rows.Close() }()
	done := make(map[uint32]bool)
	for rows.Next() {
		var v uint32
		if err := rows.Scan(&v); err != nil {
			return nil, Redact(err)
		}
		done[v] = true
	}
	return done, Redact(rows.Err())
}

type migration struct {
	version   uint32
	name      string
	statement string
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
		all = append(all, migration{uint32(version), name, string(body)})
	}
	return all, nil
}

// retain sets the TTL where it is not what it should be. ALTER is not free even
// if nothing changes: it looks at every part again.
func retain(ctx context.Context, conn driver.Conn, months int, log *slog.Logger) error {
	var engine string
	err := conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes_log'").Scan(&engine)
	if err != nil {
		return Redact(err)
	}
	if strings.Contains(engine, fmt.Sprintf("TTL toDateTime(received_at) + toIntervalMonth(%d) ", months)) {
		return nil
	}
	if err := conn.Exec(ctx, fmt.Sprintf("ALTER TABLE outcomes_log MODIFY TTL toDateTime(received_at) + toIntervalMonth(%d)", months)); err != nil {
		return Redact(err)
	}
	log.InfoContext(ctx, "retention set", "months", months)
	return nil
}
