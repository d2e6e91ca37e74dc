package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// hostPatience is how long a statement waits for the hosts of a cluster. It is
// below readTimeout: who waits for the answer must hear which host is missing,
// and not that there is none.
const hostPatience = 25 * time.Second

// exec carries out a statement that changes the schema, and returns once every
// host has. A host that has not is named.
func (l layout) exec(ctx context.Context, conn driver.Conn, statement string) error {
	if l.cluster == "" {
		return Redact(conn.Exec(ctx, statement))
	}
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{
		"distributed_ddl_task_timeout": int(hostPatience / time.Second),
		// One row for each host, also for one that has not answered: its status is NULL.
		"distributed_ddl_output_mode": "null_status_on_timeout",
	}))
	var missing []string
	var failed error
	_, err := each(ctx, conn, statement, func(rows driver.Rows) error {
		var (
			host              string
			port              uint16
			status            *int64
			text              *string // may quote the statement: not shown
			remaining, active uint64
		)
		if err := rows.Scan(&host, &port, &status, &text, &remaining, &active); err != nil {
			return err
		}
		switch {
		case status == nil:
			missing = append(missing, fmt.Sprintf("%s:%d", host, port))
		case *status != 0:
			e := known(int32(*status))
			e.Name += " on " + host
			failed = e
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	case len(missing) > 0:
		return &Error{Class: Unavailable, Name: fmt.Sprintf("of the cluster, %s did not answer within %v; it does this when it is back", strings.Join(missing, " and "), hostPatience)}
	}
	return nil
}

// layoutOf finds out how the database keeps its copies. One of engine Replicated
// hands on statements itself, and one of Shared has the copies below it: both
// are left alone, whatever cluster was named.
func layoutOf(ctx context.Context, conn driver.Conn, cluster string) (layout, error) {
	var engine string
	if _, err := each(ctx, conn, "SELECT engine FROM system.databases WHERE name = currentDatabase()",
		func(rows driver.Rows) error { return rows.Scan(&engine) }); err != nil {
		return layout{}, err
	}
	switch engine {
	case "Replicated":
		return layout{replicated: true}, nil
	case "Shared":
		return layout{}, nil
	}
	return layout{cluster: cluster}, nil
}

// Copies are the replicas of outcomes_log as one of them sees them.
type Copies struct {
	Total, Active uint64
	Missing       []string // the names of those that are not active
}

// Replicas says how many replicas stand behind an insert. A table that is not
// replicated, or whose copies are below the server's sight, has one. An insert
// is answered by one replica, whatever their number: until another has fetched
// it, it is only there.
func Replicas(ctx context.Context, conn driver.Conn) (Copies, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c := Copies{Total: 1, Active: 1}
	_, err := each(ctx, conn, `SELECT total_replicas, active_replicas, arrayFilter(name -> replica_is_active[name] = 0, mapKeys(replica_is_active))
		FROM system.replicas WHERE database = currentDatabase() AND table = 'outcomes_log'`,
		func(rows driver.Rows) error {
			var total, active uint32
			var names []string
			if err := rows.Scan(&total, &active, &names); err != nil {
				return err
			}
			slices.Sort(names)
			c = Copies{uint64(total), uint64(active), names}
			return nil
		})
	if err != nil {
		return Copies{}, fmt.Errorf("replicas: %w", err)
	}
	return c, nil
}

// awaitReplicas waits until every replica of outcomes_log is there, for
// hostPatience, and then names the one that is not.
func awaitReplicas(ctx context.Context, conn driver.Conn) error {
	const every = 500 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, hostPatience)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		c, err := Replicas(ctx, conn)
		if err == nil && c.Active >= c.Total {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err != nil {
				return err
			}
			return &Error{Class: Unavailable, Name: fmt.Sprintf("%d of %d replicas of outcomes_log are active; not %s", c.Active, c.Total, strings.Join(c.Missing, " and "))}
		}
	}
}
