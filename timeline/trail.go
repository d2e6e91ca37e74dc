package timeline

import (
	"context"
	"fmt"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Deliveries are the last of a tenant's deliveries that were refused or
// undecodable, newest first.
func (t *Timeline) Deliveries(ctx context.Context, tenant schemas.Tenant, limit int) ([]control.Delivery, error) {
	found, err := t.records.Deliveries(ctx, tenant, min(limit, most))
	if err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	out := make([]control.Delivery, 0, len(found))
	for _, d := range found {
		if t.mappings.Erased(tenant, "", d.At) {
			continue
		}
		out = append(out, control.Delivery{At: d.At, Result: string(d.Result), Items: d.Items, Bytes: d.Bytes, Fields: append([]string{}, d.Fields...)})
	}
	return out, nil
}

// Changes are a page of a tenant's audit trail, newest first. It filters by From
// and To. A user who was erased since is not named.
func (t *Timeline) Changes(ctx context.Context, tenant schemas.Tenant, q control.Query) ([]control.Change, error) {
	q.Limit = min(q.Limit, most+1)
	found, err := t.records.Changes(ctx, tenant, q)
	if err != nil {
		return nil, fmt.Errorf("changes: %w", err)
	}
	out := make([]control.Change, 0, len(found))
	for _, c := range found {
		if c.User != "" && (t.mappings.Erased(tenant, c.User, c.At) || t.mappings.Erased(tenant, "", c.At)) {
			c.User = ""
		}
		out = append(out, control.Change{
			ID: c.ID.String(), Tenant: c.Tenant, At: c.At, By: c.By, Change: string(c.Change), Agent: c.Agent, User: c.User,
			State: c.State, Problem: c.Problem, Result: c.Result,
		})
	}
	return out, nil
}
