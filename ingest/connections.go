package ingest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/time/rate"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// Connections is what the edge knows of connections: the connections topic in
// memory.
type Connections interface {
	// Get returns the connection whose id is given, as of the last record
	// applied. It costs nanoseconds and never waits.
	Get(id string) (schemas.Connection, bool)

	// CatchUp returns nil once Get answers from every record that Kafka had
	// acknowledged before the call.
	CatchUp(ctx context.Context) error
}

// ParseConnection reads a record of the connections topic. Errors wrap
// [schemas.ErrMalformed] and quote no value.
func ParseConnection(r *kgo.Record) (schemas.Connection, error) {
	if kafka.Schema(r) != schemas.ConnectionSchema {
		return schemas.Connection{}, fmt.Errorf("%w: the schema is not %s", schemas.ErrMalformed, schemas.ConnectionSchema)
	}
	c, err := schemas.ParseConnection(r.Value)
	if err != nil {
		return schemas.Connection{}, err
	}
	if string(r.Key) != string(c.ID) {
		// Under a foreign key it would let one tenant's secret open another's
		// endpoint.
		return schemas.Connection{}, fmt.Errorf("%w: the key is not the connection's id", schemas.ErrMalformed)
	}
	return c, nil
}

// lanes bound what one connection can ask of the edge, so that one tenant's
// flood costs the others nothing. Only authenticated deliveries open a lane:
// there are never more lanes than connections.
type lanes struct {
	perSecond int // deliveries; 0: no bound
	open      sync.Map
}

// lane is one connection's.
type lane struct {
	deliveries *rate.Limiter
	reports    *rate.Limiter // lines in the log about deliveries without envelope
}

func (l *lanes) of(id schemas.ConnectionID) *lane {
	if v, ok := l.open.Load(id); ok {
		return v.(*lane)
	}
	limit := rate.Limit(l.perSecond)
	if l.perSecond == 0 {
		limit = rate.Inf
	}
	v, _ := l.open.LoadOrStore(id, &lane{
		deliveries: rate.NewLimiter(limit, 2*l.perSecond),
		// Whoever sets up a payload sends it a few times and reads the log; a
		// webhook that is set up wrongly sends thousands.
		reports: rate.NewLimiter(rate.Every(time.Minute), 5),
	})
	return v.(*lane)
}
