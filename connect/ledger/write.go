package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// writeTimeout bounds a write: until it is acknowledged and read back.
const writeTimeout = 5 * time.Second

// write has records counted: it produces them, and returns nil once each was
// acknowledged and read back as one that counts. Else the term ends, for what
// this instance holds may be less than what the log does: the next term reads
// what is there, and behind its marker nothing of this one counts any more.
func (t *term) write(records ...*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	if t.ctx.Err() != nil {
		return t.over()
	}
	at, err := t.produce(records...)
	if err != nil {
		if t.ctx.Err() != nil {
			return t.over()
		}
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		t.end(err)
		return err
	}
	for topic, offset := range at {
		if met, since := t.logs[topic].Epoch(); met > t.epoch.Load() && since < offset {
			t.end(ErrDeposed)
			return t.over()
		}
	}
	return nil
}

// produce writes records and reads the tables on up to them. at is the offset of
// the last one of each topic. Whether they count is not said.
func (t *term) produce(records ...*kgo.Record) (at map[string]int64, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, writeTimeout)
	defer cancel()
	acks := make(chan error, len(records))
	at = make(map[string]int64)
	for _, r := range records {
		// With the term's context and no caller's: the end of the context of one
		// record fails all that are buffered.
		t.producer.Produce(t.ctx, r, func(_ *kgo.Record, err error) { acks <- err })
	}
	for range records {
		select {
		case err := <-acks:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for _, r := range records {
		at[r.Topic] = max(at[r.Topic], r.Offset)
	}
	for topic, offset := range at {
		log, followed := t.logs[topic]
		if !followed {
			delete(at, topic)
			continue
		}
		if err := log.Reach(ctx, offset); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// record is a record of this term.
func (t *term) record(topic, key, schema string, value []byte) *kgo.Record {
	return table.Stamp(kafka.Record(topic, key, schema, value), t.epoch.Load())
}

// apply writes a change: see [Change]. The caller has the tenant's turn. The
// vault record comes before all records of other tables, if only to say that
// nothing is known yet: so a tenant without one has lost it.
func (t *term) apply(tn *tenant, c Change) error {
	at := t.instant()
	if c.Erase != nil {
		e := c.Erase(at.from)
		if err := t.erase(tn, e); err != nil {
			return err
		}
		if err := t.forget(tn, e, at); err != nil {
			return err
		}
	}
	if c.State == nil && !tn.recorded && tn.seen.Load().Sealed == nil && (c.Publish != nil || c.Map != nil) {
		c.State = &tn.seen.Load().State
	}
	if c.State != nil {
		if err := tn.seen.Load().Sealed; err != nil && !c.Unseal {
			return err
		}
		if err := t.save(tn, *c.State); err != nil {
			return err
		}
	}
	if c.Publish != nil || c.Withdraw && tn.seen.Load().Published != nil {
		if err := t.publish(tn, c.Publish); err != nil {
			return err
		}
	}
	if c.Map != nil {
		at = t.instant()
		if err := t.assign(tn, c.Map(at.from), &at); err != nil {
			return err
		}
	}
	if err := t.say(tn, c.Audit, at); err != nil {
		return err
	}
	if c.Map != nil || c.Erase != nil {
		return at.pass(t.l.now)
	}
	return nil
}

// see lets the tenant be seen with a part of it changed.
func (tn *tenant) see(edit func(*Snapshot)) {
	next := *tn.seen.Load()
	edit(&next)
	tn.seen.Store(&next)
}

// save writes the vault record.
func (t *term) save(tn *tenant, s State) error {
	key := t.l.cfg.Sealer.Primary()
	value, err := seal(t.l.cfg.Sealer, tn.id, s)
	if err != nil {
		return err
	}
	if err := t.write(t.record(t.l.cfg.Topics.Vault, string(tn.id), schemas.VaultSchema, value)); err != nil {
		return err
	}
	tn.vault, tn.recorded, tn.saved = nil, true, t.l.now()
	tn.see(func(n *Snapshot) { n.State, n.Sealed, n.stale = s, nil, t.sealedWith(key) })
	return nil
}

// sealedWith tells whether another key than that one seals by now.
func (t *term) sealedWith(key uint32) func() bool {
	return func() bool { return t.l.cfg.Sealer.Primary() != key }
}

// publish tells the edge; nil: that there is no connection.
func (t *term) publish(tn *tenant, conn *schemas.Connection) error {
	var value []byte
	if conn != nil {
		value = conn.AppendJSON(nil)
	}
	if err := t.write(t.record(t.l.cfg.Topics.Connections, string(schemas.ConnectionIDOf(tn.id)), schemas.ConnectionSchema, value)); err != nil {
		return err
	}
	tn.see(func(n *Snapshot) { n.Published = conn })
	return nil
}

// assign writes mappings. at becomes the instant from which all of them hold:
// after a clock that stepped back an interval begins where the last one ended,
// which may be later than asked for.
func (t *term) assign(tn *tenant, changed []schemas.Mapping, at *instant) error {
	if len(changed) == 0 {
		*at = instant{} // nothing to wait for
		return nil
	}
	records := make([]*kgo.Record, len(changed))
	for i, m := range changed {
		records[i] = t.record(t.l.cfg.Topics.Mappings, m.Key(), schemas.MappingSchema, m.AppendJSON(nil))
		if n := len(m.Intervals); n > 0 {
			if from := m.Intervals[n-1].From; from.After(at.from) {
				at.from = from
			}
		}
	}
	if err := t.write(records...); err != nil {
		return err
	}
	tn.see(func(n *Snapshot) { n.Mappings = with(n.Mappings, changed) })
	if late := t.l.now().Sub(at.from); late > 0 {
		// Events that arrived in between may have been judged without them.
		t.l.breaches.Inc()
		t.l.log.Warn("mappings were acknowledged after the instant from which they hold",
			"tenant", tn.id, "mappings", len(changed), "late", late)
	}
	return nil
}

// with is a copy of the mappings in which some are replaced.
func with(now map[schemas.AgentID]schemas.Mapping, changed []schemas.Mapping) map[schemas.AgentID]schemas.Mapping {
	next := make(map[schemas.AgentID]schemas.Mapping, len(now)+len(changed))
	for agent, m := range now {
		next[agent] = m
	}
	for _, m := range changed {
		next[m.Agent] = m
	}
	return next
}

// say writes what is said of a change. It is no table: nothing is read back, and
// what a deposed instance says late it did say.
func (t *term) say(tn *tenant, said []schemas.Change, at instant) error {
	if len(said) == 0 {
		return nil
	}
	if at.from.IsZero() {
		at.from = t.l.now()
	}
	records := make([]*kgo.Record, len(said))
	for i, c := range said {
		c.Tenant = tn.id
		if c.At.IsZero() {
			c.At = at.from
		}
		c = c.Identify()
		records[i] = t.record(t.l.cfg.Topics.Changes, string(tn.id), schemas.ChangeSchema, c.AppendJSON(nil))
	}
	return t.write(records...)
}
