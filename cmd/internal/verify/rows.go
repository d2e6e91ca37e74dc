package verify

import (
	"context"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/schemas"
)

// readRows gives each row of the two views that arrived in the range to add.
func (v *Verifier) readRows(ctx context.Context, tenant schemas.Tenant, from, to time.Time, add func(schemas.ID, outcome, float32)) error {
	where := "received_at >= fromUnixTimestamp64Milli(?) AND received_at < fromUnixTimestamp64Milli(?)"
	args := []any{from.UnixMilli(), to.UnixMilli()}
	if tenant != "" {
		where += " AND tenant_id = ?"
		args = append(args, string(tenant))
	}
	for _, view := range []string{
		`SELECT activity_id, tenant_id, '', user_id, category, kind, ticket_id, agent_id, credited_as, actor_type, status_id,
			toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(received_at), weight FROM activities WHERE ` + where,
		`SELECT event_id, tenant_id, reason, '', '', kind, ticket_id, agent_id, '', '', toInt32(0),
			toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(received_at), toFloat32(0) FROM skipped WHERE ` + where,
	} {
		rows, err := v.rows.Query(ctx, view, args...)
		if err != nil {
			return unavailable("ClickHouse", clickhouse.Redact(err))
		}
		err = v.scan(rows, add)
		rows.Close()
		if err != nil {
			return unavailable("ClickHouse", clickhouse.Redact(err))
		}
	}
	return nil
}

func (v *Verifier) scan(rows driver.Rows, add func(schemas.ID, outcome, float32)) error {
	for rows.Next() {
		var (
			id                                                          uuid.UUID
			tenant, reason, user, category, kind, creditedAs, actorType string
			agent                                                       uint64
			o                                                           outcome
			weight                                                      float32
		)
		if err := rows.Scan(&id, &tenant, &reason, &user, &category, &kind, &o.ticket, &agent, &creditedAs, &actorType, &o.status, &o.occurred, &o.received, &weight); err != nil {
			return err
		}
		o.tenant, o.reason, o.user = schemas.Tenant(v.once(tenant)), schemas.Reason(v.once(reason)), schemas.UserID(v.once(user))
		o.category, o.kind, o.agent = v.once(category), schemas.Kind(v.once(kind)), schemas.AgentID(agent)
		o.creditedAs, o.actorType = schemas.CreditedAs(v.once(creditedAs)), schemas.ActorType(v.once(actorType))
		v.shown(Progress{Rows: 1})
		add(schemas.ID(id), o, weight)
	}
	return rows.Err()
}

// once returns one copy of a string that stands in many rows.
func (v *Verifier) once(s string) string {
	if c, ok := v.words[s]; ok {
		return c
	}
	c := strings.Clone(s)
	v.words[c] = c
	return c
}
