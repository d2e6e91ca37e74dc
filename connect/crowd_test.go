//go:build synctests

package connect_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// Each tenant has a Halo of its own, and all have agents of the same ids and one of
// the same e-mail: whatever is mixed up shows.
func TestTwoHundredTenantsConnectAtOnceAndNothingIsMixed(t *testing.T) {
	const tenants, checks = 200, 4 * time.Second
	configs := make([]halotest.Config, tenants)
	for n := range configs {
		configs[n] = halotest.Config{Objects: n%2 == 0, StringIDs: n%3 == 0, ObjectReplies: n%5 == 0, Seed: uint64(n + 1)}
		if n%4 == 0 {
			configs[n].TenantID = fmt.Sprintf("hosted-%d", n)
		}
	}
	inWorld(t, func(w *world) {
		name := func(n int) string { return fmt.Sprintf("tenant-%d", n) }
		for n, sim := range w.sims {
			sim.AddAgent(halotest.Agent{ID: 2, Email: "admin@shared.example"})
			for id := schemas.AgentID(3); id < schemas.AgentID(4+n%80); id++ {
				sim.AddAgent(halotest.Agent{ID: id, Email: fmt.Sprintf("agent%d@tenant-%d.example", id, n)})
			}
		}
		in := w.active(func(c *connect.Config) { c.HealthInterval = checks })
		var all sync.WaitGroup
		for n := range tenants {
			all.Go(func() {
				in.users(name(n), "admin-of-"+name(n), "admin@shared.example", "three-of-"+name(n), fmt.Sprintf("AGENT3@tenant-%d.example", n))
				var c control.Connection
				in.want(http.MethodPut, at(name(n), "/connection"), w.credentials(n), &c)
				if c.State != "active" || c.Tenant != schemas.Tenant(name(n)) || c.TenantURL != w.urls[n] {
					t.Errorf("%s: %+v", name(n), c)
				}
			})
		}
		all.Wait()
		asked := make([]int, tenants)
		for n, sim := range w.sims {
			asked[n] = sim.Counters().Total()
		}
		time.Sleep(3 * checks)

		published := make(map[schemas.Tenant]schemas.Connection)
		for _, r := range w.Records(w.T, w.topics.Connections) {
			if string(r.Key) == schemas.TermKey {
				continue
			}
			conn, err := schemas.ParseConnection(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			published[conn.Tenant] = conn
		}
		secrets := make(map[schemas.VerifierHash]string)
		for n, sim := range w.sims {
			hooks, conn := w.live(n), published[schemas.Tenant(name(n))]
			if len(hooks) != 1 || sim.Notifications() != 4 || conn.WebhookID != hooks[0].ID ||
				conn.ID != schemas.ConnectionIDOf(schemas.Tenant(name(n))) || !conn.Verify(hooks[0].Password, time.Now()) {
				t.Errorf("%s: %d webhooks, %d notifications, the edge knows %+v", name(n), len(hooks), sim.Notifications(), conn)
				continue
			}
			for _, v := range conn.Verifiers {
				if other, taken := secrets[v.Hash]; taken {
					t.Errorf("%s and %s have one secret", other, name(n))
				}
				secrets[v.Hash] = name(n)
			}
			seen := sim.Counters()
			if seen.Total() == asked[n] {
				t.Errorf("%s: its health was not checked", name(n))
			}
			if seen.Busiest > 300 {
				t.Errorf("%s: its Halo was asked %d times in five minutes", name(n), seen.Busiest)
			}
			agents := in.agents(name(n))
			if len(agents) != 2+n%80 {
				t.Errorf("%s: %d agents", name(n), len(agents))
			}
			want := map[schemas.AgentID]schemas.UserID{2: schemas.UserID("admin-of-" + name(n)), 3: schemas.UserID("three-of-" + name(n))}
			for _, a := range agents {
				if user, matched := want[a.ID]; matched != (a.UserID != nil) || matched && *a.UserID != user {
					t.Errorf("%s: %+v", name(n), a)
				}
			}
		}
		mappings := 0
		for _, r := range w.Records(w.T, w.topics.Mappings) {
			if string(r.Key) == schemas.TermKey {
				continue
			}
			m, err := schemas.ParseMapping(r.Value)
			if err != nil || string(r.Key) != m.Key() ||
				!slices.Contains([]schemas.UserID{schemas.UserID("admin-of-" + m.Tenant), schemas.UserID("three-of-" + m.Tenant)}, m.Intervals[0].User) {
				t.Errorf("%s: %+v, %v", r.Key, m, err)
			}
			mappings++
		}
		if mappings != 2*tenants {
			t.Errorf("%d mappings were written, want two for each tenant", mappings)
		}
	}, configs...)
}
