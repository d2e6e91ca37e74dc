package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

// Config is what a Ledger is made of. All fields are required but those that say
// otherwise.
type Config struct {
	Kafka        kafka.Config
	KafkaOptions []kgo.Opt // last of every client's options; optional
	Topics       schemas.Topics
	Instance     string // how the markers name this instance, for people; optional
	Sealer       *vault.Sealer
	Now          func() time.Time // nil is time.Now
	Log          *slog.Logger
	Registry     prometheus.Registerer // may be nil
}

// Ledger is what one instance knows: everything while it acts, nothing on
// standby. It may be used by several goroutines at once.
type Ledger struct {
	cfg Config
	now func() time.Time
	log *slog.Logger

	breaches prometheus.Counter

	term atomic.Pointer[term]   // nil on standby
	why  atomic.Pointer[string] // what a standby waits for
}

// New makes a ledger. Nothing is dialled before [Ledger.Act].
func New(cfg Config) (*Ledger, error) {
	if cfg.Sealer == nil || cfg.Log == nil {
		return nil, errors.New("ledger: Sealer and Log are required")
	}
	if err := cfg.Kafka.Validate(); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Ledger{cfg: cfg, now: cfg.Now, log: cfg.Log}
	l.breaches = metric.Breaches(cfg.Registry, "connect", metric.AsOfArrival)[metric.AsOfArrival]
	l.Standby("nobody was elected yet")
	return l, nil
}

// Act is one term: it begins one, reads everything, calls act, and ends with it.
// It returns why it ended, nil only with ctx.
//
// act is what the instance does while it acts: it puts right what the ledger does
// not know how to, calls ready, and goes on until its context ends. All methods
// work from its beginning; [Ledger.Ready] turns with ready, so that nobody is
// answered from what is not put right yet. Its context ends as soon as another
// term is seen to have begun.
func (l *Ledger) Act(ctx context.Context, act func(ctx context.Context, ready func()) error) error {
	l.Standby("the tables are being read")
	t, err := l.newTerm(ctx)
	if err != nil {
		return err
	}
	err = t.serve(act)
	if ctx.Err() != nil {
		return nil
	}
	l.Standby(fmt.Sprintf("the tables are being read again after: %v", err))
	return err
}

// Standby notes what this instance waits for while it does not act.
func (l *Ledger) Standby(why string) { l.why.Store(&why) }

// Ready is nil while this instance acts and has put right what it found; else it
// wraps [ErrStandby] and says what it waits for.
func (l *Ledger) Ready() error {
	t, err := l.acting()
	if err != nil {
		return err
	}
	if !t.ready.Load() {
		return fmt.Errorf("%w: what was found is being put right", ErrStandby)
	}
	return nil
}

// Snapshot is the tenant as it is now; a blank one where nothing is known of it.
func (l *Ledger) Snapshot(id schemas.Tenant) (*Snapshot, error) {
	t, err := l.acting()
	if err != nil {
		return nil, err
	}
	return t.peek(id), nil
}

// All are the tenants of this moment, in no order.
func (l *Ledger) All() ([]*Snapshot, error) {
	t, err := l.acting()
	if err != nil {
		return nil, err
	}
	return t.all(), nil
}

// Take waits for the tenant's turn. Changes of one tenant happen one after the
// other, those of different tenants at the same time.
func (l *Ledger) Take(ctx context.Context, id schemas.Tenant) (*Turn, error) {
	t, err := l.acting()
	if err != nil {
		return nil, err
	}
	tn := t.tenant(id)
	select {
	case <-tn.turn:
		return &Turn{t, tn}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.ctx.Done():
		return nil, fmt.Errorf("%w: the term has ended", ErrStandby)
	}
}

// acting is the term in which this instance acts, or why there is none.
func (l *Ledger) acting() (*term, error) {
	if t := l.term.Load(); t != nil && t.ctx.Err() == nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrStandby, *l.why.Load())
}
