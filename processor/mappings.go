package processor

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// Mappings is the mappings topic in memory.
type Mappings interface {
	// GetBytes returns the mapping under a key of [schemas.AppendMappingKey],
	// as of the last record applied.
	GetBytes(key []byte) (schemas.Mapping, bool)

	// CatchUp returns nil once GetBytes answers from every record that Kafka
	// had acknowledged before the call.
	CatchUp(ctx context.Context) error

	// Len is the number of agents that were ever mapped.
	Len() int
}

// ParseMapping reads a record of the mappings topic. Errors wrap
// [schemas.ErrMalformed] and quote no value.
//
// A record that does not parse must leave the agent's previous mapping in
// force, as internal/table does: to forget it would make skips of events that
// were somebody's.
func ParseMapping(r *kgo.Record) (schemas.Mapping, error) {
	if kafka.Schema(r) != schemas.MappingSchema {
		return schemas.Mapping{}, fmt.Errorf("%w: the schema is not %s", schemas.ErrMalformed, schemas.MappingSchema)
	}
	m, err := schemas.ParseMapping(r.Value)
	if err != nil {
		return schemas.Mapping{}, err
	}
	if string(r.Key) != m.Key() {
		// Under a foreign key it would credit one tenant's work to another's user.
		return schemas.Mapping{}, fmt.Errorf("%w: the key is not the mapping's", schemas.ErrMalformed)
	}
	return m, nil
}
