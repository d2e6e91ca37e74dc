package stage

import (
	"context"
	"time"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/care"
	api "github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline"
	"github.com/worksights/halo-connector/timeline/records"
)

// mappings is connect as the read model asks it. Each needs the other: connect is
// put in when it is made, before anybody asks.
type mappings struct{ *connect.Connect }

// model is the read model. A field of the type's own name would hide a method.
type model = timeline.Timeline

// outcomes tells connect what the read model knows.
type outcomes struct {
	*model
	tests   *records.Reader
	refused *records.Refused
}

var _ care.Outcomes = outcomes{}

func (o outcomes) Tally(ctx context.Context, t schemas.Tenant, since time.Time) (care.Tally, error) {
	const busiest = 20
	covered, err := o.Coverage(ctx, t, since)
	if err != nil {
		return care.Tally{}, err
	}
	unmapped, err := o.model.Unmapped(ctx, t, since)
	if err != nil {
		return care.Tally{}, err
	}
	tally := care.Tally{Activities: uint64(covered.Activities), Skipped: make(map[schemas.Reason]uint64), Unmapped: counts(unmapped[:min(len(unmapped), busiest)])}
	for reason, n := range covered.Skipped {
		tally.Skipped[reason] = uint64(n)
	}
	return tally, nil
}

func (o outcomes) Unmapped(ctx context.Context, since time.Time) (map[schemas.Tenant][]care.AgentCount, error) {
	all, err := o.AllUnmapped(ctx, since)
	out := make(map[schemas.Tenant][]care.AgentCount, len(all))
	for t, agents := range all {
		out[t] = counts(agents)
	}
	return out, err
}

func (o outcomes) LastReached(ctx context.Context, t schemas.Tenant) (time.Time, error) {
	return o.tests.LastReached(ctx, t)
}

func (o outcomes) Refused(_ context.Context, since time.Time) (map[schemas.Tenant]care.Refusals, error) {
	all := make(map[schemas.Tenant]care.Refusals)
	o.refused.Since(since, func(t schemas.Tenant, n int, last schemas.Refused) {
		all[t] = care.Refusals{Deliveries: n, LastAt: last.At, LastResult: string(last.Result)}
	})
	return all, nil
}

func counts(agents []api.AgentCount) []care.AgentCount {
	out := make([]care.AgentCount, len(agents))
	for i, a := range agents {
		out[i] = care.AgentCount{Agent: a.AgentID, Events: uint64(a.Events), LastAt: a.LastAt}
	}
	return out
}
