package main

import (
	"context"
	"time"

	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// outcomes is what ClickHouse would say, as a test wants it.
type outcomes struct {
	api.Reads // what no test asks
	last      time.Time
	tally     care.Tally
}

var (
	_ care.Outcomes = (*outcomes)(nil)
	_ care.Eraser   = (*outcomes)(nil)
	_ api.Reads     = (*outcomes)(nil)
)

func (o *outcomes) Timeline(context.Context, schemas.Tenant, control.Query) ([]control.Activity, error) {
	return []control.Activity{{ID: schemas.ID{1}.String(), Tenant: "acme", User: "u-1", Category: schemas.Category, Kind: "ticket_logged", Weight: 1, Ticket: 7, Agent: 2, CreditedAs: "assignee"}}, nil
}

func (o *outcomes) LastDelivery(context.Context, schemas.Tenant) (time.Time, error) {
	return o.last, nil
}

func (o *outcomes) LastDeliveries(context.Context, time.Time) (map[schemas.Tenant]time.Time, error) {
	return map[schemas.Tenant]time.Time{"acme": o.last}, nil
}

func (o *outcomes) LastReached(context.Context, schemas.Tenant) (at time.Time, err error) { return }

func (o *outcomes) Arrivals(context.Context, schemas.Tenant, time.Time) ([]time.Time, error) {
	return nil, nil
}

func (o *outcomes) Tally(context.Context, schemas.Tenant, time.Time) (care.Tally, error) {
	return o.tally, nil
}

func (o *outcomes) Unmapped(context.Context, time.Time) (all map[schemas.Tenant][]care.AgentCount, err error) {
	return
}

func (o *outcomes) Refused(context.Context, time.Time) (all map[schemas.Tenant]care.Refusals, err error) {
	return
}

func (o *outcomes) Erase(context.Context, schemas.Tenant, schemas.UserID, time.Time) (rows uint64, err error) {
	return
}
