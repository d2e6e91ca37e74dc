package connect

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/schemas"
)

// findings are the facts of the last look at a tenant's Halo, from which state
// and problems are judged.
type findings struct {
	At time.Time `json:"at,omitzero"` // when the webhook was last seen or found missing

	// Failure is why Halo could not be asked the last time; nil: it could.
	Failure *failure `json:"failure,omitempty"`
	// Agents is why the list of agents could not be read the last time.
	Agents *failure `json:"agents,omitempty"`

	Gone           bool           `json:"gone,omitempty"` // Halo does not have the webhook any more
	Inactive       bool           `json:"inactive,omitempty"`
	Elsewhere      bool           `json:"elsewhere,omitempty"` // it posts to another address
	AutoDisabledAt time.Time      `json:"auto_disabled_at,omitzero"`
	LastStatus     int            `json:"last_status,omitempty"` // HTTP status of its last delivery
	Events         []schemas.Kind `json:"events,omitempty"`      // bound to it

	// SilentSince is the last delivery, where the silence since then is longer
	// than any of the two weeks before it.
	SilentSince time.Time `json:"silent_since,omitzero"`
}

// failure is a failed call in the words of package halopsa: nothing in it comes
// from Halo.
type failure struct {
	Cause   halopsa.Cause `json:"cause"`
	Message string        `json:"message"`
	Action  string        `json:"action"`
}

func failureOf(err error) *failure {
	if e, ok := errors.AsType[*halopsa.Error](err); ok {
		return &failure{e.Cause, e.Message, e.Action}
	}
	return nil
}

// look takes in what Halo says about the webhook.
func (f *findings) look(w halopsa.Webhook, url string, kindOf func(halopsa.Notification) (schemas.Kind, bool), now time.Time) {
	f.At = schemas.Truncate(now)
	f.Failure, f.Gone = nil, false
	f.Inactive = !w.Active || w.Disabled
	f.Elsewhere = !sameURL(w.URL, url)
	f.AutoDisabledAt, f.LastStatus = w.AutoDisabledAt, w.LastStatus
	f.Events = nil
	for _, kind := range schemas.Kinds() {
		is := func(n halopsa.Notification) bool { k, ok := kindOf(n); return ok && k == kind }
		if slices.ContainsFunc(w.Events, is) {
			f.Events = append(f.Events, kind)
		}
	}
}

// active says whether the webhook, as last seen, delivers to us.
func (f findings) active() bool {
	return !f.At.IsZero() && !f.Gone && !f.Inactive && !f.Elsewhere
}

// same compares findings but for the time at which they were made: what is
// found again is not written again.
func (f findings) same(g findings) bool {
	sameFailure := func(a, b *failure) bool { return a == b || a != nil && b != nil && *a == *b }
	return sameFailure(f.Failure, g.Failure) && sameFailure(f.Agents, g.Agents) &&
		f.Gone == g.Gone && f.Inactive == g.Inactive && f.Elsewhere == g.Elsewhere &&
		f.AutoDisabledAt.Equal(g.AutoDisabledAt) && f.LastStatus == g.LastStatus && slices.Equal(f.Events, g.Events) &&
		f.SilentSince.Equal(g.SilentSince)
}

// checks at once: enough for thousands of tenants in five minutes, few enough
// to leave the machine to those who wait for an answer.
const checksAtOnce = 16

// What is left of a tenant's allowance of requests for those who change
// something and wait for it: a connect takes some 20, and one more for every 50
// agents. Health checks of a connection that is checked every few seconds, or a
// page that keeps asking for the diagnosis, would use up all of it, and a
// disconnect could not even remove its webhook.
const (
	leftByChecks    = 50
	leftByDiagnoses = 40
)

// mayAsk says whether the tenant's Halo may be asked by something that must
// leave that many requests.
func (t *term) mayAsk(tn *tenant, leave int) bool {
	s := tn.seen.Load().state
	if !s.connected() {
		return true
	}
	halo, err := tn.client(t.c, s.credentials)
	return err != nil || halo.Left() > leave
}

// watch checks every connection, each in its own time, until the term ends.
func (t *term) watch() {
	every := t.c.cfg.HealthInterval
	// The scan is a loop over memory; its period is how late a check may be.
	scan := time.NewTicker(min(max(every/20, 50*time.Millisecond), 5*time.Second))
	defer scan.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, checksAtOnce)
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-scan.C:
		}
		now := t.c.now()
		for _, tn := range t.all() {
			if tn.due.IsZero() {
				// New to this term: spread over the interval, so that a
				// take-over does not ask all tenants' Halos at once.
				tn.due = now.Add(rand.N(every))
			}
			if now.Before(tn.due) || !tn.busy.CompareAndSwap(false, true) {
				continue
			}
			select {
			case slots <- struct{}{}:
			default:
				tn.busy.Store(false)
				continue // at the next scan
			}
			tn.due = now.Add(every*4/5 + rand.N(every*2/5))
			wg.Go(func() {
				defer func() { tn.busy.Store(false); <-slots }()
				if t.mayAsk(tn, leftByChecks) {
					t.check(t.ctx, tn)
				}
			})
		}
	}
}

// check looks at one connection and saves what changed. Halo is asked without
// the tenant's turn, so that a slow one keeps nobody waiting; what was found of
// a webhook that has been replaced meanwhile is dropped. The caller has made the
// tenant busy.
func (t *term) check(ctx context.Context, tn *tenant) {
	tn.looked = t.c.now()
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	before := tn.seen.Load()
	if before.sealed != nil {
		return
	}
	found := before.Findings
	var bound []halopsa.Notification
	if before.connected() {
		found, bound = t.inspect(ctx, tn, before.state)
		if ctx.Err() != nil && t.ctx.Err() != nil {
			return
		}
		t.c.metrics.check(found)
	}

	back, err := tn.take(ctx)
	if err != nil {
		return
	}
	defer back()
	now := tn.seen.Load()
	if now.WebhookID != before.WebhookID || now.credentials != before.credentials {
		return
	}
	found.Agents = now.Findings.Agents // a refresh in between knows better
	next, news := now.withBound(bound)
	same := next.Findings.same(found)
	next.Findings = found
	switch {
	case !same || news || tn.reseal(t.c.cfg.Sealer):
		if err := t.save(ctx, tn, next); err != nil {
			t.c.log.Warn("findings of a health check were not saved", "tenant", tn.id, "err", err)
			return
		}
		if !same {
			state, _ := judge(next)
			t.c.log.Info("connection changed", "tenant", tn.id, "state", state)
		}
		if news { // the edge knows their kinds by name until then
			if err := t.publish(ctx, next.connection()); err != nil {
				t.c.log.Warn("the edge was not told of events that were bound in Halo", "tenant", tn.id, "err", err)
				return
			}
		}
	default:
		// Only the time of the look is new. It is shown and not written: a
		// record every five minutes for each tenant would say nothing.
		snap := *now
		snap.state = next
		tn.seen.Store(&snap)
	}
	if next.connected() && next.Untidy && found.Failure == nil {
		if halo, err := tn.client(t.c, next.credentials); err == nil {
			if err := t.tidy(ctx, tn, halo); err != nil {
				t.c.log.Warn("webhooks were tidied and that was not saved", "tenant", tn.id, "err", err)
			}
		}
	}
	if err := t.depart(ctx, tn, leaveTimeout); err != nil {
		t.c.log.Warn("a former Halo was left and that was not saved", "tenant", tn.id, "err", err)
	}
}

// inspect asks Halo: is the token still granted, with all scopes, and how is
// the webhook. bound are the events that it listens to.
func (t *term) inspect(ctx context.Context, tn *tenant, s state) (f findings, bound []halopsa.Notification) {
	f = s.Findings
	halo, err := tn.client(t.c, s.credentials)
	if err == nil {
		// Anew each time: a token at hand stays good for an hour after the
		// secret was replaced or a scope taken away.
		err = halo.Authenticate(ctx)
	}
	var hook halopsa.Webhook
	if err == nil {
		hook, err = halo.Webhook(ctx, s.WebhookID)
	}
	switch cause := halopsa.CauseOf(err); {
	case err == nil:
		bound = hook.Events
		f.look(hook, t.c.webhookURL(tn.id), s.kindOf, t.c.now())
	case cause == halopsa.NotFound:
		f.At, f.Failure = schemas.Truncate(t.c.now()), nil
		f.Gone, f.Events = true, nil
	case cause == halopsa.RateLimited, cause == "":
		// Nothing was learnt: Halo is there, or we were interrupted.
	default:
		f.Failure = failureOf(err)
	}
	if now := t.c.now(); !now.Before(tn.listen) {
		tn.listen = now.Add(min(30*time.Minute, 6*t.c.cfg.HealthInterval))
		if since, ok := t.silence(ctx, tn.id); ok {
			f.SilentSince = since
		}
	}
	return f, bound
}

// note keeps a failure of Halo that an operation met, so that the connection's
// state says it at once, and returns the failure.
func (t *term) note(ctx context.Context, tn *tenant, err error) error {
	f := failureOf(err)
	if f == nil || f.Cause == halopsa.RateLimited {
		return err
	}
	s := tn.seen.Load().state
	before := s.Findings
	if s.Findings.Failure = f; !s.Findings.same(before) {
		if saveErr := t.save(ctx, tn, s); saveErr != nil {
			return errors.Join(err, saveErr)
		}
	}
	return err
}
