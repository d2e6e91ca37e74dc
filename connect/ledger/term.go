package ledger

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/worksights/halo-connector/schemas"
)

// term is one stretch of acting: everything in memory, and what is in memory is
// what counts in the log.
type term struct {
	l     *Ledger
	ctx   context.Context
	ready atomic.Bool

	mu      sync.Mutex
	tenants map[schemas.Tenant]*tenant
}

// tenant is what a term holds of one tenant.
type tenant struct {
	id   schemas.Tenant
	turn chan struct{}            // holds one token; whoever took it may change the tenant
	seen atomic.Pointer[Snapshot] // never nil
}

// tenant returns the tenant, a blank one where nothing is known of it.
func (t *term) tenant(id schemas.Tenant) *tenant {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn, ok := t.tenants[id]
	if !ok {
		tn = &tenant{id: id, turn: make(chan struct{}, 1)}
		tn.turn <- struct{}{}
		tn.seen.Store(&Snapshot{Tenant: id})
		t.tenants[id] = tn
	}
	return tn
}

// peek returns what is known of a tenant; a blank snapshot where nothing is.
func (t *term) peek(id schemas.Tenant) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn, ok := t.tenants[id]; ok {
		return tn.seen.Load()
	}
	return &Snapshot{Tenant: id}
}

func (t *term) all() []*Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Snapshot, 0, len(t.tenants))
	for _, tn := range t.tenants {
		all = append(all, tn.seen.Load())
	}
	return all
}

func (t *term) confirm(ctx context.Context) error { return errors.New("not yet") }

func (t *term) apply(ctx context.Context, tn *tenant, c Change) error { return errors.New("not yet") }
