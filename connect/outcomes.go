package connect

import (
	"context"
	"slices"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Outcomes is what became of a tenant's deliveries, from ClickHouse. Each call
// is bounded by its tenant and may take seconds; all of them may be repeated.
type Outcomes interface {
	// Activities are the tenant's activities, newest first.
	Activities(ctx context.Context, q Query) ([]Activity, error)
	// LastDelivery is when the last event arrived; zero where none ever did.
	LastDelivery(ctx context.Context, tenant schemas.Tenant) (time.Time, error)
	// Arrivals are the ten-minute spans since since in which events arrived,
	// by their beginning, ascending.
	Arrivals(ctx context.Context, tenant schemas.Tenant, since time.Time) ([]time.Time, error)
	// Tally counts what arrived since since.
	Tally(ctx context.Context, tenant schemas.Tenant, since time.Time) (Tally, error)
}

// Query asks for a stretch of a timeline.
type Query struct {
	Tenant   schemas.Tenant
	User     schemas.UserID // "": all users
	From, To time.Time      // of occurred_at; From inclusive, To exclusive; zero: no bound
	After    *Position      // only what comes after it in the answer; nil: from the newest on
	Limit    int
}

// Position is the place of an activity in a timeline.
type Position struct {
	OccurredAt time.Time
	ID         string
}

// Activity is a row of the view activities.
type Activity struct {
	ID         string    `json:"activity_id"`
	Tenant     string    `json:"tenant_id"`
	User       string    `json:"user_id"`
	Category   string    `json:"category"`
	Kind       string    `json:"kind"`
	Weight     float32   `json:"weight"`
	Ticket     uint64    `json:"ticket_id"`
	Agent      uint64    `json:"agent_id"`
	CreditedAs string    `json:"credited_as"`
	Status     int32     `json:"status_id"`
	OccurredAt time.Time `json:"occurred_at"`
	ReceivedAt time.Time `json:"received_at"`
}

// Tally is what became of a stretch of events.
type Tally struct {
	Activities uint64
	Skipped    map[schemas.Reason]uint64
	// Unmapped are the agents of the events that were skipped as unmapped, the
	// busiest first, at most 20.
	Unmapped []AgentCount
}

// AgentCount is how many events an agent had.
type AgentCount struct {
	Agent  schemas.AgentID `json:"agent_id"`
	Events uint64          `json:"events"`
}

// The rhythm of a connection: how long it is usually silent.
const (
	rhythmSpan  = 14 * 24 * time.Hour
	spanWidth   = 10 * time.Minute
	enoughSpans = 20            // fewer say nothing about a rhythm
	leastQuiet  = 2 * time.Hour // shorter silences are never worth a word
)

// silence says since when a connection is silent beyond its own rhythm; zero
// where it is not. ok is false where that cannot be told.
func (t *term) silence(ctx context.Context, id schemas.Tenant) (since time.Time, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	now := t.c.now()
	arrivals, err := t.c.cfg.Outcomes.Arrivals(ctx, id, now.Add(-rhythmSpan))
	if err != nil {
		t.c.log.Debug("the rhythm of a connection cannot be read", "tenant", id, "err", err)
		return time.Time{}, false
	}
	return silentSince(arrivals, now), true
}

// silentSince compares the silence at the end with the longest one before it,
// nights and weekends included, and half of that again. arrivals are the
// beginnings of spans in which something arrived, ascending.
func silentSince(arrivals []time.Time, now time.Time) time.Time {
	if len(arrivals) < enoughSpans {
		return time.Time{}
	}
	last := arrivals[len(arrivals)-1].Add(spanWidth)
	// A rhythm is known from a stretch in which it could show: a connection
	// that is a day old has not had its first weekend yet.
	if last.Sub(arrivals[0]) < rhythmSpan/2 {
		return time.Time{}
	}
	var longest time.Duration
	for i, at := range slices.All(arrivals[1:]) {
		longest = max(longest, at.Sub(arrivals[i]))
	}
	if quiet := now.Sub(last); quiet > leastQuiet && quiet > longest+longest/2 {
		return last
	}
	return time.Time{}
}
