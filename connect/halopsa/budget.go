package halopsa

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/worksights/halo-connector/schemas"
)

// A tenant is asked at most 300 times in any five minutes. Halo allows 450 or
// 700 (published figures differ), to all integrations of the tenant together.
//
// A bucket of size B that refills at r lets B + 300s × r through in the worst
// five minutes: 150 + 300 × 0.5 = 300. The bucket is large because a connect
// comes at once: some 15 requests, and one for every 50 agents.
const (
	burst             = 150
	refill rate.Limit = 0.5 // requests a second

	firstPause = 5 * time.Second
	lastPause  = 60 * time.Second

	// maxRefusals ends a request whose caller set no deadline: the pauses
	// before it gives up add up to 5 + 10 + 20 + 40 + 60 seconds.
	maxRefusals = 6
)

// A Budget is what may still be asked of one tenant's Halo. All clients of a
// tenant share one, so that a reconnect, a refresh and a health check cannot
// together exceed it, and so that all of them are quiet when Halo tells one of
// them to slow down.
type Budget struct {
	bucket *rate.Limiter

	mu        sync.Mutex
	pause     time.Duration // the last pause, 0 after an answer that was not 429
	notBefore time.Time     // until then nobody asks
	refusedAt time.Time
}

// NewBudget returns a full budget.
func NewBudget() *Budget {
	return &Budget{bucket: rate.NewLimiter(refill, burst)}
}

// Limits keeps one budget for each tenant. The zero value is ready to use.
type Limits struct {
	mu      sync.Mutex
	budgets map[schemas.Tenant]*Budget
}

// Of returns the tenant's budget, the same one each time.
func (l *Limits) Of(tenant schemas.Tenant) *Budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.budgets[tenant]
	if !ok {
		if l.budgets == nil {
			l.budgets = make(map[schemas.Tenant]*Budget)
		}
		b = NewBudget()
		l.budgets[tenant] = b
	}
	return b
}

// wait returns when one more request may be sent. When that would be after
// ctx's deadline it returns false at once: the caller can say so now instead of
// a minute later.
func (b *Budget) wait(ctx context.Context) bool {
	for {
		b.mu.Lock()
		pause := time.Until(b.notBefore)
		b.mu.Unlock()
		if pause <= 0 {
			break
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
			return false
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
	return b.bucket.Wait(ctx) == nil
}

// left is how many requests may be sent now without waiting.
func (b *Budget) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().Before(b.notBefore) {
		return 0
	}
	return max(0, int(b.bucket.Tokens()))
}

// refused notes that a request sent at sent was answered 429. Halo names the
// pause in Retry-After sometimes; otherwise it is 5 s, doubled up to 60 s.
//
// Requests that were under way together are refused together. That is one
// refusal, not several, so only a request sent after the last one doubles.
func (b *Budget) refused(sent time.Time, retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.pause == 0 {
		b.pause = firstPause
	} else if sent.After(b.refusedAt) {
		b.pause = min(2*b.pause, lastPause)
	}
	b.refusedAt = now
	pause := b.pause
	if retryAfter > 0 {
		pause = retryAfter
	}
	if until := now.Add(pause); until.After(b.notBefore) {
		b.notBefore = until
	}
}

// answered notes that Halo answered a request and did not say 429.
func (b *Budget) answered() {
	b.mu.Lock()
	b.pause = 0
	b.mu.Unlock()
}
