package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// ErrDeposed says that another term has begun. Whoever was elected waits a while
// before it begins one of its own: the other may have been elected since.
var ErrDeposed = errors.New("another instance has begun a term")

// term is one stretch of acting: everything in memory, and what is in memory is
// what counts in the log.
type term struct {
	l        *Ledger
	epoch    atomic.Uint64 // 0 until one was chosen
	producer *kgo.Client
	logs     map[string]*table.Log // by topic: the four tables
	ready    atomic.Bool

	ctx context.Context
	end context.CancelCauseFunc
	wg  sync.WaitGroup // of what runs as long as ctx

	mu      sync.Mutex
	found   *found // what was read; nil once the term has begun
	tenants map[schemas.Tenant]*tenant
}

// tenant is what a term holds of one tenant.
type tenant struct {
	id   schemas.Tenant
	turn chan struct{}            // holds one token; whoever took it may change the tenant
	seen atomic.Pointer[Snapshot] // never nil

	// vault is the tenant's vault record as it was read, where it is sealed; a
	// tombstone where there is none. For whoever has the turn.
	vault *kgo.Record
	// recorded says that there is a vault record, and saved when it was written,
	// by the clock of whoever wrote it. For whoever has the turn.
	recorded bool
	saved    time.Time
}

// serve is the term: it reads, begins, acts, and returns why it ended.
func (t *term) serve(act func(ctx context.Context, ready func()) error) error {
	defer t.open()()
	defer t.l.term.CompareAndSwap(t, nil)
	began := t.l.now()
	if err := t.begin(); err != nil {
		if errors.Is(err, table.ErrStopped) {
			<-t.ctx.Done() // with why it is followed no longer
		}
		return t.cause(err)
	}
	t.l.term.Store(t)
	err := act(t.ctx, func() {
		t.ready.Store(true)
		t.l.log.Info("active", "epoch", t.epoch.Load(), "tenants", len(t.all()), "took", t.l.now().Sub(began))
	})
	return t.cause(err)
}

// open begins to follow the tables. close ends the term and all that runs in it.
func (t *term) open() (close func()) {
	for _, log := range t.logs {
		t.wg.Go(func() {
			if err := log.Run(t.ctx); err != nil {
				t.end(err)
			}
		})
	}
	return func() {
		t.end(nil)
		t.producer.Close() // what is still buffered is given up
		t.wg.Wait()
	}
}

// cause is why the term ended: err, unless something else ended it first.
func (t *term) cause(err error) error {
	if cause := context.Cause(t.ctx); cause != nil && t.ctx.Err() != nil {
		return cause
	}
	return err
}

// newTerm makes the clients of a term: one that writes, and one for each table.
func (l *Ledger) newTerm(ctx context.Context) (*term, error) {
	cfg := l.cfg
	producer, err := kafka.NewProducer(cfg.Kafka, cfg.Log, cfg.Registry, append([]kgo.Opt{
		// Within what a write has: what could not be sent by then is given up
		// with the term.
		kgo.RecordDeliveryTimeout(writeTimeout - time.Second),
		kgo.ProduceRequestTimeout(3 * time.Second),
	}, cfg.KafkaOptions...)...)
	if err != nil {
		return nil, err
	}
	t := &term{l: l, producer: producer, logs: make(map[string]*table.Log), tenants: make(map[schemas.Tenant]*tenant), found: newFound()}
	t.ctx, t.end = context.WithCancelCause(ctx)
	for _, topic := range tables(cfg.Topics) {
		// Without a registry: the metrics of tables are about those that are
		// followed for good.
		reader, err := kafka.NewReader(cfg.Kafka, topic, cfg.Log, nil, cfg.KafkaOptions...)
		if err != nil {
			return nil, err // of a configuration that made a producer: cannot be
		}
		t.logs[topic] = table.NewLog(reader, topic, cfg.Log, func(records []table.Record, epoch uint64) { t.read(topic, records, epoch) })
	}
	return t, nil
}

// tables are the topics that carry the fence. The vault is the first: in it a
// term begins.
func tables(topics schemas.Topics) []string {
	return []string{topics.Vault, topics.Connections, topics.Mappings, topics.Erasures}
}

// read takes in what a table's topic brings. What counts is kept until the term
// has begun; from then on what counts is what this instance wrote itself, and is
// known already. A record of its epoch that it did not write is of a foreign
// hand: it is found at the next load, and not obeyed.
func (t *term) read(topic string, records []table.Record, epoch uint64) {
	if own := t.epoch.Load(); own > 0 && epoch > own {
		t.end(ErrDeposed)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.found != nil {
		t.found.take(t.l.cfg.Topics, topic, records, t.l.log)
		return
	}
	for _, r := range records {
		if r.Late {
			t.l.log.Warn("an instance whose term has ended wrote to a table; its record does not count and is superseded", "topic", topic, "offset", r.Offset)
			t.wg.Go(func() { _ = t.supersede(topic, string(r.Key)) }) // which ends the term where it fails
		}
	}
}

// tenant returns the tenant, a blank one where nothing is known of it.
func (t *term) tenant(id schemas.Tenant) *tenant {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn, ok := t.tenants[id]
	if !ok {
		tn = newTenant(id)
		t.tenants[id] = tn
	}
	return tn
}

func newTenant(id schemas.Tenant) *tenant {
	tn := &tenant{id: id, turn: make(chan struct{}, 1)}
	tn.turn <- struct{}{}
	tn.seen.Store(&Snapshot{Tenant: id})
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

// confirm returns nil where no other term had begun when it was called. A term
// begins with a marker in the vault, so the vault's end tells.
func (t *term) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := t.logs[t.l.cfg.Topics.Vault].CatchUp(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := t.ctx.Err(); err != nil {
		return t.over()
	}
	return nil
}

// over is what is answered once the term has ended.
func (t *term) over() error {
	return fmt.Errorf("%w: the term has ended: %w", ErrStandby, context.Cause(t.ctx))
}
