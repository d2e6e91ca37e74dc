package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

// Unavailable says that an engine could not be asked.
type Unavailable struct {
	Engine string // "Kafka" or "ClickHouse"
	Err    error
}

func (u *Unavailable) Error() string { return u.Engine + ": " + u.Err.Error() }

// Unwrap is why.
func (u *Unavailable) Unwrap() error { return u.Err }

// Config says what is compared with what.
type Config struct {
	Kafka   kafka.Config
	Topics  schemas.Topics
	Weights processor.Weights
	Log     *slog.Logger

	// Patience is how long differences are looked at again before they are
	// reported: what was answered a moment ago is not in ClickHouse yet.
	Patience time.Duration

	// Show is told how far the work is, some times a second; may be nil.
	Show func(Progress)
}

// Progress is how much was read.
type Progress struct{ Arrivals, Rows int }

// Range is which events are compared: those of Tenant, or with "" of all, with
// From <= received_at < To. The zero From is the oldest record.
type Range struct {
	Tenant   schemas.Tenant
	From, To time.Time
}

// Verifier compares Kafka with ClickHouse. It serves one caller.
type Verifier struct {
	cfg      Config
	rows     driver.Conn
	words    map[string]string
	progress Progress
	said     time.Time
}

// New returns a verifier that reads rows from conn, which stays the caller's.
func New(cfg Config, conn driver.Conn) *Verifier {
	return &Verifier{cfg: cfg, rows: conn, words: make(map[string]string)}
}

// Run compares a range. Errors are an [Unavailable], or ctx's.
//
// Looking again, for as long as Patience says, is reading on: events whose row
// was a stranger, rows whose event had not been appended, and a first arrival
// that was appended after its repeat come right by themselves.
func (v *Verifier) Run(ctx context.Context, r Range) (Report, error) {
	l, stop, err := v.openLedger(ctx)
	if err != nil {
		return Report{}, unavailable("Kafka", err)
	}
	defer stop()
	// What is older than the retention when it arrives is never appended.
	months, err := sink.NewClickHouse(v.rows).Retention(ctx)
	if err != nil {
		return Report{}, unavailable("ClickHouse", clickhouse.Redact(err))
	}
	a, err := v.openArrivals(ctx, r.From)
	if err != nil {
		return Report{}, unavailable("Kafka", err)
	}
	defer a.client.Close()
	arrived := make(events)
	add := func(e schemas.Event) {
		v.shown(Progress{Arrivals: 1})
		if r.Tenant != "" && e.Tenant != r.Tenant || !e.ReceivedAt.Before(r.To) {
			return
		}
		o, weight, ok := l.judge(e)
		ok = ok && !schemas.Expired(e.EventTime, e.ReceivedAt, months)
		o.tenant = schemas.Tenant(v.once(string(e.Tenant)))
		arrived.add(e.ID, e.ReceivedAt.UnixMilli(), !e.ReceivedAt.Before(r.From), o, weight, ok)
	}
	for began, pause := time.Now(), time.Second; ; pause = min(2*pause, 10*time.Second) {
		if err := a.read(ctx, add); err != nil {
			return Report{}, unavailable("Kafka", err)
		}
		// From here on a row must be of an event that was read.
		from := time.UnixMilli(max(a.floor, r.From.UnixMilli(), 0))
		c := compare(arrived, func(t schemas.Tenant) int64 { return max(a.oldest(t), from.UnixMilli()) })
		if err := v.readRows(ctx, r.Tenant, from, r.To, c.row); err != nil {
			return Report{}, err
		}
		if c.missing() {
			// A repeat shows the row of the first arrival, which may have come
			// before: Halo keeps its delivery log for weeks.
			if err := v.readRows(ctx, r.Tenant, from.Add(-schemas.OccurredBefore), from, c.row); err != nil {
				return Report{}, err
			}
		}
		report := c.done()
		if report.Agrees() || time.Since(began) > v.cfg.Patience {
			return report, nil
		}
		select {
		case <-ctx.Done():
			return Report{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// openLedger reads what events are judged by, whole.
func (v *Verifier) openLedger(ctx context.Context) (*ledger, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	mappings, endMappings, err := follow(ctx, v.cfg, v.cfg.Topics.Mappings, processor.ParseMapping)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	erasures, endErasures, err := follow(ctx, v.cfg, v.cfg.Topics.Erasures, parseErasure)
	if err != nil {
		cancel()
		endMappings()
		return nil, nil, err
	}
	return &ledger{mappings: mappings, erasures: erasures, weights: v.cfg.Weights}, func() {
		cancel()
		endMappings()
		endErasures()
	}, nil
}

// follow returns a table that has caught up.
func follow[V any](ctx context.Context, cfg Config, topic string, parse func(*kgo.Record) (V, error)) (*table.Table[V], func(), error) {
	client, err := kafka.NewReader(cfg.Kafka, topic, cfg.Log, nil)
	if err != nil {
		return nil, nil, err
	}
	t := table.New(client, topic, parse, cfg.Log, nil)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = t.Run(ctx) // CatchUp says why it cannot be read
	}()
	end := func() { cancel(); <-ended }
	if err := t.CatchUp(ctx); err != nil {
		end()
		return nil, nil, err
	}
	return t, end, nil
}

func parseErasure(r *kgo.Record) (schemas.Erasure, error) {
	if kafka.Schema(r) != schemas.ErasureSchema {
		return schemas.Erasure{}, fmt.Errorf("%w: the schema is not %s", schemas.ErrMalformed, schemas.ErasureSchema)
	}
	return schemas.ParseErasure(r.Value)
}

func unavailable(engine string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &Unavailable{engine, err}
}

// shown adds to the progress and tells of it, four times a second.
func (v *Verifier) shown(p Progress) {
	v.progress.Arrivals += p.Arrivals
	v.progress.Rows += p.Rows
	const every = 4096 // a clock is read no more often
	if v.cfg.Show == nil || (v.progress.Arrivals+v.progress.Rows)%every != 0 {
		return
	}
	if now := time.Now(); now.Sub(v.said) > 250*time.Millisecond {
		v.said = now
		v.cfg.Show(v.progress)
	}
}
