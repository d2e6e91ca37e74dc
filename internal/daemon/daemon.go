// Package daemon is what every long-running program of ours does around its
// work: signals, log, metrics, health, and an end in order.
//
// It promises that components are started in the order given and stopped in
// the reverse one, each waited for before the next is asked to stop; that the
// first failure stops all of them; and that /readyz says which of them is not
// ready, and why. Order is what keeps a clean stop clean: the edge stops
// taking deliveries before the producer that acknowledges them is closed.
// Where a failure is one that new components do not have, the program begins
// anew in the same process, as if it had been restarted.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/worksights/halo-connector/internal/metric"
)

// DefaultDrain is how long a component may take to stop. A container is killed
// after 30 s by default; what is still unfinished then is repeated by whoever
// starts next.
const DefaultDrain = 10 * time.Second

// ErrStuck says that a component did not stop within the drain time.
var ErrStuck = errors.New("component did not stop in time")

// Component is one thing that runs until the program ends.
type Component struct {
	Name string // of it alone in its process
	// Run blocks until ctx is done and then returns nil. To return earlier, or
	// with an error, ends the program.
	Run func(ctx context.Context) error
	// Ready is nil while the component does its work, else the reason for
	// /readyz. It must answer at once. A nil func is always ready.
	Ready func() error
}

// Config is what the operator chooses.
type Config struct {
	Program   string        // its name, for halo_build_info
	AdminAddr string        // /metrics, /healthz and /readyz; empty: none
	AdminFrom string        // the variable that AdminAddr comes from, for errors; empty: ADMIN_ADDR
	LogLevel  string        // debug, info, warn, error
	LogFormat string        // text, json
	Drain     time.Duration // per component; 0: DefaultDrain
	// Anew says of a failure that new components mend it; nil: none is.
	Anew func(error) bool
}

// anewPause is between two beginnings of which the first came to nothing.
const anewPause = time.Second

// Run builds the components and runs them until ctx is done or a SIGINT or
// SIGTERM arrives, and then returns nil once all of them have stopped. A second
// signal ends the process at once. Run fails with the first component's
// failure, and when components cannot be built or stopped.
func Run(ctx context.Context, cfg Config, build func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]Component, error)) error {
	log, err := newLog(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Once the first signal has ended ctx, the second has its usual effect.
	context.AfterFunc(ctx, stop)

	health, reg := &health{}, &registry{}
	reg.renew(cfg.Program, health, 0)
	if cfg.AdminAddr != "" {
		// Before the components are built: a table that takes a minute to
		// read must be seen to be reading.
		admin, err := serveAdmin(ctx, cfg.AdminAddr, health, reg, log)
		if err != nil {
			return fmt.Errorf("%s: %w", cmp.Or(cfg.AdminFrom, "ADMIN_ADDR"), err)
		}
		defer admin.close()
	}
	return again(ctx, cfg, reg, health, log, build)
}

// again builds the components and runs them, anew as often as that mends what
// ended them.
func again(ctx context.Context, cfg Config, reg *registry, health *health, log *slog.Logger, build builder) error {
	for n := 1; ; n++ {
		began := time.Now()
		err := once(ctx, cfg, reg.now(), health, log, build)
		// Of a component that is stuck there would be two: only the end of the
		// process ends it.
		if err == nil || ctx.Err() != nil || cfg.Anew == nil || !cfg.Anew(err) || errors.Is(err, ErrStuck) {
			return err
		}
		log.Error("beginning anew", "err", err)
		health.begin("beginning anew: " + err.Error())
		if time.Since(began) < anewPause {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(anewPause):
			}
		}
		reg.renew(cfg.Program, health, n)
	}
}

type builder = func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]Component, error)

// once builds the components and runs them to their end.
func once(ctx context.Context, cfg Config, reg *prometheus.Registry, health *health, log *slog.Logger, build builder) error {
	components, err := build(ctx, log, reg)
	if err != nil {
		return err
	}
	if err := distinct(components); err != nil {
		return err
	}
	health.started(components)
	return run(ctx, components, cmp.Or(cfg.Drain, DefaultDrain), health, log)
}

// registry is what /metrics shows. New components get a new one: a gauge that
// asks the components of before would go on doing so.
type registry struct {
	current atomic.Pointer[prometheus.Registry]
}

func (r *registry) now() *prometheus.Registry { return r.current.Load() }

// Gather is for the admin listener.
func (r *registry) Gather() ([]*dto.MetricFamily, error) { return r.now().Gather() }

func (r *registry) renew(program string, health *health, anew int) {
	reg := prometheus.NewRegistry()
	metric.Process(reg, program)
	metric.Ready(reg, health.report)
	metric.Anew(reg, anew)
	r.current.Store(reg)
}

// distinct refuses two components of one name: of their two gauges Prometheus
// would be given neither, and with them no other metric.
func distinct(components []Component) error {
	seen := make(map[string]bool)
	for _, c := range components {
		if seen[c.Name] {
			return fmt.Errorf("two components are called %q", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

// run starts the components and stops them in reverse when ctx is done or one
// of them returns.
func run(ctx context.Context, components []Component, drain time.Duration, health *health, log *slog.Logger) error {
	ended := make(chan error, len(components))
	running := make([]*runner, len(components))
	for i, c := range components {
		running[i] = start(ctx, c, ended)
	}
	var first error
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case first = <-ended:
	}
	health.stopping()
	for i := len(running) - 1; i >= 0; i-- {
		if err := running[i].stop(drain); err != nil && (first == nil || errors.Is(err, ErrStuck)) {
			first = errors.Join(first, err)
		}
	}
	return first
}

// runner is one component that was started.
type runner struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// start runs the component in a context of its own, which outlives the
// program's: it is stopped when its turn comes and not when the signal does.
func start(ctx context.Context, c Component, ended chan<- error) *runner {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &runner{name: c.Name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		err := c.Run(own)
		switch {
		case err != nil && own.Err() == nil:
			r.err = fmt.Errorf("%s: %w", c.Name, err)
		case err != nil && !errors.Is(err, context.Canceled):
			r.err = fmt.Errorf("%s: stopping: %w", c.Name, err)
		case own.Err() == nil:
			r.err = fmt.Errorf("%s ended without being asked to", c.Name)
		}
		if own.Err() == nil {
			ended <- r.err
		}
	}()
	return r
}

func (r *runner) stop(drain time.Duration) error {
	r.cancel()
	timer := time.NewTimer(drain)
	defer timer.Stop()
	select {
	case <-r.done:
		return r.err
	case <-timer.C:
		return fmt.Errorf("%s: %w (%v)", r.name, ErrStuck, drain)
	}
}

// health is what /healthz and /readyz know.
type health struct {
	mu         sync.Mutex
	components []Component
	state      string // why nothing is ready yet, or any more
	up         bool
}

func (h *health) started(c []Component) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.components, h.up = c, true
}

// begin says why nothing is ready until the components are started again.
func (h *health) begin(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.components, h.up, h.state = nil, false, why
}

func (h *health) stopping() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.up, h.state = false, "stopping"
}

// report says of each component whether it is ready: in a metric what /readyz
// says in words.
func (h *health) report(say func(component string, ready bool)) {
	h.mu.Lock()
	components, up := h.components, h.up
	h.mu.Unlock()
	for _, c := range components {
		if c.Ready != nil {
			say(c.Name, up && c.Ready() == nil)
		}
	}
}

// reasons lists why the program is not ready; none when it is.
func (h *health) reasons() []string {
	h.mu.Lock()
	components, up, state := h.components, h.up, h.state
	h.mu.Unlock()
	if !up {
		if state == "" {
			state = "starting"
		}
		return []string{state}
	}
	var reasons []string
	for _, c := range components {
		if c.Ready == nil {
			continue
		}
		if err := c.Ready(); err != nil {
			reasons = append(reasons, c.Name+": "+err.Error())
		}
	}
	return reasons
}
