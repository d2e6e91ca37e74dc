package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
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
}

const clientID = "simulated-application"

// newTenant starts a simulated Halo with five agents, of whom the last has no
// WorkSights user. Nobody of them is a person.
func (h *house) newTenant() (*tenant, error) {
	secret := schemas.Secret(rand.Text())
	sim := halotest.New(halotest.Config{ClientID: clientID, ClientSecret: secret, TenantID: string(demoTenant)})
	for i := 1; i <= 5; i++ {
		sim.AddAgent(halotest.Agent{ID: agent(i), Name: fmt.Sprintf("Agent %d", i), Email: email(i)})
	}
	server, err := sim.Start(h.ports.halo())
	if err != nil {
		return nil, fmt.Errorf("simulated HaloPSA: %w", err)
	}
	return &tenant{Sim: sim, server: server, secret: secret, api: control.New("http://"+h.ports.api(), schemas.Secret(h.token))}, nil
}

func agent(i int) schemas.AgentID { return schemas.AgentID(i + 1) }
func email(i int) string          { return fmt.Sprintf("agent%d@demo.example", i) }

type user struct {
	ID    string `json:"user_id"`
	Email string `json:"email"`
}

// putUsers gives WorkSights the users 1 to n, and one more where also is not 0.
func (t *tenant) putUsers(ctx context.Context, n, also int) error {
	users := []user{}
	for i := 1; i <= n; i++ {
		users = append(users, user{fmt.Sprintf("user-%d", i), email(i)})
	}
	if also != 0 {
		users = append(users, user{fmt.Sprintf("user-%d", also), email(also)})
	}
	_, err := t.api.Ask(ctx, http.MethodPut, demoTenant, "/users", nil, users, nil)
	return err
}

// connect connects the tenant through the public API. It waits for the API
// first: as part of the process that serves it, it may come before it.
func (t *tenant) connect(ctx context.Context) (conn control.Connection, err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err = t.putUsers(ctx, 4, 0)
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
	t, err := h.newTenant()
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
	fmt.Printf(welcome, h.ports.webhooks(), h.ports.api(), h.file("api-token"), h.ports.admin(), h.ports.kafka(), h.ports.clickhouse(), h.ports.halo(),
		h.ports.api(), h.file("api-token"), h.ports.clickhouse())
	err = halotest.Traffic{Sim: t.Sim, Repeats: 0.05}.Run(ctx, perSecond)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

const welcome = `
Everything is up.
  webhooks          http://%s
  control API       http://%s  (token in %s)
  metrics, health   http://%s/metrics
  Kafka             %s
  ClickHouse        http://%s
  simulated Halo    http://%s

Look:
  HALOCTL_URL=http://%s HALOCTL_TOKEN_FILE=%s bin/haloctl --tenant demo timeline --from 1h
  curl 'http://%s/?database=worksights' --data-binary 'SELECT kind, count() FROM activities GROUP BY kind'

Ctrl-C ends it; the data stays.
`
