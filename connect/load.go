package connect

import (
	"bytes"
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// load reads the three topics to their ends and then writes what should follow
// from the vault and does not.
func (t *term) load() error {
	topics := t.c.cfg.Topics
	var vaulted map[string]record
	var mapped map[string]schemas.Mapping
	var published map[string]schemas.Connection
	g, ctx := errgroup.WithContext(t.ctx)
	g.Go(func() (err error) {
		vaulted, err = read(ctx, t.c, topics.Vault, schemas.VaultSchema, parseRecord)
		return err
	})
	g.Go(func() (err error) {
		mapped, err = read(ctx, t.c, topics.Mappings, schemas.MappingSchema, schemas.ParseMapping)
		return err
	})
	g.Go(func() (err error) {
		published, err = read(ctx, t.c, topics.Connections, schemas.ConnectionSchema, schemas.ParseConnection)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	ends, err := kafka.EndOffsets(t.ctx, t.producer, topics.Vault)
	if err != nil {
		return err
	}
	t.vault.Store(ends[0])

	mappings := make(map[schemas.Tenant]map[schemas.AgentID]schemas.Mapping)
	for _, m := range mapped {
		if mappings[m.Tenant] == nil {
			mappings[m.Tenant] = make(map[schemas.AgentID]schemas.Mapping)
		}
		mappings[m.Tenant][m.Agent] = m
	}
	for _, r := range vaulted {
		s, stale, err := r.open(t.c.cfg.Sealer)
		if err != nil {
			t.c.log.Error("a vault record does not open; its tenant is left alone until the keyset has its key again",
				"tenant", r.Tenant, "err", err)
			s = state{tenant: r.Tenant}
		}
		tn := t.tenant(r.Tenant)
		if tn.key.Store(t.c.cfg.Sealer.Primary()); stale {
			tn.key.Store(unknownKey)
		}
		tn.seen.Store(&snapshot{state: s, mappings: mappings[r.Tenant], sealed: err})
	}
	return t.reconcile(published)
}

// read reads a topic to its end and returns what it holds for each key.
func read[V any](ctx context.Context, c *Connect, topic, schema string, parse func([]byte) (V, error)) (map[string]V, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reader, err := kafka.NewReader(c.cfg.Kafka, topic, c.log, nil, c.cfg.KafkaOptions...)
	if err != nil {
		return nil, err
	}
	// Without a registry: the metrics of tables are about those that are
	// followed for good.
	tbl := table.New(reader, topic, func(r *kgo.Record) (V, error) {
		if kafka.Schema(r) != schema {
			var none V
			return none, schemas.ErrMalformed
		}
		return parse(r.Value)
	}, c.log, nil)
	ended := make(chan error, 1)
	go func() { ended <- tbl.Run(ctx) }()
	err = tbl.CatchUp(ctx)
	rows := make(map[string]V, tbl.Len())
	for key, v := range tbl.All() {
		rows[key] = v
	}
	stop()
	return rows, errors.Join(err, <-ended)
}

// reconcile writes, for each tenant, what should follow from its vault record
// and is not there: what an instance that was killed between two writes, or in
// the middle of a connect, left undone.
func (t *term) reconcile(published map[string]schemas.Connection) error {
	edge := make(map[schemas.Tenant]schemas.Connection, len(published))
	for _, conn := range published {
		edge[conn.Tenant] = conn
		// One that the vault does not know was killed before it saved: its
		// verifier opens the edge for a webhook that nobody knows.
		t.tenant(conn.Tenant)
	}
	g, ctx := errgroup.WithContext(t.ctx)
	g.SetLimit(32)
	for _, tn := range t.all() {
		g.Go(func() error {
			snap := tn.seen.Load()
			if snap.sealed != nil {
				return nil
			}
			conn, there := edge[tn.id]
			switch {
			case !snap.connected() && there:
				if err := t.withdraw(ctx, tn.id); err != nil {
					return err
				}
			case snap.connected() && (!there || !bytes.Equal(conn.AppendJSON(nil), snap.connection().AppendJSON(nil))):
				if err := t.publish(ctx, snap.connection()); err != nil {
					return err
				}
			}
			_, err := t.assign(ctx, tn)
			return err
		})
	}
	return g.Wait()
}
