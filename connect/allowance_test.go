//go:build synctests

package connect_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/internal/halotest"
)

// Whoever changes something and waits for it finds an allowance, whatever has
// been looked at in the minutes before.
func TestLookingLeavesTheAllowanceThatAChangeNeeds(t *testing.T) {
	for name, test := range map[string]struct {
		every time.Duration // between two health checks
		look  func(*instance)
	}{
		"health checks every second": {time.Second, func(*instance) {}},
		"diagnoses all the time":     {5 * time.Minute, func(in *instance) { in.diagnosis("acme") }},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2})
				in := w.active(func(c *connect.Config) { c.HealthInterval = test.every })
				in.connect("acme", 0)
				for began := time.Now(); time.Since(began) < 6*time.Minute; time.Sleep(2 * time.Second) {
					test.look(in)
				}
				if n := w.sims[0].Counters().Total(); n < 200 {
					t.Fatalf("%d requests: this proves nothing", n)
				}
				began := time.Now()
				in.connect("acme", 0)
				in.want(http.StatusNoContent, "DELETE", at("acme", "/connection"), "", nil)
				if took := time.Since(began); took > time.Second {
					t.Errorf("waited %v for the allowance", took)
				}
				if len(w.live(0)) != 0 || w.sims[0].Notifications() != 0 {
					t.Errorf("disconnected, %d webhooks are left", len(w.live(0)))
				}
			}, halotest.Config{})
		})
	}
}
