package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// The bounds of a retention in months. Beyond twenty years the end of a row's
// life no longer fits the type in which ClickHouse computes it (2106).
const (
	DefaultRetention = 25 // two full years and the month that is not over yet
	maxRetention     = 240
)

// ErrRetention says that a retention is out of range.
var ErrRetention = errors.New("retention is not 1 to 240 months")

// WouldDelete says that a retention was not set, because it removes rows for
// good and nobody has said that it may.
type WouldDelete struct {
	Months int
	Rows   uint64 // repeats counted
}

func (w WouldDelete) Error() string {
	return fmt.Sprintf("a retention of %d months deletes %d rows for good", w.Months, w.Rows)
}

var inForce = regexp.MustCompile(`TTL toDateTime\(received_at\) \+ toIntervalMonth\((\d+)\)`)

// retention is how many months rows are kept now; 0 is for ever.
func retention(ctx context.Context, conn driver.Conn) (int, error) {
	var engine string
	if err := conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes_log'").Scan(&engine); err != nil {
		return 0, Redact(err)
	}
	m := inForce.FindStringSubmatch(engine)
	if m == nil {
		return 0, nil
	}
	return strconv.Atoi(m[1])
}

// retain sets the TTL where it is not what it should be. ALTER is not free even
// if nothing changes: it looks at every part again.
//
// It does not wait for the parts to be rewritten, which can take hours and would
// be given up by a time-out of whoever is on the way: see settled.
func retain(ctx context.Context, conn driver.Conn, months int, mayDelete bool, log *slog.Logger) error {
	have, err := retention(ctx, conn)
	if err != nil || have == months {
		return err
	}
	if !mayDelete && (have == 0 || months < have) {
		var rows uint64
		err := conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM outcomes_log WHERE toDateTime(received_at) + toIntervalMonth(%d) <= now()", months)).Scan(&rows)
		if err != nil {
			return Redact(err)
		}
		if rows > 0 {
			return WouldDelete{months, rows}
		}
	}
	now := ch.Context(ctx, ch.WithSettings(ch.Settings{"alter_sync": 0, "mutations_sync": 0}))
	if err := conn.Exec(now, retentionStatement(months)); err != nil {
		return Redact(err)
	}
	// The change may take a moment to be seen, and an answer alone proves nothing.
	const every, patience = 100 * time.Millisecond, 10 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for began := time.Now(); ; {
		if have, err = retention(ctx, conn); err != nil || have == months {
			break
		}
		if time.Since(began) > patience {
			return &Error{Class: Unavailable, Name: fmt.Sprintf("the retention is still %d months %v after it was set", have, patience)}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Redact(context.Cause(ctx))
		}
	}
	if err == nil {
		log.InfoContext(ctx, "retention set", "months", months)
	}
	return err
}

// rewritePatience is how long a migration waits for the work that a change has
// left to the background. A variable for the tests.
var rewritePatience = 20 * time.Second

// settled waits a while for mutations of our tables, and says how many parts
// are still to be rewritten. They will be, whether or not somebody waits.
func settled(ctx context.Context, conn driver.Conn) (parts int64, err error) {
	const every = 200 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for began := time.Now(); ; {
		err = conn.QueryRow(ctx, "SELECT toInt64(sum(greatest(parts_to_do, 1))) FROM system.mutations WHERE database = currentDatabase() AND NOT is_done").Scan(&parts)
		if err != nil || parts == 0 || time.Since(began) > rewritePatience {
			return parts, Redact(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return parts, nil // what was asked for is done; this was only a look
		}
	}
}
