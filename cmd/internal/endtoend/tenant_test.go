package endtoend

import (
	"encoding/json"
	"fmt"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// tenant is a connected tenant with its simulated Halo.
type tenant struct {
	*stack
	id         schemas.Tenant
	sim        *halotest.Sim
	connection schemas.ConnectionID
	webhook    halotest.Webhook
	agents     int // their ids are 10 and up
}

// connected connects a tenant with n agents, ids from 10 on, of whom the even
// ones have a user of the same e-mail.
func (s *stack) connected(id schemas.Tenant, n int) *tenant {
	s.t.Helper()
	sim := halotest.New(halotest.Config{ClientID: "client-" + string(id), ClientSecret: "secret-" + schemas.Secret(id)})
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { server.Close() })
	users := []map[string]string{}
	for i := range n {
		agent := schemas.AgentID(10 + i)
		email := fmt.Sprintf("agent%d@%s.example", agent, id)
		sim.AddAgent(halotest.Agent{ID: agent, Name: fmt.Sprintf("Agent %d", agent), Email: email})
		if agent%2 == 0 {
			users = append(users, map[string]string{"user_id": user(agent), "email": email})
		}
	}
	s.must("PUT", "/v1/tenants/"+string(id)+"/users", users)
	b := s.must("PUT", "/v1/tenants/"+string(id)+"/connection", map[string]string{
		"tenant_url": server.URL, "client_id": "client-" + string(id), "client_secret": "secret-" + string(id),
	})
	var conn struct{ State, Connection string }
	if err := json.Unmarshal(b, &conn); err != nil || conn.State != "active" {
		s.t.Fatalf("connected, but %s, %v", b, err)
	}
	tn := &tenant{stack: s, id: id, sim: sim, connection: schemas.ConnectionID(conn.Connection), agents: n}
	tn.readWebhook()
	return tn
}

// readWebhook takes the current webhook, with its secret, from the simulated
// Halo, which is where the secret is in clear.
func (tn *tenant) readWebhook() {
	tn.t.Helper()
	for _, w := range tn.sim.Webhooks() {
		if !w.Deleted {
			tn.webhook = w
			return
		}
	}
	tn.t.Fatal("Halo has no webhook of ours")
}

func user(agent schemas.AgentID) string { return fmt.Sprintf("user-%d", agent) }

// path is the tenant's part of the control API.
func (tn *tenant) path(rest string) string { return "/v1/tenants/" + string(tn.id) + rest }
