package connect

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// term is one stretch of acting: everything in memory, one writer, and what is
// in memory is what was acknowledged.
type term struct {
	c        *Connect
	owner    *owner
	producer *kgo.Client

	ctx context.Context
	end context.CancelCauseFunc

	// writing is held, shared, by each write. The end of a term takes it whole,
	// so that no write is under way when the vault is let go.
	writing sync.RWMutex
	vault   atomic.Int64 // end of the vault's partition

	mu      sync.Mutex
	tenants map[schemas.Tenant]*tenant
}

// tenant is what a term holds of one tenant.
type tenant struct {
	id   schemas.Tenant
	turn chan struct{}            // holds one token; whoever took it may change the tenant
	seen atomic.Pointer[snapshot] // never nil

	// key is the key that the vault record is sealed with; 0 where there is no
	// record, unknownKey where it is an older one.
	key atomic.Uint32

	// Of the health check: when it is due, which only watch knows; whether one
	// is under way; and, for whoever made it so, when the last one began and
	// when the next should compare the silence with the rhythm.
	due    time.Time
	busy   atomic.Bool
	looked time.Time
	listen time.Time

	// remains are what connects that failed left in Halos; for whoever has the
	// turn. See remain.
	remains []*former

	mu   sync.Mutex
	halo Halo         // nil: no client yet
	with *Credentials // what halo was made with
}

// snapshot is a tenant as Kafka acknowledged it. It is never changed.
type snapshot struct {
	state
	mappings map[schemas.AgentID]schemas.Mapping
	sealed   error // the record does not open: nothing is known, and nothing may be written
}

// unknownKey is no key's id.
const unknownKey = 1

// reseal says whether the vault record should be written again with the
// primary key, so that the older ones can be retired.
func (tn *tenant) reseal(sealer *vault.Sealer) bool {
	key := tn.key.Load()
	return key != 0 && key != sealer.Primary()
}

// mapped is the user to whom the agent is mapped now.
func (s *snapshot) mapped(agent schemas.AgentID) (schemas.UserID, bool) {
	cur, ok := s.mappings[agent].Current()
	return cur.User, ok
}

// ours is mapped, but for a mapping that was made for whoever had the agent's
// id in the tenant's former Halo.
func (s *snapshot) ours(agent schemas.AgentID) (schemas.UserID, bool) {
	cur, ok := s.mappings[agent].Current()
	if cur.From.Before(s.Moved) {
		return "", false
	}
	return cur.User, ok
}

// serve is one term: read, reconcile, act until ctx or the term ends. It
// returns why.
func (c *Connect) serve(ctx context.Context, o *owner) error {
	producer, err := kafka.NewProducer(c.cfg.Kafka, c.log, c.cfg.Registry, append([]kgo.Opt{
		// Within what a write has, see owner.go: a record must not go out
		// after it was given up.
		kgo.RecordDeliveryTimeout(writeTimeout - time.Second),
		kgo.ProduceRequestTimeout(3 * time.Second),
	}, c.cfg.KafkaOptions...)...)
	if err != nil {
		return err
	}
	t := &term{c: c, owner: o, producer: producer, tenants: make(map[schemas.Tenant]*tenant)}
	t.ctx, t.end = context.WithCancelCause(ctx)
	defer func() {
		c.term.CompareAndSwap(t, nil)
		t.end(nil)
		t.writing.Lock() // for good: nobody writes any more
		producer.Close()
		t.closeClients()
	}()

	began := c.now()
	if err := t.load(); err != nil {
		return err
	}
	tenants := len(t.tenants) // nobody else has t yet
	c.term.Store(t)
	c.log.Info("active", "tenants", tenants, "took", c.now().Sub(began))
	t.watch()
	return context.Cause(t.ctx)
}

// tenant returns the tenant, a blank one where nothing is known of it.
func (t *term) tenant(id schemas.Tenant) *tenant {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn, ok := t.tenants[id]
	if !ok {
		tn = &tenant{id: id, turn: make(chan struct{}, 1)}
		tn.turn <- struct{}{}
		tn.seen.Store(&snapshot{state: state{tenant: id}})
		t.tenants[id] = tn
	}
	return tn
}

// peek returns what is known of a tenant; a blank snapshot where nothing is.
func (t *term) peek(id schemas.Tenant) *snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn, ok := t.tenants[id]; ok {
		return tn.seen.Load()
	}
	return &snapshot{state: state{tenant: id}}
}

// all are the tenants of this moment.
func (t *term) all() []*tenant {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*tenant, 0, len(t.tenants))
	for _, tn := range t.tenants {
		all = append(all, tn)
	}
	return all
}

// take waits for the tenant's turn. Operations on one tenant happen one after
// the other, those of different tenants at the same time. The caller gives the
// turn back.
func (tn *tenant) take(ctx context.Context) (back func(), err error) {
	select {
	case <-tn.turn:
		return func() { tn.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// client is the client for the tenant's Halo, made anew when the credentials
// changed. It belongs to the tenant.
func (tn *tenant) client(c *Connect, with *Credentials) (Halo, error) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	if tn.halo != nil && tn.with == with {
		return tn.halo, nil
	}
	halo, err := c.dial(tn.id, *with)
	if err != nil {
		return nil, err
	}
	if tn.halo != nil {
		tn.halo.Close()
	}
	tn.halo, tn.with = halo, with
	return halo, nil
}

// adopt makes halo the tenant's client.
func (tn *tenant) adopt(halo Halo, with *Credentials) {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	if tn.halo != nil && tn.halo != halo {
		tn.halo.Close()
	}
	tn.halo, tn.with = halo, with
}

func (t *term) closeClients() {
	for _, tn := range t.all() {
		tn.adopt(nil, nil)
	}
}
