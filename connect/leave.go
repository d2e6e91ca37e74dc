package connect

import (
	"context"
	"slices"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

const (
	// leaveTimeout bounds a health check's try to remove what we left in Halos.
	// Four answers come before the first removal, and a slow Halo takes 6 s for
	// each. Every try leaves less for the next.
	leaveTimeout = 30 * time.Second

	// remainSpan is how long the remains of a connect that failed are tried. Who
	// meant to connect will have tried again by then, which removes them too.
	remainSpan = time.Hour
)

// remain notes what a registration that failed left in Halo, so that the health
// checks remove it. That is kept in memory only: nothing is saved of credentials
// with which no connection came about. The caller has the tenant's turn.
func (tn *tenant) remain(s state, now time.Time) {
	tn.remains = append(tn.remains, &former{*s.credentials, []string{s.WebhookID}, now.Add(remainSpan)})
	tn.remains = tn.remains[max(0, len(tn.remains)-mostFormer):]
}

// takeUp makes what remains in the state's own Halo a part of what its new
// webhook replaces, and returns what remains in others.
func (s *state) takeUp(remains []*former) (elsewhere []*former) {
	for _, f := range remains {
		if f.TenantURL != s.TenantURL {
			elsewhere = append(elsewhere, f)
			continue
		}
		s.Replaced = append(slices.Clone(s.Replaced), f.Webhooks...)
	}
	return elsewhere
}

// depart removes everything of ours from the Halos that the tenant has moved
// away from, and what failed connects left, best effort: the health checks try
// again where one of them does not answer, and give up after a week, or an hour.
func (t *term) depart(ctx context.Context, tn *tenant, patience time.Duration) error {
	s := tn.seen.Load().state
	if len(s.former)+len(tn.remains) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tn.remains = t.leaveAll(ctx, tn.id, tn.remains, s.WebhookID)
	staying := t.leaveAll(ctx, tn.id, s.former, s.WebhookID)
	if len(staying) == len(s.former) {
		return nil
	}
	s.former = staying
	return t.save(ctx, tn, s)
}

// leaveAll leaves Halos, and returns those that are to be tried again.
func (t *term) leaveAll(ctx context.Context, id schemas.Tenant, all []*former, keep string) (staying []*former) {
	for _, f := range all {
		if !t.leave(ctx, id, f, keep) && t.c.now().Before(f.Until) {
			staying = append(staying, f)
		}
	}
	return staying
}

// leave removes everything of ours from a former Halo but keep, and says whether
// it did. What it must keep is the current webhook: the former Halo may be the
// current one under another name.
func (t *term) leave(ctx context.Context, id schemas.Tenant, f *former, keep string) bool {
	halo, err := t.c.dial(id, f.Credentials)
	if err == nil {
		defer halo.Close()
		err = t.sweep(ctx, halo, id, keep, f.Webhooks...)
	}
	if err != nil {
		t.c.log.Warn("the webhook may be left in Halo; its deliveries are refused", "tenant", id, "err", err)
	}
	return err == nil
}
