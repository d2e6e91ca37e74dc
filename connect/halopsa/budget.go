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

	// longestPause is the most that Retry-After is believed: the span over which
	// Halo counts requests. A date in another century is somebody's mistake, and
	// would leave the tenant without its connector until a restart.
	longestPause = 5 * time.Minute

	// maxRefusals ends a request whose caller set no deadline: the pauses
	// before it gives up add up to 5 + 10 + 20 + 40 + 60 seconds.
	maxRefusals = 6
)

// A Budget is what may still be asked of one tenant's Halo. All clients of a
// tenant share one, so that a reconnect, a refresh and a health check cannot
// together exceed it, and so that all of them are quiet when Halo tells one of
// them to slow down. Quiet is for the host that said so: a tenant's sign-in host
// is often another one than its Halo.
type Budget struct {
	bucket *rate.Limiter

	mu    sync.Mutex
	hosts map[string]*pace // only those that said 429 last
}

// pace is how one host slows us down.
type pace struct {
	pause     time.Duration // the last one that we chose
	notBefore time.Time     // until then nobody asks
	refusedAt time.Time
}

// NewBudget returns a full budget.
func NewBudget() *Budget {
	return &Budget{bucket: rate.NewLimiter(refill, burst), hosts: make(map[string]*pace)}
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

// wait returns 0 when one more request may be sent to host. When that would be
// after ctx's deadline it returns at once how long it would take: the caller can
// say so now instead of a minute later. When ctx ends meanwhile it returns 0
// too; the caller looks at ctx.
func (b *Budget) wait(ctx context.Context, host string) time.Duration {
	for {
		pause := b.quiet(host)
		if pause <= 0 {
			break
		}
		if !sleep(ctx, pause) {
			return pause
		}
		if ctx.Err() != nil {
			return 0
		}
	}
	turn := b.bucket.Reserve()
	pause := turn.Delay()
	if !sleep(ctx, pause) {
		turn.Cancel()
		return pause
	}
	if ctx.Err() != nil {
		turn.Cancel()
	}
	return 0
}

// sleep waits, or until ctx is done. It is false at once where ctx's deadline
// comes before the end of the pause.
func sleep(ctx context.Context, pause time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && pause > 0 && ctx.Err() == nil && time.Until(deadline) <= pause {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return true
}

// quiet is how long the host is not to be asked.
func (b *Budget) quiet(host string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.hosts[host]; ok {
		return time.Until(p.notBefore)
	}
	return 0
}

// left is how many requests may be sent now without waiting: none while a host
// of the tenant wants quiet.
func (b *Budget) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.hosts {
		if time.Now().Before(p.notBefore) {
			return 0
		}
	}
	return max(0, int(b.bucket.Tokens()))
}

// refused notes that a request sent at sent was answered 429. Halo names the
// pause in Retry-After sometimes; otherwise it is 5 s, doubled up to 60 s.
//
// Requests that were under way together are refused together. That is one
// refusal, not several, so only a request sent after the last one doubles.
func (b *Budget) refused(host string, sent time.Time, retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	p, ok := b.hosts[host]
	if !ok {
		p = &pace{pause: firstPause}
		b.hosts[host] = p
	} else if sent.After(p.refusedAt) {
		p.pause = min(2*p.pause, lastPause)
	}
	p.refusedAt = now
	pause := p.pause
	if retryAfter > 0 {
		pause = min(retryAfter, longestPause)
	}
	if until := now.Add(pause); until.After(p.notBefore) {
		p.notBefore = until
	}
}

// answered notes that the host answered a request and did not say 429.
func (b *Budget) answered(host string) {
	b.mu.Lock()
	delete(b.hosts, host)
	b.mu.Unlock()
}
