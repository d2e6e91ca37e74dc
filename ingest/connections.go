package ingest

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

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
