package processor

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/schemas"
)

// lifelike are n events as they are polled, of ten agents per tenant: one in
// ten is not mapped, all kinds, one refusal in a hundred.
func lifelike(agents, n int) ([]*kgo.Record, fixed) {
	mappings := fixed{}
	who := func(i int) (schemas.Tenant, schemas.AgentID) {
		i %= agents
		return schemas.Tenant(fmt.Sprintf("tenant-%04d", i/10)), schemas.AgentID(2 + i%10)
	}
	for i := range agents {
		tenant, agent := who(i)
		if agent != 7 {
			m := schemas.Mapping{Tenant: tenant, Agent: agent}
			m = m.Assign(schemas.UserID(fmt.Sprintf("5f0c9a7e-user-%s-%d", tenant, agent)), noon.Add(-time.Hour), "")
			m = m.Assign(schemas.UserID(fmt.Sprintf("1b22c3d4-user-%s-%d", tenant, agent)), noon, "")
			mappings[m.Key()] = m
		}
	}
	records := make([]*kgo.Record, n)
	for i := range records {
		tenant, agent := who(i)
		at := noon.Add(time.Duration(i) * time.Millisecond)
		e := schemas.Event{
			Tenant: tenant, Connection: schemas.ConnectionIDOf(tenant), Kind: schemas.Kinds()[i%4],
			Ticket: 100_000 + uint64(i), Assignee: agent, Actor: agent, ActorType: schemas.ActorAgent, EnvelopeAgent: agent,
			Status: 9, Action: 12, EventTime: at.Add(-79 * time.Second), OccurredAt: at.Add(-79 * time.Second), ReceivedAt: at,
		}
		// Ids are digests: their bytes compress as random ones do.
		binary.BigEndian.PutUint64(e.ID[:], uint64(i+1)*0x9e3779b97f4a7c15)
		binary.BigEndian.PutUint64(e.ID[8:], uint64(i+1)*0xc2b2ae3d27d4eb4f)
		if i%100 == 99 {
			e.Refusal = schemas.StaleWebhook
		}
		records[i] = arrived(e)
	}
	return records, mappings
}

// What the processor computes per event: parse its record, Attribute, look the
// agent up, Join, encode the outcome's record.
func BenchmarkJudge(b *testing.B) {
	events, mappings := lifelike(500, maxPoll)
	batch := newTestJudge(schemas.NewTopics("halo."), mappings.packed())
	b.ReportAllocs()
	for b.Loop() {
		batch.decide(events)
	}
	n := float64(b.N) * maxPoll
	b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/event")
}
