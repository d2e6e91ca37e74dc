package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/schemas"
)

// writeTimeout bounds a write: from the proof of ownership to the
// acknowledgement. It is shorter than the session that the proof prolongs.
const writeTimeout = 5 * time.Second

// ErrUnavailable says that Kafka did not acknowledge a write in time. Whether it
// happened will show in the next term.
var ErrUnavailable = errors.New("the write was not acknowledged by Kafka in time")

// write proves that this instance is the owner and then produces records, all
// of which are acknowledged when it returns nil. After a failure it is not
// known which of them are: the term ends, and the next one reads what is there.
func (t *term) write(ctx context.Context, records ...*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	return t.writeNew(ctx, func() []*kgo.Record { return records })
}

// writeNew is write for records that say when they are written: they are made
// after the proof, which may have to wait for the proofs of others.
func (t *term) writeNew(ctx context.Context, newRecords func() []*kgo.Record) error {
	if !t.writing.TryRLock() {
		return fmt.Errorf("%w: the term has ended", ErrStandby)
	}
	defer t.writing.RUnlock()
	// An operation whose caller has gone still writes: half of it in Kafka is
	// worse than all of it. Only the end of the term stops it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	if err := t.ctx.Err(); err != nil {
		return fmt.Errorf("%w: the term has ended", ErrStandby)
	}
	if err := t.owner.check(ctx, t.vault.Load()); err != nil {
		t.end(err)
		return fmt.Errorf("%w: %w", ErrStandby, err)
	}
	records := newRecords()
	acks := make(chan error, len(records))
	for _, r := range records {
		t.producer.Produce(ctx, r, func(r *kgo.Record, err error) {
			if err == nil && r.Topic == t.c.cfg.Topics.Vault {
				t.reached(r.Offset + 1)
			}
			acks <- err
		})
	}
	for range records {
		select {
		case err := <-acks:
			if err != nil {
				return t.unsure(err)
			}
		case <-ctx.Done():
			return t.unsure(ctx.Err())
		}
	}
	return nil
}

func (t *term) unsure(err error) error {
	err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	t.end(err)
	return err
}

// reached notes the vault's end.
func (t *term) reached(offset int64) {
	for {
		at := t.vault.Load()
		if offset <= at || t.vault.CompareAndSwap(at, offset) {
			return
		}
	}
}

// save writes the tenant's vault record and lets the state be seen.
func (t *term) save(ctx context.Context, tn *tenant, s state) error {
	key := t.c.cfg.Sealer.Primary()
	value, err := s.seal(t.c.cfg.Sealer)
	if err != nil {
		return err
	}
	if err := t.write(ctx, kafka.Record(t.c.cfg.Topics.Vault, string(tn.id), schemas.VaultSchema, value)); err != nil {
		return err
	}
	tn.key.Store(key)
	snap := *tn.seen.Load()
	snap.state = s
	tn.seen.Store(&snap)
	return nil
}

// publish tells the edge.
func (t *term) publish(ctx context.Context, conn schemas.Connection) error {
	return t.write(ctx, kafka.Record(t.c.cfg.Topics.Connections, string(conn.ID), schemas.ConnectionSchema, conn.AppendJSON(nil)))
}

// withdraw tells the edge that there is no connection: deliveries get 401.
func (t *term) withdraw(ctx context.Context, id schemas.Tenant) error {
	return t.write(ctx, kafka.Record(t.c.cfg.Topics.Connections, string(schemas.ConnectionIDOf(id)), schemas.ConnectionSchema, nil))
}

// assign makes the mappings what the tenant's state wants, and returns how many
// changed. When it returns, the instant from which they hold lies in the past:
// see instant.go. The caller has the tenant's turn.
func (t *term) assign(ctx context.Context, tn *tenant) (int, error) {
	snap := tn.seen.Load()
	want := desired(snap.state, snap.ours)
	if len(changes(snap.mappings, want, tn.id, newInstant(t.c.now()))) == 0 {
		return 0, nil
	}
	var (
		at       instant
		changed  []schemas.Mapping
		mappings = maps.Clone(snap.mappings)
	)
	if mappings == nil {
		mappings = make(map[schemas.AgentID]schemas.Mapping)
	}
	err := t.writeNew(ctx, func() []*kgo.Record {
		at = newInstant(t.c.now())
		changed = changes(snap.mappings, want, tn.id, at)
		records := make([]*kgo.Record, len(changed))
		for i, m := range changed {
			records[i] = kafka.Record(t.c.cfg.Topics.Mappings, m.Key(), schemas.MappingSchema, m.AppendJSON(nil))
			mappings[m.Agent] = m
			// After a clock that stepped back an interval begins where the last
			// one ended, which may be later than asked for.
			for _, iv := range m.Intervals {
				if iv.From.After(at.from) {
					at.from = iv.From
				}
			}
		}
		return records
	})
	if err != nil {
		return 0, err
	}
	next := *snap
	next.mappings = mappings
	tn.seen.Store(&next)
	if late := t.c.now().Sub(at.from); late > 0 {
		// Events that arrived in between may have been judged without them.
		t.c.metrics.breaches[metric.AsOfArrival].Inc()
		t.c.log.Warn("mappings were acknowledged after the instant from which they hold",
			"tenant", tn.id, "mappings", len(changed), "late", late)
	}
	if err := at.pass(ctx, t.c.now); err != nil {
		// Our clock stepped back by so much that the instant is far away.
		return len(changed), fmt.Errorf("%w: the mappings do not hold yet: %w", ErrUnavailable, err)
	}
	return len(changed), nil
}
