package care

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// eraseAgain is how long after a deletion ClickHouse is looked at again. What
	// the sink held when the erasure was written it may still append; it reads the
	// erasure before its next batch.
	eraseAgain = 3 * time.Second

	// eraseSpan is how old an erasure must be before no row means done.
	eraseSpan = 5 * time.Second

	// An insert that was under way when the sink learnt of the erasure may still
	// land: whoever sends it gives it up after a minute, and ClickHouse as late. So
	// what is done is looked at for longer than that, if more seldom.
	lateSpan  = 3 * time.Minute
	lateAgain = 10 * time.Second

	// eraseTimeout bounds one deletion.
	eraseTimeout = 30 * time.Second
)

// Erase erases a person: the user, and what is known by his id. In this order:
//
//  1. The erasure is written: from here on processor and sink leave him out, from
//     a replay too. Killed here or later: the next term goes on.
//  2. He is taken out of the directory and out of what was decided by hand, and of
//     his intervals the times stay. Then the call is answered.
//  3. His rows are deleted from ClickHouse, until there are none.
//  4. The receipt says that it is done.
func (c *Care) Erase(ctx context.Context, t schemas.Tenant, by string, user schemas.UserID) (control.Erasure, error) {
	ctx, cancel := operation(ctx)
	defer cancel()
	turn, err := c.take(ctx, t)
	if err != nil {
		return control.Erasure{}, explain(err)
	}
	defer turn.Back()
	receipt, err := c.begin(turn, user, by, nil)
	return receipt, explain(err)
}

// begin writes an erasure. Of the audit trail he is no part.
func (c *Care) begin(turn *ledger.Turn, user schemas.UserID, by string, left []string) (control.Erasure, error) {
	s := turn.Snapshot()
	var made schemas.Erasure
	_, err := turn.Apply(ledger.Change{
		Erase: func(at time.Time) schemas.Erasure {
			made = s.Erasures[schemas.ErasureKey(s.Tenant, user)]
			receipt := schemas.NewReceipt(s.Tenant, user, at)
			receipt.LeftInHalo = left
			made.Tenant, made.User, made.At = s.Tenant, user, receipt.At
			made.Receipts = append(slices.Clone(made.Receipts), receipt)
			return made
		},
		Audit: []schemas.Change{{By: by, Change: schemas.ChangeErase, Result: "ok"}},
	})
	if err != nil {
		return control.Erasure{}, err
	}
	return c.receipt(made, len(made.Receipts)-1), nil
}

// EraseTenant disconnects the tenant and erases everything of it. A repeat returns
// the receipt of the first. In this order:
//
//  1. The verifier is withdrawn: deliveries get 401. Killed here: the next term
//     publishes it again, and the call was not answered.
//  2. One bounded try to remove what is ours in Halo.
//  3. The erasure is written, with what was left in Halo; then what is known of the
//     tenant is removed, the vault record last.
//  4. Rows and receipt as with a person.
func (c *Care) EraseTenant(ctx context.Context, t schemas.Tenant, by string) (control.Erasure, error) {
	ctx, cancel := operation(ctx)
	defer cancel()
	receipt, err := c.eraseTenant(ctx, c.tenant(t), by)
	return receipt, explain(err)
}

func (c *Care) eraseTenant(ctx context.Context, tn *tenant, by string) (control.Erasure, error) {
	turn, err := c.take(ctx, tn.id)
	if err != nil {
		return control.Erasure{}, err
	}
	defer turn.Back()
	s := turn.Snapshot()
	if !s.Known() && s.Users == nil && len(s.Mappings) == 0 && s.Published == nil {
		e, was := s.Erasures[schemas.ErasureKey(tn.id, "")]
		if !was || len(e.Receipts) == 0 {
			return control.Erasure{}, control.ErrUnknownTenant
		}
		return c.receipt(e, len(e.Receipts)-1), nil
	}
	left := slices.Clone(s.LeftInHalo)
	if s.Published != nil {
		if _, err := turn.Apply(ledger.Change{Withdraw: true}); err != nil {
			return control.Erasure{}, err
		}
	}
	switch {
	case s.Sealed != nil:
		left = append(left, "the webhook "+WebhookName+": the credentials for its removal are lost")
	case s.Connected():
		left = append(left, c.leave(ctx, tn, turn, s)...)
		tn.forget()
	}
	return c.begin(turn, "", by, left)
}

// Erasures are the receipts, newest first; also of a tenant that is gone.
func (c *Care) Erasures(_ context.Context, t schemas.Tenant) ([]control.Erasure, error) {
	s, err := c.snapshot(t)
	if err != nil {
		return nil, err
	}
	all := []control.Erasure{}
	for _, e := range s.Erasures {
		for i := range e.Receipts {
			all = append(all, c.receipt(e, i))
		}
	}
	slices.SortFunc(all, func(a, b control.Erasure) int { return cmp.Or(b.At.Compare(a.At), strings.Compare(a.ID, b.ID)) })
	return all, nil
}

// receipt is the erasure's receipt i as the API shows it: with each store in which
// something of it may lie, and until when.
func (c *Care) receipt(e schemas.Erasure, i int) control.Erasure {
	r := e.Receipts[i]
	out := control.Erasure{
		ID: r.ID.String(), UserID: e.User, At: r.At, State: control.ErasureRunning, Rows: int64(r.Rows), LeftInHalo: r.LeftInHalo,
		Stores: []control.Store{{Store: "clickhouse", GoneBy: stamp(r.Done)}},
	}
	if !r.Done.IsZero() {
		out.State = control.ErasureDone
	}
	topics := c.cfg.Topics
	for _, spec := range topics.Specs() {
		// Events and connections tell nothing of a user; refused deliveries
		// nothing of a person.
		ofTenant := slices.Contains([]string{topics.Events, topics.Skipped, topics.Connections, topics.Deliveries, topics.Reached, topics.Dead}, spec.Name)
		if spec.Name == topics.Erasures || ofTenant && e.User != "" {
			continue
		}
		keeps := spec.Retention
		if spec.Compact {
			keeps = compacted
		}
		out.Stores = append(out.Stores, control.Store{Store: spec.Name, GoneBy: stamp(r.At.Add(keeps))})
	}
	return out
}

// compacted is how long a compacted topic may hold a record that was written over:
// a week until its segment is compacted, and a day for the segment to be closed.
const compacted = 8 * 24 * time.Hour

// eraseOn brings erasures that run to their end, until ctx is done: those that were
// asked for, and those that a former instance began.
func (c *Care) eraseOn(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := make(map[string]time.Time) // by key, when its rows were deleted last
	rows := make(map[schemas.ID]uint64)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all, err := c.cfg.Ledger.All()
		if err != nil {
			continue
		}
		for _, s := range all {
			for key, e := range s.Erasures {
				if len(e.Receipts) == 0 {
					continue
				}
				pause, r := eraseAgain, e.Receipts[len(e.Receipts)-1]
				if !r.Done.IsZero() {
					pause = lateAgain
					if c.now().Sub(r.At) > lateSpan {
						continue
					}
				}
				if c.now().Sub(last[key]) >= pause {
					c.eraseRows(ctx, e, rows)
					last[key] = c.now()
				}
			}
		}
	}
}

// eraseRows deletes the rows of an erasure, and ends it when there are none.
func (c *Care) eraseRows(ctx context.Context, e schemas.Erasure, rows map[schemas.ID]uint64) {
	ctx, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	r := e.Receipts[len(e.Receipts)-1]
	n, err := c.cfg.Eraser.Erase(ctx, e.Tenant, e.User, e.At)
	if err != nil {
		c.log.Warn("rows of an erasure were not deleted, trying again", "tenant", e.Tenant, "err", err)
		return
	}
	if !r.Done.IsZero() {
		if n > 0 {
			c.log.Info("rows of an erasure that came late were deleted", "tenant", e.Tenant, "rows", n)
		}
		return
	}
	if rows[r.ID] += n; n > 0 || c.now().Sub(e.At) < eraseSpan {
		return
	}
	turn, err := c.take(ctx, e.Tenant)
	if err != nil {
		return
	}
	defer turn.Back()
	now := turn.Snapshot().Erasures[e.Key()]
	if len(now.Receipts) != len(e.Receipts) { // it was asked for again
		return
	}
	_, err = turn.Apply(ledger.Change{Erase: func(time.Time) schemas.Erasure {
		now.Receipts = slices.Clone(now.Receipts)
		for i := range now.Receipts {
			r := &now.Receipts[i]
			if r.Done.IsZero() {
				r.Done, r.Rows = schemas.Truncate(c.now()), rows[r.ID]
			}
		}
		return now
	}})
	if err != nil {
		c.log.Warn("an erasure is done and that was not saved", "tenant", e.Tenant, "err", err)
		return
	}
	delete(rows, r.ID)
}
