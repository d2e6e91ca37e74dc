package api

import (
	"context"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Tenants is what can be asked of tenants and done to them. Only the instance
// that acts can; on the others each method but Ready fails with
// [control.ErrStandby].
//
// An error that is, or wraps, a [*control.Refusal] is what the caller is
// answered. One that wraps [context.DeadlineExceeded] is Halo's silence, and any
// other a mistake of ours. by is the name of the token whose call it is, and
// stands in the audit trail.
//
// What changes something is not cut off when the caller hangs up: the context
// outlives him. It is bounded by the method, and has happened and been read back
// once the method returns nil. A repeat is harmless.
type Tenants interface {
	// Ready is nil while this instance acts.
	Ready() error

	// All are the tenants of which anything is known, by name. It asks nobody
	// and is cheap.
	All(ctx context.Context) ([]control.TenantRow, error)

	Connection(ctx context.Context, t schemas.Tenant) (control.Connection, error)
	// Connect also tells whether there was no connection before.
	Connect(ctx context.Context, t schemas.Tenant, by string, c control.Credentials) (conn control.Connection, created bool, err error)
	Refresh(ctx context.Context, t schemas.Tenant, by string) (control.Connection, error)
	Reconnect(ctx context.Context, t schemas.Tenant, by string) (control.Connection, error)
	Disconnect(ctx context.Context, t schemas.Tenant, by string) error
	Diagnosis(ctx context.Context, t schemas.Tenant) (control.Diagnosis, error)

	// Users is the directory, by user; none for a tenant that was given none.
	Users(ctx context.Context, t schemas.Tenant) ([]control.User, error)
	// ChangeUsers returns the directory as it is afterwards. The guard against
	// mass endings is kept here, after the change's own check.
	ChangeUsers(ctx context.Context, t schemas.Tenant, by string, c control.UsersChange) (now []control.User, ended int, err error)

	// Agents are all agents, by id.
	Agents(ctx context.Context, t schemas.Tenant) ([]control.Agent, error)
	// Assign carries out each assignment by itself and returns a result for
	// each, in their order. The assignments are of different agents, and each
	// has either a user or one of the words.
	Assign(ctx context.Context, t schemas.Tenant, by string, a []control.Assignment) ([]control.Assigned, error)
	// History is whom an agent was mapped to, newest first.
	History(ctx context.Context, t schemas.Tenant, agent schemas.AgentID) ([]control.Interval, error)

	// Erase erases a person: the user, and what is known by his id.
	Erase(ctx context.Context, t schemas.Tenant, by string, user schemas.UserID) (control.Erasure, error)
	// EraseTenant disconnects the tenant and erases everything of it. A repeat
	// returns the receipt of the first.
	EraseTenant(ctx context.Context, t schemas.Tenant, by string) (control.Erasure, error)
	// Erasures are the receipts, newest first; also of a tenant that is gone.
	Erasures(ctx context.Context, t schemas.Tenant) ([]control.Erasure, error)
}

// Reads is the read model. Every instance has it, acting or not. Nothing is
// changed by reading, and each method bounds its own time and memory.
//
// Lists are newest first and of the tenant only; the rows of one instant are in
// an order that their ids decide, so that a walk by positions meets each row
// once. A tenant of which nothing is known has empty lists. Errors are as
// those of [Tenants], and any other than a [*control.Refusal] means that it
// cannot be read now.
type Reads interface {
	// Timeline filters by From, To and User only.
	Timeline(ctx context.Context, t schemas.Tenant, q control.Query) ([]control.Activity, error)
	Events(ctx context.Context, t schemas.Tenant, q control.Query) ([]control.Event, error)
	// Explain fails with [control.ErrUnknownEvent] where the tenant has no such
	// event, or it is of somebody who was erased.
	Explain(ctx context.Context, t schemas.Tenant, event schemas.ID) (control.Explanation, error)
	Summary(ctx context.Context, t schemas.Tenant, from, to time.Time, zone *time.Location) (control.Summary, error)
	// Deliveries are the last limit of those that were refused or undecodable.
	Deliveries(ctx context.Context, t schemas.Tenant, limit int) ([]control.Delivery, error)
	// Changes filters by From and To only.
	Changes(ctx context.Context, t schemas.Tenant, q control.Query) ([]control.Change, error)
}
