package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/worksights/halo-connector/internal/tracing"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// DefaultMaxBody is the largest delivery that is read, in bytes, before
	// and after gunzip. Full objects embed the text of actions and notes.
	DefaultMaxBody = 2 << 20

	// DefaultRateLimit is how many items a second one connection may send for
	// long; for a moment it is twice that.
	DefaultRateLimit = 200
)

// Memory is what a process that is an edge may take, in bytes, before garbage is
// collected as it comes: the bodies that may be open, what waits for Kafka, and
// half of what is left of 512 MiB for garbage and the rest. An idle edge takes 60
// MB, and the table of 100,000 connections 90 MB; a bound below what is alive
// would have the collector run without end.
const Memory = 384 << 20

// Config is what an operator may set.
type Config struct {
	MaxBodyBytes int64            // 0: DefaultMaxBody
	RateLimit    int              // items a second and connection, for a moment twice as many; 0: no bound
	Drain        time.Duration    // how long Run waits for open requests at its end; 0: 5 s
	Now          func() time.Time // nil: time.Now
	Tracer       trace.Tracer     // of the deliveries that are followed; nil: none is
}

// ErrConfig says that a Config makes no sense.
var ErrConfig = errors.New("ingest: configuration")

// Edge answers deliveries. It is an [http.Handler]; Run serves it.
type Edge struct {
	connections Connections
	log         Log
	logger      *slog.Logger
	now         func() time.Time
	drain       time.Duration
	tracer      trace.Tracer

	metrics  *metrics
	bodies   *bodies
	senders  senders
	asked    atomic.Int64  // when the table was last asked to catch up; see delivery.catchUp
	troubles *rate.Limiter // lines in the log about Kafka

	draining atomic.Bool
	serving  atomic.Bool
}

// New returns the edge. connections and log stay the caller's.
func New(cfg Config, connections Connections, log Log, logger *slog.Logger, reg prometheus.Registerer) (*Edge, error) {
	if cfg.MaxBodyBytes < 0 || cfg.RateLimit < 0 || cfg.Drain < 0 {
		return nil, fmt.Errorf("%w: a bound is below zero", ErrConfig)
	}
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = DefaultMaxBody
	}
	if cfg.Drain == 0 {
		cfg.Drain = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Edge{
		connections: connections,
		log:         log,
		logger:      logger,
		now:         cfg.Now,
		drain:       cfg.Drain,
		tracer:      cfg.Tracer,
		metrics:     newMetrics(reg, cfg.Now),
		bodies:      newBodies(cfg.MaxBodyBytes),
		senders:     senders{itemsPerSecond: float64(cfg.RateLimit)},
		// An outage is thousands of refusals and one fact.
		troubles: rate.NewLimiter(rate.Every(10*time.Second), 1),
	}, nil
}

// ServeHTTP answers one request.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer e.survive(w)
	d := delivery{edge: e, arrived: e.now(), ctx: context.Background()}
	if e.tracer != nil {
		var span trace.Span
		d.ctx, span = e.tracer.Start(d.ctx, "delivery", trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		defer d.describe(span)
	}
	defer d.close()
	if d.refusal = d.serve(r); d.refusal == nil {
		e.metrics.answered(&d)
		writeAccepted(w, d.good, d.skipped)
	} else {
		e.metrics.refused(&d)
		d.refusal.write(w)
	}
	switch {
	case d.refusal == nil && d.test():
		if d.sender.mayTest(d.arrived) {
			e.log.Reached(schemas.Reached{Tenant: d.connection.Tenant, Connection: d.connection.ID, At: schemas.Truncate(d.arrived)})
		}
	case d.worthNoting():
		// The answer is out before anything is made of it: how long a refusal takes
		// must not tell a guesser which connections there are.
		_ = http.NewResponseController(w).Flush()
		d.note()
	}
}

// serve returns nil where the delivery is kept, or is a test.
func (d *delivery) serve(r *http.Request) *refusal {
	id, within, ok := connectionIn(r.URL.Path)
	switch {
	case !within:
		return refusedPath
	case !ok:
		return refusedNotFound
	case r.Method != http.MethodPost:
		return refusedMethod
	case d.edge.draining.Load():
		return refusedShutdown
	}
	d.id = id
	if refusal := d.authenticate(r); refusal != nil {
		return refusal
	}
	if refusal := d.sender.begin(d.arrived); refusal != nil {
		return refusal
	}
	d.open = true
	if refusal := d.decode(r); refusal != nil {
		return refusal
	}
	return d.keep()
}

// The path of the endpoint, before the connection's id, and what everything
// below is ours to answer for.
const (
	route = "/v1/webhooks/halo/"
	realm = "/v1/webhooks/"
)

// connectionIn finds the connection's id in a path. within reports whether the path
// is one of ours, whatever it names.
//
// The webhook's address is kept by Halo, where people edit it. Where a slash was
// added to it, or capitals were made of it, it can mean one thing only, and it is
// taken for that; escapes are resolved by net/http.
func connectionIn(path string) (id string, within, ok bool) {
	if id, ok = strings.CutPrefix(path, route); !ok {
		parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
		path = "/" + strings.ToLower(strings.Join(parts, "/"))
		if id, ok = strings.CutPrefix(path, route); !ok {
			return "", strings.HasPrefix(path+"/", realm), false
		}
	}
	id = strings.ToLower(strings.TrimRight(id, "/"))
	return id, true, id != "" && !strings.Contains(id, "/")
}

// describe says on the span how the delivery ended.
func (d *delivery) describe(span trace.Span) {
	if d.connection.Tenant != "" {
		span.SetAttributes(attribute.String("tenant", string(d.connection.Tenant)), attribute.String("connection", string(d.connection.ID)))
	}
	if d.refusal != nil {
		tracing.Failed(span, string(d.refusal.result))
		return
	}
	span.SetAttributes(attribute.Int("events", d.good), attribute.Int("skipped", d.skipped))
}

func (e *Edge) trouble(what string, err error) {
	if e.troubles.Allow() {
		e.logger.Error(what, "err", err)
	}
}

// survive answers for a handler that panicked. The value of a panic may quote
// what was being decoded and is not logged; where it happened is.
func (e *Edge) survive(w http.ResponseWriter) {
	v := recover()
	if v == nil {
		return
	}
	what := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		what = err.Error() // the runtime names types, lengths and indexes only
	}
	e.logger.Error("a delivery made the edge panic", "panic", what, "stack", string(debug.Stack()))
	e.metrics.deliveries[unavailable].Inc()
	refusedPanic.write(w)
}
