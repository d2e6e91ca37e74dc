package verify

import (
	"time"

	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

// outcome is what an event came to, as the views show it: the two of them in
// one form, without the weight. Times are milliseconds since 1970; a million of
// these are held at once.
type outcome struct {
	tenant     schemas.Tenant
	reason     schemas.Reason // empty: an activity
	user       schemas.UserID
	category   string
	kind       schemas.Kind
	ticket     uint64
	agent      schemas.AgentID
	creditedAs schemas.CreditedAs
	actorType  schemas.ActorType
	status     int32
	occurred   int64
	received   int64
}

// judge is what the event comes to by the mappings, and the weight of it. ok is
// false where the event leaves no row: its person, or its tenant, was erased.
func (l *ledger) judge(e schemas.Event) (o outcome, weight float32, ok bool) {
	if l.erased(e.Tenant, "", e.ReceivedAt) {
		return outcome{}, 0, false
	}
	judged := processor.Join(e, l.mapping, l.weights)
	if s := judged.Skip; judged.Reason != "" {
		return outcome{
			tenant: s.Tenant, reason: s.Reason, kind: s.Kind, ticket: s.Ticket, agent: s.Agent,
			occurred: s.OccurredAt.UnixMilli(), received: s.ReceivedAt.UnixMilli(),
		}, 0, true
	}
	a := judged.Activity
	if a.User == "" || l.erased(a.Tenant, a.User, a.ReceivedAt) {
		return outcome{}, 0, false
	}
	return outcome{
		tenant: a.Tenant, user: a.User, category: a.Category, kind: a.Kind, ticket: a.Ticket, agent: a.Agent,
		creditedAs: a.CreditedAs, actorType: a.ActorType, status: a.Status,
		occurred: a.OccurredAt.UnixMilli(), received: a.ReceivedAt.UnixMilli(),
	}, a.Weight, true
}

// ledger is what events are judged by: the mappings and the erasures, whole.
type ledger struct {
	mappings interface {
		GetBytes(key []byte) (schemas.Mapping, bool)
	}
	erasures interface {
		Get(key string) (schemas.Erasure, bool)
	}
	weights processor.Weights
	key     []byte
}

func (l *ledger) mapping(t schemas.Tenant, a schemas.AgentID) (schemas.Mapping, bool) {
	l.key = schemas.AppendMappingKey(l.key[:0], t, a)
	return l.mappings.GetBytes(l.key)
}

func (l *ledger) erased(t schemas.Tenant, u schemas.UserID, at time.Time) bool {
	e, ok := l.erasures.Get(schemas.ErasureKey(t, u))
	return ok && e.Covers(at)
}
