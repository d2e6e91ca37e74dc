package processor

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// Mappings is the mappings topic in memory.
type Mappings interface {
	// GetBytes returns the history under a key of [schemas.AppendMappingKey],
	// as of the last record applied.
	GetBytes(key []byte) (History, bool)

	// CatchUp returns nil once GetBytes answers from every record that Kafka
	// had acknowledged before the call.
	CatchUp(ctx context.Context) error

	// Len is the number of agents that were ever mapped.
	Len() int
}

// Erasures is the erasures topic in memory.
type Erasures interface {
	// Get returns the erasure under a key of [schemas.ErasureKey].
	Get(key string) (schemas.Erasure, bool)
	// CatchUp is as that of Mappings.
	CatchUp(ctx context.Context) error
	// Len is the number of erasures.
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

// ParseHistory is [ParseMapping] for a table of a million agents.
func ParseHistory(r *kgo.Record) (History, error) {
	m, err := ParseMapping(r)
	if err != nil {
		return "", err
	}
	return HistoryOf(m), nil
}

// History is the intervals of a mapping in one piece of memory, which takes a
// third of what a [schemas.Mapping] does and is found with one look instead of
// three. The empty History is that of an agent who was never mapped.
//
// It begins with the number of intervals. Of each follow, in eight bytes each
// and milliseconds, From and Until, and in four where its user ends; then come
// the users.
type History string

const intervalSize = 8 + 8 + 4

// HistoryOf packs the intervals of m.
func HistoryOf(m schemas.Mapping) History {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(m.Intervals)))
	var users []byte
	for _, iv := range m.Intervals {
		until := int64(math.MaxInt64)
		if !iv.Until.IsZero() {
			until = iv.Until.UnixMilli()
		}
		users = append(users, iv.User...)
		b = binary.LittleEndian.AppendUint64(b, uint64(iv.From.UnixMilli()))
		b = binary.LittleEndian.AppendUint64(b, uint64(until))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(users)))
	}
	return History(append(b, users...))
}

// At is [schemas.Mapping.At].
func (h History) At(t time.Time) (user schemas.UserID, mapped bool) {
	if h == "" {
		return "", false
	}
	ms := t.UnixMilli()
	n := int(h.uint32(0))
	for i := n - 1; i >= 0; i-- {
		at := 4 + i*intervalSize
		if ms < h.int64(at) {
			continue
		}
		if ms >= h.int64(at+8) {
			return "", false
		}
		users := 4 + n*intervalSize
		begin := 0
		if i > 0 {
			begin = int(h.uint32(at - 4))
		}
		return schemas.UserID(h[users+begin : users+int(h.uint32(at+16))]), true
	}
	return "", false
}

func (h History) uint32(at int) uint32 {
	return uint32(h[at]) | uint32(h[at+1])<<8 | uint32(h[at+2])<<16 | uint32(h[at+3])<<24
}

func (h History) int64(at int) int64 {
	return int64(uint64(h.uint32(at)) | uint64(h.uint32(at+4))<<32)
}
