package ledger

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// begin makes this instance the one that writes, and knows everything when it
// returns nil. In this order:
//
//  1. Read the tables to their ends, for the greatest epoch. Nothing is written:
//     a crash, or a freeze of any length, concerns nobody.
//  2. Write the marker of the next epoch to the vault and read on up to it. Where
//     it is the first of its epoch the term has begun: whatever others write to
//     the vault behind it does not count. Else another was faster, and this one
//     gives way. Killed here: the epoch is spent, and the tables have no other
//     writer until the next.
//  3. Write the marker to the other tables and read each up to it. What the
//     former instance writes to a table before its marker counts, and is read;
//     what comes behind it does not. So what this instance knows from here on is
//     what every reader knows, and nobody but itself can change it.
//  4. Make the tenants of what was read.
//  5. Write anew what a deposed instance wrote late, and what should follow from
//     the vault and does not. Each is a write as any other: killed in between, the
//     next does the rest.
func (t *term) begin() error {
	if err := t.win(); err != nil {
		return err
	}
	return t.putRight(t.know())
}

// win makes this instance the one that writes: steps 1 to 3 of begin.
func (t *term) win() error {
	if err := t.each(func(ctx context.Context, log *table.Log) error { return log.CatchUp(ctx) }); err != nil { // 1
		return err
	}
	epoch := uint64(0)
	for _, log := range t.logs {
		met, _ := log.Epoch()
		epoch = max(epoch, met)
	}
	t.epoch.Store(epoch + 1)
	if err := t.mark(t.l.cfg.Topics.Vault); err != nil { // 2
		return err
	}
	g := new(errgroup.Group)
	for _, topic := range tables(t.l.cfg.Topics)[1:] { // 3
		g.Go(func() error { return t.mark(topic) })
	}
	return g.Wait()
}

// each does the same with all tables at once.
func (t *term) each(do func(context.Context, *table.Log) error) error {
	g, ctx := errgroup.WithContext(t.ctx)
	for _, log := range t.logs {
		g.Go(func() error { return do(ctx, log) })
	}
	return g.Wait()
}

// mark writes the term's marker to a topic and reads on up to it. It fails where
// the topic has met the term's epoch, or a greater one, before.
func (t *term) mark(topic string) error {
	epoch := t.epoch.Load()
	at, err := t.produce(table.Marker(topic, schemas.Term{Epoch: epoch, Instance: t.l.cfg.Instance}))
	if err != nil {
		return err
	}
	if met, since := t.logs[topic].Epoch(); met != epoch || since != at[topic] {
		return fmt.Errorf("%w: %s has met epoch %d", ErrDeposed, topic, met)
	}
	return nil
}

// found is what the tables were found to hold: of each key the last record that
// counts.
type found struct {
	vault       map[string]*kgo.Record
	connections map[string]schemas.Connection
	mappings    map[string]schemas.Mapping
	erasures    map[string]schemas.Erasure

	// late are the keys, by topic, behind whose last record that counts a late
	// one was written.
	late map[string]map[string]bool
}

func newFound() *found {
	return &found{
		vault: make(map[string]*kgo.Record), connections: make(map[string]schemas.Connection),
		mappings: make(map[string]schemas.Mapping), erasures: make(map[string]schemas.Erasure),
		late: make(map[string]map[string]bool),
	}
}

func (f *found) take(topics schemas.Topics, topic string, records []table.Record, log *slog.Logger) {
	late := f.late[topic]
	if late == nil {
		late = make(map[string]bool)
		f.late[topic] = late
	}
	for _, r := range records {
		key := string(r.Key)
		if r.Late {
			late[key] = true
			continue
		}
		delete(late, key)
		var err error
		switch topic {
		case topics.Vault:
			// A copy: what it was fetched with is a megabyte.
			f.vault[key] = &kgo.Record{Topic: topic, Key: r.Key, Value: bytes.Clone(r.Value), Headers: slices.Clone(r.Headers), Timestamp: r.Timestamp}
			if r.Value == nil {
				delete(f.vault, key)
			}
		case topics.Connections:
			err = keep(f.connections, key, r, schemas.ConnectionSchema, schemas.ParseConnection)
		case topics.Mappings:
			err = keep(f.mappings, key, r, schemas.MappingSchema, schemas.ParseMapping)
		case topics.Erasures:
			err = keep(f.erasures, key, r, schemas.ErasureSchema, schemas.ParseErasure)
		}
		if err != nil {
			log.Error("record of a table does not parse, its key keeps the previous value", "topic", topic, "offset", r.Offset, "err", err)
		}
	}
}

// keep notes what a record says of its key. One that does not parse says nothing,
// to whoever reads the table.
func keep[V any](rows map[string]V, key string, r table.Record, schema string, parse func([]byte) (V, error)) error {
	if r.Value == nil {
		delete(rows, key)
		return nil
	}
	if kafka.Schema(r.Record) != schema {
		return schemas.ErrMalformed
	}
	v, err := parse(r.Value)
	if err == nil {
		rows[key] = v
	}
	return err
}

// know makes the tenants: one of each that any table names. Where the vault has
// no record of one that has a mapping, or for which the edge takes deliveries,
// the record was lost: every write of another table comes after it, see
// [term.apply], and an erasure removes it last. What is read meanwhile waits.
func (t *term) know() *found {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, now := t.found, t.l.now()
	t.found = nil
	snaps := make(map[schemas.Tenant]*Snapshot)
	of := func(id schemas.Tenant) *Snapshot {
		if snaps[id] == nil {
			snaps[id] = &Snapshot{Tenant: id}
		}
		return snaps[id]
	}
	for key := range f.vault {
		if id, err := schemas.ParseTenant(key); err == nil {
			of(id)
		}
	}
	for _, conn := range f.connections {
		s := of(conn.Tenant)
		s.Published = &conn
		if verifies(conn, now) {
			s.Sealed = errLost
		}
	}
	for _, m := range f.mappings {
		s := of(m.Tenant)
		if s.Mappings == nil {
			s.Mappings = make(map[schemas.AgentID]schemas.Mapping)
		}
		s.Mappings[m.Agent], s.Sealed = m, errLost
	}
	for key, e := range f.erasures {
		s := of(e.Tenant)
		if s.Erasures == nil {
			s.Erasures = make(map[string]schemas.Erasure)
		}
		s.Erasures[key] = e
	}
	g := new(errgroup.Group)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for id, s := range snaps {
		tn := newTenant(id)
		t.tenants[id] = tn
		tn.seen.Store(s)
		if tn.vault = f.vault[string(id)]; tn.vault != nil {
			tn.recorded, tn.saved = true, tn.vault.Timestamp
			g.Go(func() error {
				key := t.l.cfg.Sealer.Primary() // before it is opened: a key that comes meanwhile is newer
				var old bool
				if s.State, old, s.Sealed = open(t.l.cfg.Sealer, tn.vault); old {
					key = 0 // so it stays stale until it is sealed again
				}
				s.stale = t.sealedWith(key)
				if s.Sealed == nil {
					tn.vault = nil // it can be made again
				}
				return nil
			})
		}
	}
	_ = g.Wait() // none fails
	for id, s := range snaps {
		if s.Sealed != nil {
			t.l.log.Error("a tenant is sealed and left alone until somebody decides", "tenant", id, "err", s.Sealed)
		}
	}
	return f
}

// errLost is why a tenant is sealed that has no vault record.
var errLost = fmt.Errorf("%w: its record is missing", ErrSealed)

// putRight writes what the tables should hold and do not.
func (t *term) putRight(f *found) error {
	const atOnce = 32
	g := new(errgroup.Group)
	g.SetLimit(atOnce)
	for topic, late := range f.late {
		for key := range late {
			g.Go(func() error { return t.supersede(topic, key) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	g = new(errgroup.Group)
	g.SetLimit(atOnce)
	for _, tn := range t.tenants { // it is not added to before the term acts
		g.Go(func() error { return t.follow(tn) })
	}
	return g.Wait()
}

// verifies says whether the edge takes deliveries for the connection.
func verifies(conn schemas.Connection, now time.Time) bool {
	return slices.ContainsFunc(conn.Verifiers, func(v schemas.Verifier) bool { return v.Until.IsZero() || now.Before(v.Until) })
}

// follow writes what follows from what is known of a tenant and was not written:
// erasures that were begun, and what the edge should know. What is sealed tells
// nothing of the edge.
func (t *term) follow(tn *tenant) error {
	<-tn.turn
	defer func() { tn.turn <- struct{}{} }()
	for _, e := range tn.seen.Load().Erasures {
		// A record that was saved after the erasure is of somebody who came back.
		if tn.recorded && !tn.saved.Before(e.At) {
			continue
		}
		if err := t.forget(tn, e, t.instant()); err != nil {
			return err
		}
	}
	snap := tn.seen.Load()
	if snap.Sealed != nil || !tn.recorded {
		return nil
	}
	switch conn := snap.Connection(tn.id); {
	case !snap.Connected() && snap.Published != nil:
		return t.publish(tn, nil)
	case snap.Connected() && (snap.Published == nil || !bytes.Equal(snap.Published.AppendJSON(nil), conn.AppendJSON(nil))):
		return t.publish(tn, &conn)
	}
	return nil
}
