package care

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/match"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// checksAtOnce is how many checks are under way in the lane of those who
	// answer: enough for ten thousand tenants in two intervals of five minutes where
	// a check takes two seconds, few enough to leave the machine to those who wait
	// for an answer.
	checksAtOnce = 32

	// hangingAtOnce is how many checks may wait for Halos that do not answer. Each
	// costs a few sockets and kilobytes, and ends after twenty seconds or so.
	hangingAtOnce = 128

	// promptly is how long a check may take in the first lane. A Halo answers in
	// under two seconds as a rule.
	promptly = 3 * time.Second
)

// Run is what an instance does while it acts: it brings the mappings up to date,
// which a crash may have left behind what was saved, calls ready, and looks after
// all tenants until ctx ends. It has the form that [ledger.Ledger.Act] takes.
func (c *Care) Run(ctx context.Context, ready func()) error {
	all, err := c.cfg.Ledger.All()
	if err != nil {
		return err
	}
	g, catchingUp := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for _, snap := range all {
		g.Go(func() error { return c.catchUp(catchingUp, snap.Tenant) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	ready()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.eraseOn(ctx) })
	wg.Go(func() { c.readOn(ctx) })
	c.watch(ctx)
	return nil
}

// catchUp makes a tenant's mappings what they should be.
func (c *Care) catchUp(ctx context.Context, t schemas.Tenant) error {
	turn, err := c.cfg.Ledger.Take(ctx, t)
	if err != nil {
		return err
	}
	defer turn.Back()
	snap := turn.Snapshot()
	if snap.Sealed != nil || snap.State.TenantURL == "" && len(snap.Agents) == 0 {
		return nil
	}
	var change ledger.Change
	if len(c.assign(&change, snap, match.Of(snap).Desired(), schemas.ByConnector)) == 0 {
		return nil
	}
	_, err = turn.Apply(change)
	return err
}

// watch checks every connection, each in its own time, until ctx ends.
//
// There are two lanes. In the first, a check that is not over promptly gives its
// place away and goes on in the second, where those wait whose last check hung. So
// sixty Halos that hang cost the twenty that do not three seconds once, whatever
// time-outs the sixty run into. Who has waited longest is first. A place that becomes
// free is taken at once: were it free until the next scan, a lane would make no more
// checks in a scan than it has places.
func (c *Care) watch(ctx context.Context) {
	every := c.cfg.HealthInterval
	// The scan is a loop over memory; its period is how late a check may be.
	scan := time.NewTicker(min(max(every/20, 50*time.Millisecond), 5*time.Second))
	defer scan.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	prompt, hanging := make(chan struct{}, checksAtOnce), make(chan struct{}, hangingAtOnce)
	for {
		select {
		case <-ctx.Done():
			return
		case <-scan.C:
		}
		for _, tn := range c.due(every) {
			lane := prompt
			if tn.hangs.Load() {
				lane = hanging
			}
			if !tn.busy.CompareAndSwap(false, true) {
				continue
			}
			tn.due = c.now().Add(every*4/5 + rand.N(every*2/5))
			wg.Go(func() {
				defer tn.busy.Store(false)
				select {
				case lane <- struct{}{}: // those who wait are served in their order
					c.checkIn(ctx, tn, lane, hanging)
				case <-ctx.Done():
				}
			})
		}
	}
}

// due are the tenants whose check is due, those who wait longest first.
func (c *Care) due(every time.Duration) []*tenant {
	all, err := c.cfg.Ledger.All()
	if err != nil {
		return nil
	}
	now := c.now()
	var due []*tenant
	for _, snap := range all {
		tn := c.tenant(snap.Tenant)
		if tn.due.IsZero() {
			// New to this term: spread over the interval, so that a take-over does
			// not ask all tenants' Halos at once.
			tn.due = now.Add(rand.N(every))
		}
		if !now.Before(tn.due) && !tn.busy.Load() {
			due = append(due, tn)
		}
	}
	slices.SortFunc(due, func(a, b *tenant) int { return cmp.Compare(a.due.UnixNano(), b.due.UnixNano()) })
	return due
}

// checkIn makes a check in a lane, in which it has a place, and moves it into the
// lane of the hanging when it takes long. Where that is full the check ends.
func (c *Care) checkIn(ctx context.Context, tn *tenant, lane, hanging chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); c.check(ctx, tn) }()
	timer := time.NewTimer(promptly)
	defer timer.Stop()
	select {
	case <-done:
		tn.hangs.Store(false)
		<-lane
		return
	case <-timer.C:
		tn.hangs.Store(true)
	}
	if lane != hanging {
		<-lane
		select {
		case hanging <- struct{}{}:
			lane = hanging
		default:
			cancel()
			<-done
			return
		}
	}
	<-done
	<-lane
}

// readOn asks the read model again and again what unmatched agents cost and which
// deliveries were refused, for all tenants at once: a question for each of ten
// thousand tenants would be ten thousand times the price.
func (c *Care) readOn(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		c.read(ctx)
		timer.Reset(min(c.cfg.HealthInterval/2, time.Minute))
	}
}

func (c *Care) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	now := c.now()
	if unmapped, err := c.cfg.Outcomes.Unmapped(ctx, now.Add(-costSpan)); err == nil {
		c.unmapped.Store(&unmapped)
	} else {
		c.log.Debug("what was skipped cannot be read", "err", err)
	}
	if refused, err := c.cfg.Outcomes.Refused(ctx, now.Add(-refusedSpan)); err == nil {
		c.refused.Store(&refused)
	} else {
		c.log.Debug("what was refused cannot be read", "err", err)
	}
	if arrived, err := c.cfg.Outcomes.LastDeliveries(ctx, now.Add(-rhythmSpan)); err == nil {
		c.arrived.Store(&arrived)
	} else {
		c.log.Debug("what arrived last cannot be read", "err", err)
	}
}
