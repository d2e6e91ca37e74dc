//go:build synctests

package care_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// Sixty of eighty Halos hang, and the other twenty are looked at as if they were
// alone.
func TestHalosThatHangKeepNoOtherFromBeingChecked(t *testing.T) {
	const tenants, hanging, every = 80, 60, 10 * time.Second
	inWorld(t, func(w *world) {
		in := w.active(func(c *care.Config) { c.HealthInterval = every })
		for n := range tenants {
			in.connect(schemas.Tenant(fmt.Sprintf("t%02d", n)), 0)
		}
		in.stop()
		var mu sync.Mutex
		looks := make(map[schemas.Tenant][]time.Time)
		w.fault = func(ctx context.Context, tenant schemas.Tenant, name string) (moment, error) {
			if tenant < schemas.Tenant(fmt.Sprintf("t%02d", hanging)) {
				patience := time.NewTimer(20 * time.Second)
				defer patience.Stop()
				select {
				case <-ctx.Done():
				case <-patience.C:
				}
				return before, unanswered
			}
			if name == "authenticate" {
				mu.Lock()
				looks[tenant] = append(looks[tenant], time.Now())
				mu.Unlock()
			}
			return before, errors.New("no more is needed")
		}
		w.active(func(c *care.Config) { c.HealthInterval = every })
		began := time.Now()
		time.Sleep(2 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(looks) != tenants-hanging {
			t.Errorf("%d healthy ones were looked at", len(looks))
		}
		for tenant, at := range looks {
			longest := at[0].Sub(began)
			for n := 1; n < len(at); n++ {
				longest = max(longest, at[n].Sub(at[n-1]))
			}
			if longest > 2*every {
				t.Errorf("%s was not looked at for %v", tenant, longest)
			}
		}
	}, halotest.Config{})
}

func TestLooksAreSpreadAndTakeTurns(t *testing.T) {
	const tenants = 60
	inWorld(t, func(w *world) {
		var mu sync.Mutex
		var looks []time.Time
		last := make(map[schemas.Tenant]time.Time)
		in := w.active()
		for n := range tenants {
			in.connect(schemas.Tenant(fmt.Sprintf("t%02d", n)), 0)
		}
		in.stop()
		w.fault = func(_ context.Context, tenant schemas.Tenant, name string) (moment, error) {
			if name != "authenticate" {
				return never, nil
			}
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			if before, ok := last[tenant]; ok {
				if gap := now.Sub(before); gap < 4*time.Minute-time.Second || gap > lookTime {
					t.Errorf("two looks at one tenant %v apart", gap)
				}
			}
			last[tenant], looks = now, append(looks, now)
			return before, errors.New("no more is needed")
		}
		in = w.active()
		began := time.Now()
		time.Sleep(20 * time.Minute)
		in.stop()
		if len(looks) < 3*tenants {
			t.Errorf("%d looks in twenty minutes", len(looks))
		}
		// A take-over must not ask all tenants' Halos at once.
		first := 0
		for _, at := range looks {
			if at.Sub(began) < 30*time.Second {
				first++
			}
		}
		if first > tenants/3 {
			t.Errorf("%d of %d tenants were looked at in the first half minute", first, tenants)
		}
	}, halotest.Config{})
}

// Whoever wants something of a tenant whose Halo is dead waits for Halo only
// where Halo is what he wants.
func TestADeadHaloHoldsNobodysTurn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2})
		in := w.active(func(c *care.Config) { c.HealthInterval = 10 * time.Second })
		in.users("acme", "u-ada", "")
		in.connect("acme", 0)
		w.sluggish(time.Hour)
		time.Sleep(15 * time.Second) // a check is under way, and hangs
		for _, ask := range []func() error{
			func() error { _, err := in.Refresh(context.Background(), "acme", operator); return err },
			func() error { _, err := in.Reconnect(context.Background(), "acme", operator); return err },
			func() error {
				_, _, err := in.Connect(context.Background(), "acme", operator, w.credentials(0))
				return err
			},
		} {
			done := make(chan error, 1)
			go func() { done <- ask() }()
			time.Sleep(time.Second)
			began := time.Now()
			in.hand("acme", 2, "u-ada")
			in.hand("acme", 2, "=unmatched")
			in.users("acme", "u-ada", began.String())
			if took := time.Since(began); took > time.Second {
				t.Errorf("three changes took %v", took)
			}
			w.refused(<-done, 502, "unreachable")
			if took := time.Since(began); took > time.Minute {
				t.Errorf("Halo was waited for %v", took)
			}
		}
		began := time.Now()
		in.disconnect("acme")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("a disconnect took %v", took)
		}
	}, halotest.Config{})
}

// Whoever changes something and waits for it finds an allowance, whatever has been
// looked at in the minutes before.
func TestLookingLeavesTheAllowanceThatAChangeNeeds(t *testing.T) {
	for name, test := range map[string]struct {
		every time.Duration // between two health checks
		look  func(*instance)
	}{
		"health checks every second": {time.Second, func(*instance) {}},
		"diagnoses all the time": {5 * time.Minute, func(in *instance) {
			in.w.skip(31 * time.Second)
			if _, err := in.Diagnosis(context.Background(), "acme"); err != nil {
				in.w.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.quiet = true
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				in := w.active(func(c *care.Config) { c.HealthInterval = test.every })
				in.connect("acme", 0)
				for began := time.Now(); time.Since(began) < 6*time.Minute; time.Sleep(2 * time.Second) {
					test.look(in)
				}
				if n := w.sims[0].Counters().Total(); test.every == time.Second && n < 200 {
					t.Fatalf("%d requests: this proves nothing", n)
				}
				began := time.Now()
				w.change(func(h *halotest.Webhook) { h.Disabled = true })
				in.connect("acme", 0)
				in.disconnect("acme")
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("waited %v for the allowance", took)
				}
				if len(w.live(0)) != 0 || w.sims[0].Notifications() != 0 {
					t.Errorf("disconnected, %d webhooks are left", len(w.live(0)))
				}
			}, halotest.Config{})
		})
	}
}
