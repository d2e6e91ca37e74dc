package main

import (
	"context"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/schemas"
)

// outcomes is what ClickHouse would say, as a test wants it.
type outcomes struct {
	last  time.Time
	tally connect.Tally
}

var _ connect.Outcomes = (*outcomes)(nil)

func (o *outcomes) Activities(context.Context, connect.Query) ([]connect.Activity, error) {
	return []connect.Activity{{ID: schemas.ID{1}.String(), Tenant: "acme", User: "u-1", Category: schemas.Category, Kind: "ticket_logged", Weight: 1, Ticket: 7, Agent: 2, CreditedAs: "assignee"}}, nil
}

func (o *outcomes) LastDelivery(context.Context, schemas.Tenant) (time.Time, error) {
	return o.last, nil
}

func (o *outcomes) Arrivals(context.Context, schemas.Tenant, time.Time) ([]time.Time, error) {
	return nil, nil
}

func (o *outcomes) Tally(context.Context, schemas.Tenant, time.Time) (connect.Tally, error) {
	return o.tally, nil
}
