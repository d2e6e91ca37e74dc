//go:build synctests

package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

// store is ClickHouse: it folds, it may be away, and it may do what it then
// denies to have done.
type store struct {
	storetest.Memory

	mu   sync.Mutex
	away bool
	lies int // so many appends are kept and answered with an error
	slow time.Duration
	lied int
}

var errAway = errors.New("the store is away")

func (s *store) set(edit func(*store)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(s)
}

// pipe is a sink's way to the store, which ends with its life.
type pipe struct {
	store *store
	life  *life
}

var _ sink.Store = (*pipe)(nil)

func (p *pipe) Append(ctx context.Context, rows *sink.Rows) error {
	p.store.mu.Lock()
	away, slow := p.store.away, p.store.slow
	lie := !away && p.store.lies > 0
	if lie {
		p.store.lies--
		p.store.lied++
	}
	p.store.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	if away || !p.life.alive() || ctx.Err() != nil {
		return errAway
	}
	if err := p.store.Memory.Append(ctx, rows); err != nil {
		return err
	}
	if lie || !p.life.alive() {
		return errAway
	}
	return nil
}

// Erase is the control plane's.
func (p *pipe) Erase(ctx context.Context, t schemas.Tenant, user schemas.UserID, before time.Time) (rows uint64, err error) {
	p.store.mu.Lock()
	away := p.store.away
	p.store.mu.Unlock()
	if away || !p.life.alive() || ctx.Err() != nil {
		return 0, errAway
	}
	return p.store.Memory.Erase(ctx, t, user, before)
}

func (p *pipe) Retention(context.Context) (int, error) { return 0, nil }
