package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// demoTenant is the tenant of the simulated Halo.
const demoTenant = schemas.Tenant("demo")

// perSecond is how many things happen at the simulated service desk: enough to
// watch, far below what it can take.
const perSecond = 4

// tenant is the simulated tenant and its WorkSights users.
type tenant struct {
	*halotest.Sim
	server *halotest.Server
	secret schemas.Secret
	api    *control.Client
	users  []user // whom WorkSights has at first
}

const clientID = "simulated-application"

// secretFile holds the simulated Halo's client secret, for whoever wants to connect
// it by hand. It is another one after each start.
const secretFile = "simulated-halo-secret"

// newTenant starts a simulated Halo with agents. Nobody of them is a person.
func (h *house) newTenant(agents []halotest.Agent, users []user) (*tenant, error) {
	secret := schemas.Secret(rand.Text())
	sim := halotest.New(halotest.Config{ClientID: clientID, ClientSecret: secret, TenantID: string(demoTenant)})
	for _, a := range agents {
		sim.AddAgent(a)
	}
	if err := os.WriteFile(h.file(secretFile), []byte(secret.Reveal()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("simulated HaloPSA: %w", err)
	}
	server, err := sim.Start(h.ports.halo())
	if err != nil {
		return nil, fmt.Errorf("simulated HaloPSA: %w", err)
	}
	api := control.New("http://"+h.ports.api(), schemas.Secret(h.token))
	return &tenant{Sim: sim, server: server, secret: secret, api: api, users: users}, nil
}

// five are the agents of the demo, of whom the last has no WorkSights user.
func five() (agents []halotest.Agent, users []user) {
	for i := 1; i <= 5; i++ {
		agents = append(agents, halotest.Agent{ID: agent(i), Name: fmt.Sprintf("Agent %d", i), Email: email(i)})
		users = append(users, userOf(i))
	}
	return agents, users[:4]
}

// desk is a service desk to look at: as many agents as a page has to show, and of
// most a WorkSights user.
func desk() (agents []halotest.Agent, users []user) {
	const many = 119
	agents = halotest.Staff(many)
	for _, a := range agents {
		if id, email, ok := halotest.UserOf(a); ok {
			users = append(users, user{id, email})
		}
	}
	return agents, users
}

func agent(i int) schemas.AgentID { return schemas.AgentID(i + 1) }
func email(i int) string          { return fmt.Sprintf("agent%d@demo.example", i) }

type user struct {
	ID    string `json:"user_id"`
	Email string `json:"email"`
}

func userOf(i int) user { return user{fmt.Sprintf("user-%d", i), email(i)} }

// putUsers gives WorkSights its users.
func (t *tenant) putUsers(ctx context.Context, users []user) error {
	_, err := t.api.Ask(ctx, http.MethodPut, demoTenant, "/users", nil, users, nil)
	return err
}

// connect connects the tenant through the public API. It waits for the API
// first: as part of the process that serves it, it may come before it.
func (t *tenant) connect(ctx context.Context) (conn control.Connection, err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err = t.putUsers(ctx, t.users)
		var refused *control.Refusal
		waiting := errors.Is(err, control.ErrUnavailable) || errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable
		if !waiting {
			break
		}
		select {
		case <-ctx.Done():
			return conn, ctx.Err()
		case <-tick.C:
		}
	}
	if err == nil {
		_, err = t.api.Ask(ctx, http.MethodPut, demoTenant, "/connection", nil, map[string]string{
			"tenant_url": t.server.URL, "client_id": clientID, "client_secret": t.secret.Reveal(),
		}, &conn)
	}
	return conn, err
}

// simulate connects a simulated Halo and lets it have a working day after the
// other.
func (h *house) simulate(ctx context.Context) error {
	t, err := h.newTenant(desk())
	if err != nil {
		return err
	}
	defer t.server.Close()
	conn, err := t.connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("connecting the simulated tenant: %w", err)
	}
	h.log.Info("the simulated tenant is connected", "tenant", conn.Tenant, "state", conn.State)
	fmt.Printf(welcome, h.consoleLink(ctx, t.api), h.ports.webhooks(), h.ports.api(), h.file("api-token"), h.ports.admin(), h.ports.kafka(), h.ports.clickhouse(), h.ports.halo(), clientID, h.file(secretFile),
		h.ports.api(), h.file("api-token"), h.ports.clickhouse())
	err = halotest.Traffic{Sim: t.Sim, Repeats: 0.05}.Run(ctx, perSecond)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// consoleLink opens the console for the simulated tenant, once and within a
// minute. Where there is none, what stands in its place is where to sign in.
func (h *house) consoleLink(ctx context.Context, api *control.Client) string {
	var link control.Link
	want := control.LinkRequest{Path: "/console/" + string(demoTenant) + "/connection"}
	if _, err := api.Ask(ctx, http.MethodPost, demoTenant, "/console-link", nil, want, &link); err != nil {
		return "http://" + h.ports.api() + "/console/"
	}
	return link.URL
}

const welcome = `
Everything is up.
  console           %s
                    (opens once, within a minute; later: bin/haloctl --tenant demo console, or sign in with the token)
  webhooks          http://%s
  control API       http://%s  (token in %s)
  metrics, health   http://%s/metrics
  Kafka             %s
  ClickHouse        http://%s
  simulated Halo    http://%s  (client id %s, secret in %s)

Look:
  HALOCTL_URL=http://%s HALOCTL_TOKEN_FILE=%s bin/haloctl --tenant demo timeline --from 1h
  curl 'http://%s/?database=worksights' --data-binary 'SELECT kind, count() FROM activities GROUP BY kind'

Ctrl-C ends it; the data stays.
`
