package ingest_test

import (
	"context"
	"sync"

	"github.com/worksights/halo-connector/schemas"
)

const demoSecret = "correct horse battery staple, forty-three ch"

func demoConnection() schemas.Connection {
	id := schemas.ConnectionIDOf("demo")
	return schemas.Connection{
		ID: id, Tenant: "demo", WebhookID: "c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5",
		Verifiers:     []schemas.Verifier{schemas.NewVerifier(id, demoSecret)},
		Notifications: map[int64]schemas.Kind{57: schemas.StatusChanged},
	}
}

// memory is a table of one connection, and of another one that it learns of
// when it catches up.
type memory struct {
	mu         sync.Mutex
	connection schemas.Connection
	later      *schemas.Connection             // what the next catch-up brings
	catchUp    func(ctx context.Context) error // nil: at once
	asked      int
}

func (m *memory) Get(id string) (schemas.Connection, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.connection, id == string(m.connection.ID)
}

func (m *memory) CatchUp(ctx context.Context) error {
	m.mu.Lock()
	m.asked++
	wait := m.catchUp
	m.mu.Unlock()
	if wait != nil {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.later != nil {
		m.connection, m.later = *m.later, nil
	}
	return nil
}
