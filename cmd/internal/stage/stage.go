// Package stage assembles each stage from its configuration: clients, tables,
// listeners, in the order in which they are started and, reversed, stopped.
//
// The programs of one stage and the local mode call the same functions, so
// that what runs on one machine is what runs on fifty.
package stage

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/tracing"
)

// closing is a component that does nothing but finish a producer once everything
// that was started after it has stopped.
func closing(name string, cl *kgo.Client, log *slog.Logger) daemon.Component {
	return daemon.Component{
		Name: name,
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			kafka.Finish(cl, log)
			return nil
		},
	}
}

// rights is the component that says whether a stage may use its topics.
func rights(program string, cfg kafka.Config, log *slog.Logger, reads, writes []string) daemon.Component {
	r := kafka.NewRights(cfg, log, reads, writes)
	return daemon.Component{Name: program + " rights", Run: r.Run, Ready: r.Ready}
}

// follow makes a stage's tracing, and the component that sends the last spans
// once everything that was started after it has stopped.
func follow(ctx context.Context, log *slog.Logger, cfg config.Tracing, program string) (*tracing.Tracing, daemon.Component, error) {
	t, err := tracing.New(ctx, cfg.Of(program))
	if err != nil {
		return nil, daemon.Component{}, err
	}
	// Otherwise it goes to the standard log, in another form than LOG_FORMAT.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are not sent", "err", err) }))
	return t, daemon.Component{
		Name: program + " tracing",
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSpans)
			defer cancel()
			if err := t.Close(last); err != nil {
				log.Warn("the last traces are not sent", "err", err)
			}
			return nil
		},
	}, nil
}

// lastSpans is how long a stage may take at its end to send spans. A collector
// that does not answer is a line in the log: the stop is clean without it, and
// whoever watches exit codes must not look for a fault of the stage.
const lastSpans = 2 * time.Second

// listen opens a stage's listener. It is opened while the stage is assembled,
// so that a port which is taken is said at once and not after a start.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	return ln, nil
}
