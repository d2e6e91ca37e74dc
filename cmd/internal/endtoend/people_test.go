package endtoend

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// BenchmarkPeople asks for what an administrator of a large tenant waits for: two
// thousand agents, three quarters of them with a user of the same e-mail among
// twenty thousand, through HTTP.
func BenchmarkPeople(b *testing.B) {
	const agents, users = 2000, 20_000
	s := newStack(b, "LOG_LEVEL=warn")
	sim := halotest.New(halotest.Config{ClientID: "client", ClientSecret: "secret"})
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Close() })
	directory := make([]map[string]string, users)
	for i := range directory {
		directory[i] = map[string]string{"user_id": fmt.Sprintf("u-%d", i), "email": fmt.Sprintf("first%d.last%d@people.example", i, i)}
	}
	for i := range agents {
		email := fmt.Sprintf("first%d.last%d@people.example", i, i)
		if i%4 == 3 { // somebody is suggested
			email = fmt.Sprintf("first%d.last%d@elsewhere.example", i, i)
		}
		sim.AddAgent(halotest.Agent{ID: schemas.AgentID(10 + i), Name: fmt.Sprintf("First%d Last%d", i, i), Email: email})
	}
	path := func(rest string) string { return "/v1/tenants/people" + rest }
	s.must("PUT", path("/users"), directory)
	s.must("PUT", path("/connection"), map[string]string{"tenant_url": server.URL, "client_id": "client", "client_secret": "secret"})
	bulk := func(i int) any {
		all := make([]map[string]any, 500)
		for n := range all {
			all[n] = map[string]any{"agent_id": 10 + n, "user_id": fmt.Sprintf("u-%d", (n+i)%users)}
		}
		return all
	}
	for _, c := range []struct {
		name, method, path string
		body               func(int) any
	}{
		{"list of agents", "GET", "/agents", nil},
		{"search", "GET", "/agents?q=last17", nil},
		{"suggestions", "GET", "/agents?state=unmatched&limit=100", nil},
		{"list of users", "GET", "/users", nil},
		{"bulk of 500", "PUT", "/agents/users", bulk},
		{"map one", "PUT", "/agents/1500/user", func(i int) any { return map[string]string{"user_id": fmt.Sprintf("u-%d", 3000+i)} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := *s
			s.t = b
			var took []time.Duration
			for b.Loop() {
				var body any
				if c.body != nil {
					body = c.body(len(took))
				}
				began := time.Now()
				status, answer := s.api(c.method, path(c.path), body)
				if took = append(took, time.Since(began)); status != http.StatusOK || len(answer) < 2 {
					b.Fatalf("%d %.200s", status, answer)
				}
			}
			b.ReportMetric(millis(took, 50), "p50-ms")
			b.ReportMetric(millis(took, 99), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
