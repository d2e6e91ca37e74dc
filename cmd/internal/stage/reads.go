package stage

import (
	"context"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline"
)

// model is the read model. A field of the type's own name would hide a method.
type model = timeline.Timeline

// reads is the read model as the API asks it.
type reads struct{ *model }

var _ api.Reads = reads{}

func (reads) Deliveries(context.Context, schemas.Tenant, int) ([]control.Delivery, error) {
	return nil, control.ErrNoTimeline
}

func (reads) Changes(context.Context, schemas.Tenant, control.Query) ([]control.Change, error) {
	return nil, control.ErrNoTimeline
}

// noRecords is a Kafka in which nothing is looked up.
type noRecords struct{}

func (noRecords) Arrivals(context.Context, schemas.Tenant, schemas.ID, time.Time) (first *schemas.Event, n int, err error) {
	return
}

func (noRecords) Deliveries(context.Context, schemas.Tenant, int) (all []schemas.Refused, err error) {
	return
}

func (noRecords) Changes(context.Context, schemas.Tenant, control.Query) (all []schemas.Change, err error) {
	return
}

// mappings is connect as the read model asks it. Each needs the other: connect is
// put in when it is made, before anybody asks.
type mappings struct{ *connect.Connect }
