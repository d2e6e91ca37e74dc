package ledger

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// supersede writes a key anew behind which a late record was written: compaction
// keeps the last one of a key, and that must be one that counts.
func (t *term) supersede(topic, key string) error {
	if tn := t.whose(topic, key); tn != nil {
		select {
		case <-tn.turn:
			defer func() { tn.turn <- struct{}{} }()
		case <-t.ctx.Done():
			return t.over()
		}
	}
	return t.write(t.anew(topic, key))
}

// anew is the record that says of a key what counts. The caller has the turn of
// the tenant whose key it is.
func (t *term) anew(topic, key string) *kgo.Record {
	topics := t.l.cfg.Topics
	var (
		schema string
		value  []byte // nil: nothing is known of the key
		snap   = &Snapshot{}
	)
	tn := t.whose(topic, key)
	if tn != nil {
		snap = tn.seen.Load()
	}
	switch topic {
	case topics.Vault:
		schema = schemas.VaultSchema
		switch {
		case tn == nil || !tn.recorded:
		case tn.vault != nil:
			// It does not open. As it was found, to the last byte.
			return table.Stamp(&kgo.Record{Topic: topic, Key: tn.vault.Key, Value: tn.vault.Value, Headers: unstamped(tn.vault.Headers)}, t.epoch.Load())
		default:
			value, _ = seal(t.l.cfg.Sealer, tn.id, snap.State) // it did fit
		}
	case topics.Connections:
		if schema = schemas.ConnectionSchema; snap.Published != nil {
			value = snap.Published.AppendJSON(nil)
		}
	case topics.Mappings:
		schema = schemas.MappingSchema
		_, agent, _ := schemas.ParseMappingKey(key)
		if m, ok := snap.Mappings[agent]; ok {
			value = m.AppendJSON(nil)
		}
	case topics.Erasures:
		schema = schemas.ErasureSchema
		if e, ok := snap.Erasures[key]; ok {
			value = e.AppendJSON(nil)
		}
	}
	return t.record(topic, key, schema, value)
}

// whose is the tenant whose key it is; nil where that is nobody known.
func (t *term) whose(topic, key string) *tenant {
	topics := t.l.cfg.Topics
	t.mu.Lock()
	defer t.mu.Unlock()
	id := schemas.Tenant(key)
	switch topic {
	case topics.Connections:
		for id, tn := range t.tenants {
			if string(schemas.ConnectionIDOf(id)) == key {
				return tn
			}
		}
		return nil
	case topics.Mappings:
		id, _, _ = schemas.ParseMappingKey(key)
	case topics.Erasures:
		id, _, _ = schemas.ParseErasureKey(key)
	}
	return t.tenants[id]
}

// unstamped are the headers without the epoch.
func unstamped(headers []kgo.RecordHeader) []kgo.RecordHeader {
	return slices.DeleteFunc(slices.Clone(headers), func(h kgo.RecordHeader) bool { return h.Key == schemas.HeaderEpoch })
}
