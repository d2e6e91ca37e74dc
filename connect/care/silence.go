package care

import (
	"context"
	"slices"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// The rhythm of a connection: how long it is usually silent.
const (
	rhythmSpan  = 14 * 24 * time.Hour
	spanWidth   = 10 * time.Minute
	enoughSpans = 20            // fewer say nothing about a rhythm
	leastQuiet  = 2 * time.Hour // shorter silences are never worth a word
)

// silence says since when a connection is silent beyond its own rhythm; zero where
// it is not. ok is false where that cannot be told.
func (c *Care) silence(ctx context.Context, id schemas.Tenant) (since time.Time, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	now := c.now()
	arrivals, err := c.cfg.Outcomes.Arrivals(ctx, id, now.Add(-rhythmSpan))
	if err != nil {
		c.log.Debug("the rhythm of a connection cannot be read", "tenant", id, "err", err)
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
	// A rhythm is known from a stretch in which it could show: a connection that
	// is a day old has not had its first weekend yet.
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
