package kafka

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/schemas"
)

// Record is a record for topic whose header says which schema its value has.
// A nil value is a tombstone.
func Record(topic, key, schema string, value []byte) *kgo.Record {
	return &kgo.Record{
		Topic:   topic,
		Key:     []byte(key),
		Value:   value,
		Headers: []kgo.RecordHeader{{Key: schemas.HeaderSchema, Value: []byte(schema)}},
	}
}

// Schema is the schema that the record's header names, or "" where it names
// none.
func Schema(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key != schemas.HeaderSchema {
			continue
		}
		// The three that pass once per event cost no string.
		for _, known := range [...]string{schemas.EventSchema, schemas.ActivitySchema, schemas.SkipSchema} {
			if string(h.Value) == known {
				return known
			}
		}
		return string(h.Value)
	}
	return ""
}

// A dead letter takes its record's room and that of its own headers, so that the
// largest record which Kafka takes would make one that Kafka refuses, and its
// partition would stand still for ever. An event or an outcome of ours has 2 KB at
// most and a key of 63 bytes: what is longer is junk, and its beginning shows
// which.
const (
	deadValueRoom = 512 << 10
	deadWordRoom  = 1 << 10 // of the key, and of the schema's name
)

// Dead is the dead letter for r: the same key and value, and headers that say
// why it is there and where it was. Where they are longer than any of ours they
// are cut, and the header size says how long the value was. Only records of ours
// may become one, never a body that came from outside; reason is a word of ours
// and no error text, which could quote the value.
func Dead(topics schemas.Topics, r *kgo.Record, reason string) *kgo.Record {
	dead := &kgo.Record{
		Topic: topics.Dead,
		Key:   cut(r.Key, deadWordRoom),
		Value: cut(r.Value, deadValueRoom),
		Headers: []kgo.RecordHeader{
			{Key: "reason", Value: []byte(reason)},
			{Key: "topic", Value: []byte(r.Topic)},
			{Key: "partition", Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
			{Key: "offset", Value: strconv.AppendInt(nil, r.Offset, 10)},
		},
	}
	if s := Schema(r); s != "" {
		dead.Headers = append(dead.Headers, kgo.RecordHeader{Key: schemas.HeaderSchema, Value: cut([]byte(s), deadWordRoom)})
	}
	if len(r.Value) > deadValueRoom {
		dead.Headers = append(dead.Headers, kgo.RecordHeader{Key: "size", Value: strconv.AppendInt(nil, int64(len(r.Value)), 10)})
	}
	return dead
}

func cut(b []byte, room int) []byte { return b[:min(len(b), room):min(len(b), room)] }

// KeyTenant is the tenant that the record's key is, for a log: a key that is
// none may hold anything, and is not shown.
func KeyTenant(r *kgo.Record) string {
	t, err := schemas.ParseTenant(string(r.Key))
	if err != nil {
		return "(no tenant)"
	}
	return string(t)
}

// ParseErasure reads a record of the erasures topic, for a table of it. Errors
// wrap [schemas.ErrMalformed] and quote no value.
func ParseErasure(r *kgo.Record) (schemas.Erasure, error) {
	if Schema(r) != schemas.ErasureSchema {
		return schemas.Erasure{}, fmt.Errorf("%w: the schema is not %s", schemas.ErrMalformed, schemas.ErasureSchema)
	}
	e, err := schemas.ParseErasure(r.Value)
	if err == nil && string(r.Key) != e.Key() {
		err = fmt.Errorf("%w: the key is not the erasure's", schemas.ErrMalformed)
	}
	return e, err
}
