package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Migration is what a database is to become.
type Migration struct {
	DSN     string
	Months  int    // how long rows are kept
	Cluster string // whose hosts all get it; "" for one server
	// MayDelete lets a shorter retention remove rows, some time within the next
	// days and for good. Without it such a change ends in [WouldDelete].
	MayDelete bool
}

// Done is what a migration came to.
type Done struct {
	// Rewriting is how many parts ClickHouse is still rewriting in the background
	// after a change. Nothing has to wait for it.
	Rewriting int64
}

func (m Migration) check() error {
	if m.Months < 1 || m.Months > maxRetention {
		return ErrRetention
	}
	return CheckCluster(m.Cluster)
}

// Migrate brings the database that dsn names, on one server, up to date. It
// deletes nothing.
func Migrate(ctx context.Context, dsn string, retentionMonths int, log *slog.Logger) error {
	_, err := Migration{DSN: dsn, Months: retentionMonths}.Apply(ctx, log)
	return err
}

// Apply brings the database up to date. What it does, in order:
//
//  1. makes the database where it is missing, and the ledger schema_migrations;
//  2. for each migration: carries it out unless it is recorded, looks at what
//     the server then has, mends it where that is not what the migration makes,
//     and records it;
//  3. sets how many months rows are kept;
//  4. waits for replicas.
//
// It may run at any time, beside running sinks, beside another Apply, and again
// after one that died between any two steps: every migration may be carried out
// twice, and is recorded after it was seen to be done. One that is recorded is
// looked at all the same: whoever repeats Apply has a database in order, or an
// error that says what is not.
func (m Migration) Apply(ctx context.Context, log *slog.Logger) (Done, error) {
	if err := m.check(); err != nil {
		return Done{}, err
	}
	conn, err := m.open(ctx)
	if err != nil {
		return Done{}, err
	}
	defer func() { _ = conn.Close() }()
	l, err := layoutOf(ctx, conn, m.Cluster)
	if err != nil {
		return Done{}, fmt.Errorf("look at the database: %w", err)
	}
	if err := m.steps(ctx, conn, l, log); err != nil {
		return Done{}, err
	}
	if err := retain(ctx, conn, m.Months, m.MayDelete, log); err != nil {
		return Done{}, fmt.Errorf("set the retention: %w", err)
	}
	if l != (layout{}) {
		if err := awaitReplicas(ctx, conn); err != nil {
			return Done{}, err
		}
	}
	parts, err := settled(ctx, conn)
	return Done{Rewriting: parts}, err
}

// open connects to the database, which it makes where it is missing. There is
// one connection, and so one host: what was written there is read there.
func (m Migration) open(ctx context.Context) (driver.Conn, error) {
	opts, err := options(m.DSN)
	if err != nil {
		return nil, err
	}
	opts.MaxOpenConns, opts.MaxIdleConns = 1, 1
	conn, err := ch.Open(opts)
	if err != nil {
		return nil, ErrDSN
	}
	// Tried first, so that a user who may not create databases can migrate one
	// that was made for him.
	var there uint64
	err = Redact(conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = currentDatabase()").Scan(&there))
	if err == nil && there > 0 {
		return conn, nil
	}
	_ = conn.Close()
	if e := (*Error)(nil); err != nil && (!errors.As(err, &e) || e.Code != unknownDatabase) {
		return nil, err
	}
	// One that does not exist cannot be connected to. The database "default" may
	// be missing too; "system" never is.
	name := opts.Auth.Database
	opts.Auth.Database = "system"
	first, err := ch.Open(opts)
	if err != nil {
		return nil, ErrDSN
	}
	defer func() { _ = first.Close() }()
	l := layout{cluster: m.Cluster}
	if err := l.exec(ctx, first, l.of(createDatabaseStatement(name), "")); err != nil {
		return nil, fmt.Errorf("create the database: %w", err)
	}
	opts.Auth.Database = name
	return ch.Open(opts)
}

const unknownDatabase = 81

func (m Migration) steps(ctx context.Context, conn driver.Conn, l layout, log *slog.Logger) error {
	if err := l.exec(ctx, conn, l.of(ledger, ledgerPath)); err != nil {
		return fmt.Errorf("create schema_migrations: %w", err)
	}
	done, err := applied(ctx, conn, l)
	if err != nil {
		return fmt.Errorf("read schema_migrations: %w", err)
	}
	all, err := migrations()
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := m.step(ctx, conn, l, s, done[s.version], log); err != nil {
			return fmt.Errorf("migration %s: %w", s.name, err)
		}
	}
	// What was recorded is in the ledger, or the next one starts from nothing.
	if done, err = applied(ctx, conn, l); err != nil {
		return fmt.Errorf("read schema_migrations: %w", err)
	}
	for _, s := range all {
		if !done[s.version] {
			return &Error{Class: Unavailable, Name: "migration " + s.name + " is done, and its record was answered and not kept"}
		}
	}
	return nil
}

func (m Migration) step(ctx context.Context, conn driver.Conn, l layout, s migration, recorded bool, log *slog.Logger) error {
	if !recorded {
		if err := l.exec(ctx, conn, l.of(s.statement, tablePath)); err != nil {
			return err
		}
	}
	found, err := look(ctx, conn, s)
	if err != nil {
		return err
	}
	if found != "" {
		log.WarnContext(ctx, "mending the schema", "migration", s.name, "what", s.makes, "found", string(found))
		if found == missing {
			err = l.exec(ctx, conn, l.of(s.statement, tablePath))
		} else {
			err = mend(ctx, conn, s, l)
		}
		if err != nil {
			return err
		}
		if found, err = look(ctx, conn, s); err != nil {
			return err
		}
		if found == missing {
			return &Error{Class: Unavailable, Name: "it was answered as done, and " + s.makes + " is not there"}
		}
		if found != "" {
			return found.wrong(s.makes)
		}
	}
	if recorded {
		return nil
	}
	if err := record(ctx, conn, l, s); err != nil {
		return fmt.Errorf("record it: %w", err)
	}
	log.InfoContext(ctx, "migration applied", "migration", s.name)
	return nil
}

// record writes the ledger. With replicas it is answered once a majority has it:
// a host that knows nothing of a migration would carry it out again.
func record(ctx context.Context, conn driver.Conn, l layout, s migration) error {
	if l != (layout{}) {
		ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"insert_quorum": "auto", "insert_quorum_parallel": 0}))
	}
	return Redact(conn.Exec(ctx, "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)", s.version, s.name))
}

func applied(ctx context.Context, conn driver.Conn, l layout) (map[uint32]bool, error) {
	if l != (layout{}) {
		// What a majority was told, this host knows before it answers.
		ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"select_sequential_consistency": 1}))
	}
	done := make(map[uint32]bool)
	_, err := each(ctx, conn, "SELECT DISTINCT version FROM schema_migrations", func(rows driver.Rows) error {
		var v uint32
		err := rows.Scan(&v)
		done[v] = true
		return err
	})
	return done, err
}
