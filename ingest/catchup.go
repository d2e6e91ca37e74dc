package ingest

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// catchUpTimeout bounds one catch-up. It is two round trips to Kafka,
	// below a millisecond where all is well, and this long only where Kafka is
	// gone. Two full waits, see below, stay within the two seconds in which
	// the edge must have answered.
	catchUpTimeout = 400 * time.Millisecond

	// catchUpPace is the least time between the beginnings of two catch-ups:
	// at most fifty a second, however many deliveries are refused.
	catchUpPace = 20 * time.Millisecond
)

// catchUps lets any number of refused deliveries share a bounded number of
// catch-ups.
//
// A delivery needs a catch-up that began after the delivery arrived: one that
// was under way may have read the end of the topic before connect's record was
// there. So whoever arrives joins the next round, never the running one. Rounds
// run one at a time and not closer than catchUpPace.
//
// Nobody can be made to wait longer by others: everyone waits for what is left
// of the running round, the pace, and one round, at most 2 × catchUpTimeout +
// catchUpPace.
type catchUps struct {
	run func(context.Context) error

	mu   sync.Mutex
	next *round // what arrivals join; nil when nobody waits

	turn chan struct{} // holds one token, taken by the leader whose round runs
	last time.Time     // when the last round began; the holder of the token's
}

type round struct {
	done chan struct{}
	err  error // set before done is closed
}

func newCatchUps(run func(context.Context) error) *catchUps {
	return &catchUps{run: run, turn: make(chan struct{}, 1)}
}

// wait returns nil once a catch-up that began after the call has ended well.
func (c *catchUps) wait(ctx context.Context) error {
	c.mu.Lock()
	r := c.next
	leads := r == nil
	if leads {
		r = &round{done: make(chan struct{})}
		c.next = r
	}
	c.mu.Unlock()
	if leads {
		c.lead(ctx, r)
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lead runs the round for everyone who joined it. The first to join does so on
// its own goroutine, and even when its own client has hung up meanwhile: the
// others count on it.
func (c *catchUps) lead(ctx context.Context, r *round) {
	c.turn <- struct{}{} // bounded: whoever holds the turn is bounded
	defer func() { <-c.turn }()
	time.Sleep(catchUpPace - time.Since(c.last))
	c.last = time.Now()

	c.mu.Lock()
	c.next = nil // whoever arrives from here on needs a later look at Kafka
	c.mu.Unlock()

	defer close(r.done)
	r.err = errCatchUpDied // unless it returns
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), catchUpTimeout)
	defer cancel()
	r.err = c.run(ctx)
}

var errCatchUpDied = errors.New("the catch-up of the connections ended in a panic")
