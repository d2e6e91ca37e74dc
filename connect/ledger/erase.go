package ledger

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/schemas"
)

// erase writes the erasure's record: whoever writes rows obeys it from then on.
func (t *term) erase(tn *tenant, e schemas.Erasure) error {
	if err := t.write(t.record(t.l.cfg.Topics.Erasures, e.Key(), schemas.ErasureSchema, e.AppendJSON(nil))); err != nil {
		return err
	}
	tn.see(func(n *Snapshot) {
		n.Erasures = maps.Clone(n.Erasures)
		if n.Erasures == nil {
			n.Erasures = make(map[string]schemas.Erasure)
		}
		n.Erasures[e.Key()] = e
	})
	return nil
}

// running says whether the last thing that was asked for is not done yet.
func running(e schemas.Erasure) bool {
	n := len(e.Receipts)
	return n == 0 || e.Receipts[n-1].Done.IsZero()
}

// forget writes all that follows from an erasure that runs, and nothing where
// all has been written. The intervals that are open end at the instant at. The
// caller has the tenant's turn.
func (t *term) forget(tn *tenant, e schemas.Erasure, at instant) error {
	switch {
	case !running(e):
		return nil
	case e.User == "":
		return t.forgetTenant(tn)
	}
	snap := tn.seen.Load()
	next := snap.State
	next.Users = slices.DeleteFunc(slices.Clone(next.Users), func(u User) bool { return u.ID == e.User })
	next.Hand, next.Kept = maps.Clone(next.Hand), maps.Clone(next.Kept)
	his := func(_ schemas.AgentID, u schemas.UserID) bool { return u == e.User }
	maps.DeleteFunc(next.Hand, his)
	maps.DeleteFunc(next.Kept, his)
	if len(next.Users) != len(snap.Users) || len(next.Hand) != len(snap.Hand) || len(next.Kept) != len(snap.Kept) {
		if err := t.save(tn, next); err != nil {
			return err
		}
	}
	var changed []schemas.Mapping
	for _, m := range snap.Mappings {
		if slices.ContainsFunc(m.Intervals, func(iv schemas.Interval) bool { return iv.User == e.User && iv.From.Before(e.At) }) {
			changed = append(changed, m.Erase(e.User, at.from))
		}
	}
	return t.assign(tn, changed, &at)
}

// forgetTenant removes what there is of a tenant. The vault record is the last:
// while it is there, the rest is no loss. In the order of the writes, deliveries
// are refused first.
func (t *term) forgetTenant(tn *tenant) error {
	snap := tn.seen.Load()
	if snap.Published != nil {
		if err := t.publish(tn, nil); err != nil {
			return err
		}
	}
	gone := make([]*kgo.Record, 0, len(snap.Mappings))
	for _, m := range snap.Mappings {
		gone = append(gone, t.record(t.l.cfg.Topics.Mappings, m.Key(), schemas.MappingSchema, nil))
	}
	if err := t.write(gone...); err != nil {
		return err
	}
	if tn.recorded {
		if err := t.write(t.record(t.l.cfg.Topics.Vault, string(tn.id), schemas.VaultSchema, nil)); err != nil {
			return err
		}
	}
	tn.vault, tn.recorded = nil, false
	tn.see(func(n *Snapshot) { *n = Snapshot{Tenant: n.Tenant, Erasures: n.Erasures} })
	return nil
}
