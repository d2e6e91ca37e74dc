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

	"github.com/worksights/halo-connector/ingest/halopsa"
	"github.com/worksights/halo-connector/internal/tracing"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// DefaultMaxBody is the largest delivery that is read, in bytes, before
	// and after gunzip. Full objects embed the text of actions and notes.
	DefaultMaxBody = 2 << 20

	// DefaultRateLimit is how many deliveries a second one connection may send
	// for long; for a moment it is twice that.
	DefaultRateLimit = 200

	// kafkaBudget is how long one delivery may wait for Kafka altogether, so
	// that its answer comes within two seconds: that is what senders of
	// webhooks wait for before they call a receiver dead.
	//
	// The two catch-ups that a delivery may need at the most take 1.64 s
	// (catchup.go) where Kafka is so slow that they only just succeed; nothing
	// is left for the acknowledgement then, and the answer is 503.
	kafkaBudget = 1500 * time.Millisecond
)

// Config is what an operator may set.
type Config struct {
	MaxBodyBytes int64            // 0: DefaultMaxBody
	RateLimit    int              // deliveries a second and connection, for a moment twice as many; 0: no bound
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
	bodies   bodies
	lanes    lanes
	catchUps *catchUps
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
	if cfg.Tracer == nil {
		cfg.Tracer = tracing.Nothing()
	}
	return &Edge{
		connections: connections,
		log:         log,
		logger:      logger,
		now:         cfg.Now,
		drain:       cfg.Drain,
		tracer:      cfg.Tracer,
		metrics:     newMetrics(reg),
		bodies:      bodies{max: cfg.MaxBodyBytes},
		lanes:       lanes{perSecond: cfg.RateLimit},
		catchUps:    newCatchUps(connections.CatchUp),
		// An outage is thousands of refusals and one fact.
		troubles: rate.NewLimiter(rate.Every(10*time.Second), 1),
	}, nil
}

// route is the path of the endpoint, before the connection's id.
const route = "/v1/webhooks/halo/"

// ServeHTTP answers one request.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := e.now()
	defer e.survive(w)
	ctx, span := e.tracer.Start(r.Context(), "delivery", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	if span.IsRecording() {
		r = r.WithContext(ctx)
	}
	good, skipped, refusal := e.serve(r, arrived)
	if refusal == nil {
		span.SetAttributes(attribute.Int("events", good), attribute.Int("skipped", skipped))
		e.metrics.answered(good + skipped)
		writeAccepted(w, good, skipped)
		return
	}
	if refusal.result != "" {
		e.metrics.deliveries[refusal.result].Inc()
	}
	tracing.Failed(span, string(refusal.result))
	refusal.write(w)
}

func (e *Edge) serve(r *http.Request, arrived time.Time) (good, skipped int, _ *refusal) {
	id, ok := strings.CutPrefix(r.URL.Path, route)
	switch {
	case !ok || id == "" || strings.Contains(id, "/"):
		return 0, 0, refusedPath
	case r.Method != http.MethodPost:
		return 0, 0, refusedMethod
	case e.draining.Load():
		return 0, 0, refusedShutdown
	}
	d := delivery{edge: e, id: id, arrived: arrived}
	if refusal := d.authenticate(r); refusal != nil {
		return 0, 0, refusal
	}
	trace.SpanFromContext(r.Context()).SetAttributes(
		attribute.String("tenant", string(d.connection.Tenant)), attribute.String("connection", string(d.connection.ID)))
	lane := e.lanes.of(d.connection.ID)
	if !lane.deliveries.AllowN(arrived, 1) {
		return 0, 0, refusedRate
	}
	events, refusal := d.decode(r, lane)
	if refusal != nil {
		return 0, 0, refusal
	}
	if refusal := d.keep(r.Context(), events); refusal != nil {
		return 0, 0, refusal
	}
	good, skipped = e.metrics.accept(d.connection.Tenant, events, arrived, e.now().Sub(arrived))
	return good, skipped, nil
}

// delivery is one request on its way through the edge.
type delivery struct {
	edge       *Edge
	id         string
	arrived    time.Time
	connection schemas.Connection
	waited     time.Duration // for Kafka, so far
}

// authenticate sets the delivery's connection if the request proves to be its.
//
// An unknown connection and a wrong secret take the same steps: the digest of
// the secret, a comparison, a catch-up, the digest and the comparison again.
// Without credentials that could fit there is nothing to find out by waiting.
func (d *delivery) authenticate(r *http.Request) *refusal {
	user, password, ok := r.BasicAuth()
	if !ok || user != d.id {
		return refusedSecret
	}
	secret := schemas.Secret(password)
	if d.verify(secret) {
		return nil
	}
	// Perhaps connect answered a moment ago and the table lags. A delivery must
	// not be called a forgery for that, nor because Kafka is away.
	if err := d.catchUp(r.Context()); err != nil {
		d.edge.trouble("the table of connections cannot catch up with Kafka, so an unknown secret cannot be refused", err)
		return refusedTable
	}
	if d.verify(secret) {
		return nil
	}
	return refusedSecret
}

func (d *delivery) verify(secret schemas.Secret) bool {
	connection, ok := d.edge.connections.Get(d.id)
	if !ok {
		// With the id that was asked for, since its length is digested.
		connection = schemas.Connection{ID: schemas.ConnectionID(d.id)}
	}
	d.connection = connection
	return connection.Verify(secret, d.arrived)
}

// catchUp waits for the table, within the delivery's budget.
func (d *delivery) catchUp(ctx context.Context) error {
	start := time.Now()
	defer func() { d.waited += time.Since(start) }()
	return d.edge.catchUps.wait(ctx)
}

// decode reads the body and gives what is left of it: ids and times.
func (d *delivery) decode(r *http.Request, lane *lane) ([]schemas.Event, *refusal) {
	e := d.edge
	buf := e.bodies.get()
	defer e.bodies.put(buf)
	if refusal := e.bodies.read(r, buf); refusal != nil {
		return nil, refusal
	}
	e.metrics.body.Observe(float64(len(buf.b)))

	res, err := halopsa.Decode(buf.b, halopsa.Delivery{Connection: d.connection, ReceivedAt: d.arrived})
	if err == nil && lagging(res.Events) {
		// The verifier fits, and yet the webhook or the notification is not the
		// one of the table: true of an old webhook, and of a table that lags
		// behind a connection that was just made or renewed.
		if err := d.catchUp(r.Context()); err != nil {
			e.trouble("the table of connections cannot catch up with Kafka, so a delivery cannot be judged", err)
			return nil, refusedTable
		}
		if current, ok := e.connections.Get(d.id); ok {
			d.connection = current
			res, err = halopsa.Decode(buf.b, halopsa.Delivery{Connection: current, ReceivedAt: d.arrived})
		}
	}
	switch {
	case errors.Is(err, halopsa.ErrTooDeep):
		return nil, refusedDepth
	case err != nil:
		return nil, refusedJSON
	}
	e.report(d, res, lane)
	return res.Events, nil
}

// lagging reports whether a newer record of the connection could give another
// answer.
func lagging(events []schemas.Event) bool {
	for i := range events {
		if r := events[i].Refusal; r == schemas.StaleWebhook || r == schemas.UnknownKind {
			return true
		}
	}
	return false
}

// report logs which names a delivery without an envelope had, as far as they
// are the vendor's.
func (e *Edge) report(d *delivery, res halopsa.Result, lane *lane) {
	for i := range res.Events {
		if res.Events[i].Refusal != schemas.Undecodable {
			return
		}
	}
	if lane.reports.AllowN(d.arrived, 1) {
		e.logger.Warn("a delivery names no ticket",
			"tenant", d.connection.Tenant, "connection", d.connection.ID, "fields", res.Fields)
	}
}

// keep hands the events to the log and waits for its acknowledgement.
func (d *delivery) keep(ctx context.Context, events []schemas.Event) *refusal {
	ctx, cancel := context.WithTimeout(ctx, kafkaBudget-d.waited)
	defer cancel()
	if err := d.edge.log.Append(ctx, events); err != nil {
		d.edge.trouble("a delivery could not be kept and was answered 503", err)
		return refusedKafka
	}
	return nil
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
