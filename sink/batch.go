package sink

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// batch is what is in hand between a poll and its commit. It holds rows and no
// records: those are let go as soon as they are parsed, since a record and what
// came with it take three times the memory of a row.
type batch struct {
	rows    Rows
	from    []origin // of the rows, one each
	dead    []letter
	parts   []part
	records int // polled, of any fate
	traced  []traced
}

// origin is where a row came from: a partition, by its index in the batch, and
// the offset.
type origin struct {
	part   int
	offset int64
}

// part is what a batch has of one partition; of none once that was taken away.
type part struct {
	kafka.Partition
	records int
	last    *kgo.Record // the furthest: what to commit
	oldest  time.Time   // when the first was written
	erased  int         // rows that were dropped for an erasure
	expired int         // rows that were dropped as older than the store keeps
}

// letter is a record that is to be a dead letter, and why.
type letter struct {
	record *kgo.Record
	part   int
	reason string
}

// traced is a row whose delivery is being followed.
type traced struct {
	ctx    context.Context
	part   int
	tenant schemas.Tenant
	id     schemas.ID
}

// add takes a record in hand. It returns false where the record's key is not
// the tenant of its value.
func (b *batch) add(p *schemas.Parser, r *kgo.Record) (apart bool) {
	at := b.part(r)
	b.records++
	o, dead := parse(p, r)
	if dead != "" {
		b.dead = append(b.dead, letter{r, at, dead})
		return true
	}
	b.rows.Add(o)
	b.from = append(b.from, origin{at, r.Offset})
	if r.Context != nil && trace.SpanContextFromContext(r.Context).IsSampled() {
		b.traced = append(b.traced, traced{r.Context, at, o.Tenant, o.ID})
	}
	return string(r.Key) == string(o.Tenant)
}

// part notes r under its partition and returns its index.
func (b *batch) part(r *kgo.Record) int {
	// Records of a partition come together.
	at := len(b.parts) - 1
	if at < 0 || b.parts[at].Number != r.Partition || b.parts[at].Topic != r.Topic {
		is := kafka.Partition{Topic: r.Topic, Number: r.Partition}
		at = slices.IndexFunc(b.parts, func(p part) bool { return p.Partition == is })
		if at < 0 {
			at = len(b.parts)
			b.parts = append(b.parts, part{Partition: is, oldest: r.Timestamp})
		}
	}
	p := &b.parts[at]
	p.records++
	p.last = r // a partition's records come in order
	if r.Timestamp.Before(p.oldest) {
		p.oldest = r.Timestamp
	}
	return at
}

// drop puts out of hand what belongs to partitions that were taken away: their
// new owner reads it from the last commit. He may be this sink again, and the
// records then come once more: their part is another one. One that took both would
// lose the new rows with the old, and commit the offset of the new.
func (b *batch) drop(lost []kafka.Partition) {
	if len(lost) == 0 {
		return
	}
	for i := range b.parts {
		p := &b.parts[i]
		if slices.Contains(lost, p.Partition) {
			b.records -= p.records
			*p = part{}
		}
	}
	gone := func(at int) bool { return b.parts[at].Partition == kafka.Partition{} }
	b.keep(func(i int) bool { return !gone(b.from[i].part) })
	b.dead = slices.DeleteFunc(b.dead, func(l letter) bool { return gone(l.part) })
	b.traced = slices.DeleteFunc(b.traced, func(t traced) bool { return gone(t.part) })
}

// keep drops the rows that are not to be kept.
func (b *batch) keep(row func(i int) bool) {
	n := b.rows.Len()
	first := 0
	for first < n && row(first) {
		first++
	}
	if first == n {
		return // as nearly always
	}
	var rows Rows
	from := make([]origin, 0, n)
	for i := range n {
		if i < first || i > first && row(i) {
			rows.Add(b.rows.At(i))
			from = append(from, b.from[i])
		}
	}
	b.rows, b.from = rows, from
}

// oldest is when the oldest record of the topic in hand was written; zero where
// none is.
func (b *batch) oldest(topic string) (oldest time.Time) {
	for _, p := range b.parts {
		if p.Topic == topic && (oldest.IsZero() || p.oldest.Before(oldest)) {
			oldest = p.oldest
		}
	}
	return oldest
}

// reset empties the batch and keeps its memory.
func (b *batch) reset() {
	b.rows.Reset()
	clear(b.dead)
	clear(b.parts)
	clear(b.traced)
	b.from, b.dead, b.parts, b.traced = b.from[:0], b.dead[:0], b.parts[:0], b.traced[:0]
	b.records = 0
}
