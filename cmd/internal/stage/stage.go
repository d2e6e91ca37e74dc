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

	"github.com/prometheus/client_golang/prometheus"
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

// watch is the component that says whether a stage can rely on its topics, and
// ends the stage where only a new beginning, or a person, can mend them. Other
// components may wait for it, see after.
func watch(program string, cfg kafka.Config, log *slog.Logger, reg prometheus.Registerer, needs kafka.Needs) (*kafka.Watch, daemon.Component) {
	w := kafka.NewWatch(cfg, program, needs, log, reg)
	return w, daemon.Component{Name: program + " topics", Run: w.Run, Ready: w.Ready}
}

// after lets a component begin once the tables were found to be such that one
// may judge by them: what is judged by one in pieces cannot be taken back.
func after(w *kafka.Watch, c daemon.Component) daemon.Component {
	run := c.Run
	c.Run = func(ctx context.Context) error {
		_ = w.Checked(ctx) // asked to stop before: then run does, and closes what is the component's
		return run(ctx)
	}
	return c
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
