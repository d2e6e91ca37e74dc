//go:build synctests

package connect_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// Whatever is asked of us, a tenant's Halo is asked 300 times in five minutes:
// 150 at once, and one every two seconds.
func TestOneTenantsAllowanceIsSharedByAllThatIsDoneForIt(t *testing.T) {
	w := realWorld(t, halotest.Config{}, halotest.Config{})
	w.sims[0].AddAgent(halotest.Agent{ID: 2})
	in := w.active(asInProduction)
	began := time.Now()
	spent := requests(t, 150, w.sims[0])
	var all sync.WaitGroup
	done := make(chan struct{})
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				in.raw("PUT", at("acme", "/connection"), credentials(w.urls[0]))
				in.raw("GET", at("acme", "/diagnosis"), "")
			}
		}
	})
	spent()
	// Another tenant does not wait for it.
	w.sims[1].AddAgent(halotest.Agent{ID: 2})
	if c := in.connect("other", 1); c.State != "active" {
		t.Errorf("%+v", c)
	}
	close(done)
	in.stop()
	all.Wait()
	if n, most := w.sims[0].Counters().Total(), 151+int(time.Since(began)/(2*time.Second)); n > most {
		t.Errorf("%d requests, at most %d are allowed", n, most)
	}
}

// requests returns a function that waits until the Halos have seen n requests
// more from now on, all together.
func requests(t *testing.T, n int64, sims ...*halotest.Sim) (wait func()) {
	var seen atomic.Int64
	enough := make(chan struct{})
	for _, sim := range sims {
		sim.Inject("", -1, func(http.ResponseWriter, *http.Request) bool {
			if seen.Add(1) == n {
				close(enough)
			}
			return false
		})
	}
	return func() {
		t.Helper()
		select {
		case <-enough:
		case <-time.After(30 * time.Second):
			t.Fatalf("%d requests of %d: this proves nothing", seen.Load(), n)
		}
	}
}

func TestTwoHundredTenantsConnectAtOnceAndNothingIsMixed(t *testing.T) {
	const tenants = 200
	configs := make([]halotest.Config, tenants)
	for n := range configs {
		configs[n] = halotest.Config{Objects: n%2 == 0, StringIDs: n%3 == 0, ObjectReplies: n%5 == 0, Seed: uint64(n + 1)}
		if n%4 == 0 {
			configs[n].TenantID = fmt.Sprintf("hosted-%d", n)
		}
	}
	w := realWorld(t, configs...)
	// Every tenant has an agent 2 with an e-mail of the same name, and one or
	// more of its own.
	for n, sim := range w.sims {
		for id := schemas.AgentID(2); id < schemas.AgentID(4+n%80); id++ {
			sim.AddAgent(halotest.Agent{ID: id, Email: fmt.Sprintf("agent%d@tenant-%d.example", id, n)})
		}
		sim.ChangeAgent(2, func(a *halotest.Agent) { a.Email = "admin@shared.example" })
	}
	in := w.active(asInProduction, func(c *connect.Config) { c.HealthInterval = 4 * time.Second })
	name := func(n int) string { return fmt.Sprintf("tenant-%d", n) }
	began := time.Now()
	var all sync.WaitGroup
	for n := range tenants {
		all.Go(func() {
			in.users(name(n), "admin-of-"+name(n), "admin@shared.example", "three-of-"+name(n), fmt.Sprintf("AGENT3@tenant-%d.example", n))
			if c := in.connect(name(n), n); c.State != "active" || c.Tenant != name(n) || c.TenantURL != w.urls[n] {
				t.Errorf("%s: %+v", name(n), c)
			}
		})
	}
	all.Wait()
	t.Logf("%d tenants connected in %v", tenants, time.Since(began))
	requests(t, 100, w.sims...)() // health checks of some, meanwhile

	seen := make(map[schemas.VerifierHash]string)
	busiest := 0
	published := make(map[schemas.Tenant]schemas.Connection)
	for _, r := range w.Records(w.T, w.topics.Connections) {
		conn, err := schemas.ParseConnection(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		published[conn.Tenant] = conn
	}
	for n, sim := range w.sims {
		hooks := w.live(n)
		conn := published[schemas.Tenant(name(n))]
		if len(hooks) != 1 || sim.Notifications() != 4 || conn.WebhookID != hooks[0].ID || conn.ID != schemas.ConnectionIDOf(schemas.Tenant(name(n))) ||
			!conn.Verify(hooks[0].Password, time.Now()) {
			t.Errorf("%s: %d webhooks, %d notifications, the edge knows %+v", name(n), len(hooks), sim.Notifications(), conn)
			continue
		}
		for _, v := range conn.Verifiers {
			if other, taken := seen[v.Hash]; taken && other != name(n) {
				t.Errorf("%s and %s have one secret", other, name(n))
			}
			seen[v.Hash] = name(n)
		}
		counted := sim.Counters()
		busiest = max(busiest, counted.Busiest)
		agents := in.agents(name(n))
		if len(agents) != 2+n%80 || agents[2].UserID != "admin-of-"+name(n) || agents[3].UserID != "three-of-"+name(n) {
			t.Errorf("%s: %d agents, %+v, %+v", name(n), len(agents), agents[2], agents[3])
		}
		for id, a := range agents {
			if id > 3 && a.UserID != "" {
				t.Errorf("%s: agent %d is %s's", name(n), id, a.UserID)
			}
		}
	}
	if busiest > 300 {
		t.Errorf("a tenant was asked %d times in five minutes", busiest)
	}
	t.Logf("the busiest tenant was asked %d times", busiest)
	for _, r := range w.Records(w.T, w.topics.Mappings) {
		m, err := schemas.ParseMapping(r.Value)
		if err != nil || string(r.Key) != m.Key() || !slices.Contains([]string{"admin-of-" + string(m.Tenant), "three-of-" + string(m.Tenant)}, string(m.Intervals[0].User)) {
			t.Errorf("%s: %+v, %v", r.Key, m, err)
		}
	}
}
