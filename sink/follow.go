package sink

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// follow ends the traces of the rows that are in the store now: the last span
// of a delivery's way is its append, pauses and failed attempts included.
func (s *Sink) follow(b *batch, began time.Time) {
	for i, r := range b.sources {
		if r.Context == nil || !trace.SpanContextFromContext(r.Context).IsSampled() {
			continue
		}
		_, span := s.cfg.Tracer.Start(r.Context, "append", trace.WithTimestamp(began), trace.WithAttributes(
			attribute.String("tenant", string(b.rows[i].Tenant)), attribute.String("event", b.rows[i].ID.String())))
		span.End()
	}
}
