package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/schemas"
)

// Eraser removes a person's or a tenant's rows. Its connection is one of a user
// who may do that and nothing else; the caller closes it.
type Eraser struct{ conn driver.Conn }

// NewEraser erases through conn.
func NewEraser(conn driver.Conn) *Eraser { return &Eraser{conn} }

// Erase removes the rows of a tenant's user, or with the user "" of the tenant,
// that arrived before the instant before, and returns once no view shows one of
// them, on any replica. rows is how many the views showed, also beside an error;
// of a repeat it is what the first has left.
//
// The steps, and what is left when it dies between them:
//
//  1. Rows are marked as deleted, which hides them at once and touches one column.
//     Before that nothing has happened.
//  2. The parts are written anew without them, in the background; nobody has to
//     wait, see Gone. Without this step the next merge would do it.
//
// Events that were credited to the person go whole, with the repeats that were
// credited to somebody else: folded away until now, one of them would appear.
// Repeats that were credited to him, of events that are somebody else's, go alone.
//
// A row that is appended meanwhile stays: the sink must know of the erasure
// first. An error means that it should be repeated, see [ClassOf].
func (e *Eraser) Erase(ctx context.Context, tenant schemas.Tenant, user schemas.UserID, before time.Time) (rows uint64, err error) {
	who := newBounds(tenant, before)
	if user != "" {
		who = who.and("user_id = ?", string(user))
	}
	err = e.conn.QueryRow(ctx, "SELECT count() FROM outcomes_log FINAL WHERE "+who.where()+" SETTINGS optimize_move_to_prewhere_if_final = 0", who.args...).Scan(&rows)
	if err != nil {
		return 0, fmt.Errorf("count the rows to erase: %w", Redact(err))
	}
	if user != "" {
		if err := e.repeats(ctx, tenant, user, before); err != nil {
			return rows, fmt.Errorf("erase the repeats: %w", err)
		}
	}
	var left uint64
	if err := e.conn.QueryRow(ctx, "SELECT count() FROM outcomes_log WHERE "+who.where(), who.args...).Scan(&left); err != nil {
		return rows, fmt.Errorf("count the rows to erase: %w", Redact(err))
	}
	if left == 0 {
		return rows, nil // a mutation that finds nothing still looks at every part
	}
	if err := e.hide(ctx, who); err != nil {
		return rows, fmt.Errorf("erase: %w", err)
	}
	if err := e.conn.QueryRow(ctx, "SELECT count() FROM outcomes_log WHERE "+who.where(), who.args...).Scan(&left); err != nil {
		return rows, fmt.Errorf("look whether they are erased: %w", Redact(err))
	}
	if left > 0 {
		return rows, &Error{Class: Unavailable, Name: fmt.Sprintf("%d rows to erase are still there", left)}
	}
	later := ch.Context(ctx, ch.WithSettings(ch.Settings{"mutations_sync": 0, "alter_sync": 0}))
	return rows, Redact(e.conn.Exec(later, "ALTER TABLE outcomes_log APPLY DELETED MASK"))
}

// mostIDs bounds a statement: an id is 40 bytes of it.
const mostIDs = 2000

// repeats hides the rows of others that are repeats of the person's events.
func (e *Eraser) repeats(ctx context.Context, tenant schemas.Tenant, user schemas.UserID, before time.Time) error {
	who := newBounds(tenant, before)
	var ids []string
	_, err := each(ctx, e.conn, `SELECT toString(activity_id) FROM outcomes_log
		WHERE `+who.where()+` AND (event_time, activity_id) IN (SELECT event_time, activity_id FROM outcomes_log WHERE `+who.where()+` AND user_id = ?)
		GROUP BY event_time, activity_id
		HAVING argMax(user_id, version) = ? AND countIf(user_id != ?) > 0`,
		func(rows driver.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		}, append(append(append([]any{}, who.args...), who.args...), string(user), string(user), string(user))...)
	for ; err == nil && len(ids) > 0; ids = ids[min(mostIDs, len(ids)):] {
		some := ids[:min(mostIDs, len(ids))]
		err = e.hide(ctx, who.and("activity_id IN ('"+strings.Join(some, "','")+"')")) // the engine wrote them
	}
	return err
}

func (e *Eraser) hide(ctx context.Context, who bounds) error {
	// 2: every replica has done it before this is answered.
	now := ch.Context(ctx, ch.WithSettings(ch.Settings{"lightweight_deletes_sync": 2, "mutations_sync": 2}))
	return Redact(e.conn.Exec(now, "DELETE FROM outcomes_log WHERE "+who.where(), who.args...))
}

// Gone says whether nothing of what was erased is on this server's disk any
// more: hidden rows stay in their part until it is written anew, and a part that
// was replaced stays for some minutes.
func (e *Eraser) Gone(ctx context.Context) (bool, error) {
	var parts uint64
	err := e.conn.QueryRow(ctx, `SELECT
			(SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'outcomes_log' AND (has_lightweight_delete OR NOT active))
			+ (SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = 'outcomes_log' AND NOT is_done)`).Scan(&parts)
	if err != nil {
		return false, fmt.Errorf("look at the parts: %w", Redact(err))
	}
	return parts == 0, nil
}

// bounds are the conditions of a statement and what they name.
type bounds struct {
	conds []string
	args  []any
}

func newBounds(tenant schemas.Tenant, before time.Time) bounds {
	// In milliseconds: the driver would cut a time to seconds.
	return bounds{[]string{"tenant_id = ?", "received_at < fromUnixTimestamp64Milli(?, 'UTC')"}, []any{string(tenant), before.UnixMilli()}}
}

func (b bounds) and(cond string, args ...any) bounds {
	return bounds{append(append([]string{}, b.conds...), cond), append(append([]any{}, b.args...), args...)}
}

func (b bounds) where() string { return strings.Join(b.conds, " AND ") }
