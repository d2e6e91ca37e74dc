package ingest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFloodOfRefusalsSharesFewCatchUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rounds := 0
		c := newCatchUps(func(context.Context) error {
			rounds++
			time.Sleep(time.Millisecond)
			return nil
		})
		var wg sync.WaitGroup
		for at := range 1000 { // ten a millisecond, for a tenth of a second
			wg.Go(func() {
				time.Sleep(time.Duration(at) * 100 * time.Microsecond)
				start := time.Now()
				if err := c.wait(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > catchUpPace+2*time.Millisecond {
					t.Errorf("one of the flood waited %v", took)
				}
			})
		}
		wg.Wait()
		if rounds < 5 || rounds > 7 {
			t.Errorf("%d catch-ups in 100 ms", rounds)
		}
	})
}

func TestNobodyJoinsACatchUpThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends []time.Time
		c := newCatchUps(func(context.Context) error {
			time.Sleep(100 * time.Millisecond)
			ends = append(ends, time.Now())
			return nil
		})
		start := time.Now()
		var wg sync.WaitGroup
		for _, after := range []time.Duration{0, 50 * time.Millisecond, 60 * time.Millisecond} {
			wg.Go(func() {
				time.Sleep(after)
				if err := c.wait(t.Context()); err != nil {
					t.Error(err)
				}
				want := 100 * time.Millisecond
				if after > 0 {
					want = 200 * time.Millisecond // the next round, and one for both
				}
				if took := time.Since(start); took != want {
					t.Errorf("who came after %v was let go after %v, want %v", after, took, want)
				}
			})
		}
		wg.Wait()
		if len(ends) != 2 {
			t.Errorf("%d rounds", len(ends))
		}
	})
}

func TestARoundGoesOnWhenTheOneWhoBeganItHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatchUps(func(ctx context.Context) error {
			select {
			case <-time.After(100 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		first, hangUp := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		// The first round is under way; the leader of the second hangs up.
		wg.Go(func() { _ = c.wait(t.Context()) })
		time.Sleep(10 * time.Millisecond)
		wg.Go(func() { _ = c.wait(first) })
		synctest.Wait()
		wg.Go(func() {
			if err := c.wait(t.Context()); err != nil {
				t.Errorf("a bystander was told: %v", err)
			}
		})
		synctest.Wait()
		hangUp()
		wg.Wait()
	})
}

func TestEveryWaitForTheTableIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatchUps(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		var wg sync.WaitGroup
		for at := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(at) * 13 * time.Millisecond)
				start := time.Now()
				if err := c.wait(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
				if took := time.Since(start); took > 2*catchUpTimeout+catchUpPace {
					t.Errorf("one waited %v", took)
				}
			})
		}
		wg.Wait()
	})
}
