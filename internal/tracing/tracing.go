// Package tracing follows single deliveries from the edge to their rows, where
// an operator asks for it.
//
// It promises two things. Without an endpoint it costs nothing: no client has a
// hook and no record a header of ours. With one, what leaves the process is ids,
// counts, times and our own words: spans are given tenant, connection and the
// like, the Kafka client's hooks add topic, partition, offset and key, and
// errors are put down as a status without their text.
//
// The trace travels in the headers of the records (W3C traceparent), beside the
// schema. What a header says changes nothing but the trace: no stage reads one
// for its work. A delivery's own headers are not taken up, since everybody can
// send them.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope names us as the author of spans.
const scope = "github.com/worksights/halo-connector"

// Config is what an operator chooses.
type Config struct {
	Endpoint string  // of a collector that speaks OTLP over HTTP, such as http://127.0.0.1:4318; "": off
	Ratio    float64 // share of the deliveries that are followed, 0 to 1
	Program  string  // service.name
}

// The ways in which a Config is refused.
var (
	ErrEndpoint = errors.New("the endpoint is not an http(s) URL")
	ErrRatio    = errors.New("the ratio is not between 0 and 1")
)

// Validate reports what is wrong, joined.
func (c Config) Validate() error {
	var errs []error
	if c.Endpoint != "" {
		if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, ErrEndpoint)
		}
	}
	if !(c.Ratio >= 0 && c.Ratio <= 1) { // so that NaN is refused too
		errs = append(errs, ErrRatio)
	}
	return errors.Join(errs...)
}

// Tracing makes spans and sends them, or does neither.
type Tracing struct {
	provider trace.TracerProvider
	sender   *sdk.TracerProvider // nil: off
}

// New starts sending to the endpoint, in the background and in batches: a
// collector that is away costs spans and nothing else. The caller closes it,
// last of all. Errors wrap those of [Config.Validate].
func New(ctx context.Context, cfg Config) (*Tracing, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	if cfg.Endpoint == "" {
		return &Tracing{provider: noop.NewTracerProvider()}, nil
	}
	target, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", ErrEndpoint)
	}
	if target.Path == "" || target.Path == "/" {
		target.Path = "/v1/traces" // as the environment variable is read everywhere
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target.String()), otlptracehttp.WithProxy(direct))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", ErrEndpoint)
	}
	sender := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter),
		// Who began a trace decided: a stage follows every record that carries
		// one, and none of the others.
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(cfg.Ratio))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", cfg.Program))),
	)
	return &Tracing{provider: sender, sender: sender}, nil
}

// direct uses no proxy: the environment's is meant for the way to the internet,
// and would be told every tenant's ids.
func direct(*http.Request) (*url.URL, error) { return nil, nil }

// Close sends what is left, for as long as ctx.
func (t *Tracing) Close(ctx context.Context) error {
	if t.sender == nil {
		return nil
	}
	if err := t.sender.Shutdown(ctx); err != nil {
		return fmt.Errorf("tracing: spans were not sent: %w", err)
	}
	return nil
}

// Options make a Kafka client carry traces: a record that is produced takes the
// one of its context along, a record that is fetched has the one it brought in
// its context. None where tracing is off.
func (t *Tracing) Options(client, group string) []kgo.Opt {
	if t.sender == nil {
		return nil
	}
	return []kgo.Opt{kgo.WithHooks(kotel.NewTracer(
		kotel.TracerProvider(t.provider),
		kotel.TracerPropagator(propagation.TraceContext{}),
		kotel.ClientID(client),
		kotel.ConsumerGroup(group),
	))}
}

// Tracer makes the spans of a stage.
func (t *Tracing) Tracer() trace.Tracer { return t.provider.Tracer(scope) }

// Nothing is the tracer of a stage that follows nobody.
func Nothing() trace.Tracer { return noop.NewTracerProvider().Tracer(scope) }

// Failed marks a span as failed, in words of ours: an error's text is not put
// into a trace.
func Failed(span trace.Span, why string) { span.SetStatus(codes.Error, why) }
