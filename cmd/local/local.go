package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/cmd/internal/stage"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/embedded/broker"
	"github.com/worksights/halo-connector/internal/embedded/engine"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
)

// startTimeout bounds the start of both engines: the broker reads its whole
// log, the library takes up to a second, and the child of a parent that was
// killed may take some to leave the data directory.
const startTimeout = 60 * time.Second

// The names in DATA_DIR of what connect reads.
const keysetFile, tokensFile = "keyset.json", "api-tokens"

// portVariable moves all ports.
const portVariable = "PORT_OFFSET"

// ports are the fixed ports, shifted.
type ports int

func (p ports) addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port+int(p)) }
func (p ports) webhooks() string     { return p.addr(8080) }
func (p ports) api() string          { return p.addr(8081) }
func (p ports) halo() string         { return p.addr(8090) }
func (p ports) admin() string        { return p.addr(9090) }
func (p ports) kafka() string        { return p.addr(9092) }
func (p ports) clickhouse() string   { return p.addr(8123) }

// local is what the flags chose.
type local struct {
	enginesOnly bool
	demo        bool
	story       func(ctx context.Context, h *house) error // the demo's; nil otherwise
}

// house is the running connector as a client on this machine sees it.
type house struct {
	cfg   config.Local
	ports ports
	token string
	log   *slog.Logger
}

// check looks at what the start would stumble over: the library, and what an
// earlier run left in DATA_DIR. What is not there yet is made by the start.
func check(cfg config.Local) error {
	var errs []error
	if info, err := os.Stat(cfg.DataDir); err == nil && !info.IsDir() {
		errs = append(errs, fmt.Errorf("DATA_DIR: %s is not a directory", cfg.DataDir))
	} else if err := writable(cfg.DataDir); err != nil {
		errs = append(errs, fmt.Errorf("DATA_DIR: %w", err))
	}
	if _, err := engine.FindLibrary(cfg.LibchdbPath); err != nil {
		errs = append(errs, fmt.Errorf("LIBCHDB_PATH: %w", err))
	}
	if _, err := vault.Open(filepath.Join(cfg.DataDir, keysetFile), fresh.Options{}); err != nil && !absent(err) {
		errs = append(errs, fmt.Errorf("DATA_DIR: %w", err))
	}
	if _, err := access.Open(filepath.Join(cfg.DataDir, tokensFile), fresh.Options{}); err != nil && !absent(err) {
		errs = append(errs, fmt.Errorf("DATA_DIR: %w", err))
	}
	return errors.Join(errs...)
}

// writable tries to write where dir is or will be made, and leaves nothing
// behind. Asking for permissions would say nothing of a disk that is mounted
// for reading only, and nothing to root.
func writable(dir string) error {
	for {
		if _, err := os.Stat(dir); err == nil || !absent(err) {
			break
		}
		dir = filepath.Dir(dir)
	}
	probe, err := os.MkdirTemp(dir, ".check-")
	if err != nil {
		return fmt.Errorf("cannot be written: %w", err)
	}
	return os.Remove(probe)
}

// absent reports that a file is not there, or nothing to hold it.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// build starts the engines, prepares them, and assembles the stages. The
// engines are components too, first in the list and so last to stop.
func (l *local) build(ctx context.Context, cfg config.Local, log *slog.Logger, reg *prometheus.Registry) (_ []daemon.Component, err error) {
	defer func() { err = elsewhere(err) }()
	h := &house{cfg: cfg, ports: ports(cfg.PortOffset), log: log}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	kfk, err := broker.Start(starting, broker.Config{Dir: filepath.Join(cfg.DataDir, "kafka"), Addr: h.ports.kafka()}, log)
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka: %w", err)
	}
	metric.Disk(reg, "kafka", kfk.Space)
	// Whatever fails from here on, the broker closes its files: it has no
	// other way to know that they are whole.
	defer func() {
		if err != nil {
			_ = kfk.Close() // the first failure is the one to report
		}
	}()
	chs, err := engine.Start(starting, engine.Config{Dir: filepath.Join(cfg.DataDir, "clickhouse"), Addr: h.ports.clickhouse(), Library: cfg.LibchdbPath}, log)
	if err != nil {
		return nil, fmt.Errorf("embedded ClickHouse: %w", err)
	}
	defer func() {
		if err != nil {
			_ = chs.Close()
		}
	}()
	if err := h.prepare(starting); err != nil {
		return nil, err
	}
	components := []daemon.Component{
		{Name: "embedded Kafka", Run: kfk.Run, Ready: kfk.Ready},
		{Name: "embedded ClickHouse", Run: until(chs.Close), Ready: chs.Health},
	}
	if l.enginesOnly {
		log.Info("the engines are up", "KAFKA_BROKERS", h.ports.kafka(), "CLICKHOUSE_DSN", h.dsn())
		return components, nil
	}
	stages, err := h.stages(ctx, reg)
	if err != nil {
		return nil, err
	}
	components = append(components, stages...)
	switch {
	case l.story != nil:
		components = append(components, daemon.Component{Name: "demo", Run: func(ctx context.Context) error { return l.story(ctx, h) }})
	case cfg.Simulate:
		components = append(components, daemon.Component{Name: "simulated HaloPSA", Run: h.simulate})
	}
	return components, nil
}

// elsewhere says of a port that is taken which variable moves it. A stage names
// its own variable, which this program does not read.
func elsewhere(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "listen" {
		return fmt.Errorf("%s: %w", portVariable, op)
	}
	return err
}

// until is the Run of something that was started already and only needs to be
// closed.
func until(closeIt func() error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		return closeIt()
	}
}

func (h *house) dsn() string { return "http://" + h.ports.clickhouse() + "/worksights" }

func (h *house) kafka() config.Kafka {
	return config.Kafka{KafkaBrokers: []string{h.ports.kafka()}, TopicPrefix: h.cfg.TopicPrefix}
}

func (h *house) file(name string) string { return filepath.Join(h.cfg.DataDir, name) }

// prepare makes what must exist before a stage starts: topics, tables, the
// keyset and the API token. All of it may be there from an earlier run.
func (h *house) prepare(ctx context.Context) error {
	producer, err := kafka.NewProducer(h.kafka().Client("local"), h.log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := kafka.EnsureTopics(ctx, producer, h.kafka().Topics().Specs(), broker.TopicOptions()); err != nil {
		return fmt.Errorf("embedded Kafka: %w", err)
	}
	if err := h.migrate(ctx); err != nil {
		return fmt.Errorf("embedded ClickHouse: %w", err)
	}
	if err := vault.NewKeyset(h.file(keysetFile)); err != nil && !errors.Is(err, vault.ErrExists) {
		return fmt.Errorf("keyset: %w", err)
	}
	return h.readToken()
}

// migrate brings the tables up to date. The engine's child process may be killed
// meanwhile; its next one is asked again.
func (h *house) migrate(ctx context.Context) error {
	for {
		err := clickhouse.Migrate(ctx, h.dsn(), h.cfg.RetentionMonths, h.log)
		if would := (clickhouse.WouldDelete{}); errors.As(err, &would) {
			h.log.Warn("the retention stays as it was: a shorter one deletes rows. To delete them: haloctl migrate --yes", "months", would.Months, "rows", would.Rows)
			return nil
		}
		if clickhouse.ClassOf(err) != clickhouse.Unavailable || ctx.Err() != nil {
			return err
		}
		h.log.Warn("the engine ended while its tables were made, trying again", "err", err)
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// readToken reads DATA_DIR/api-token, or makes it, and beside it the file of
// hashes that connect reads.
func (h *house) readToken() error {
	b, err := os.ReadFile(h.file("api-token"))
	if err == nil {
		h.token, _, _ = strings.Cut(string(b), "\n")
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("API token: %w", err)
	}
	token, err := access.New(h.file(tokensFile), access.Grant{Name: "local"})
	if err != nil {
		return fmt.Errorf("API token: %w", err)
	}
	h.token = token.Reveal()
	// A crash before this line leaves a hash whose token nobody has; the next
	// start adds another. Harmless, and better than a token without its hash.
	if err := os.WriteFile(h.file("api-token"), []byte(h.token+"\n"), 0o600); err != nil {
		return fmt.Errorf("API token: %w", err)
	}
	return nil
}

// stages assembles the four stages, in the order of a delivery's way reversed:
// whoever takes work stops before whoever it hands it to.
func (h *house) stages(ctx context.Context, reg *prometheus.Registry) ([]daemon.Component, error) {
	cfg := h.cfg
	clickhouse := config.ClickHouse{ClickHouseDSN: config.DSN(h.dsn())}
	halo := cfg.Halo
	if cfg.Simulate {
		// The simulated tenant is on loopback, which is closed otherwise.
		halo.HaloAllowNets = halo.HaloAllowNets.With(netip.MustParsePrefix("127.0.0.1/32"))
	}
	public := cfg.PublicIngestURL
	if public == "" {
		public = "http://" + h.ports.webhooks()
	}
	var all []daemon.Component
	for _, assemble := range []func() ([]daemon.Component, error){
		func() ([]daemon.Component, error) {
			return stage.Sink(ctx, config.Sink{ClickHouse: clickhouse, Batch: cfg.Batch, Kafka: h.kafka(), Tracing: cfg.Tracing}, h.log, reg)
		},
		func() ([]daemon.Component, error) {
			return stage.Processor(ctx, config.Processor{Weights: cfg.Weights, Kafka: h.kafka(), Tracing: cfg.Tracing}, h.log, reg)
		},
		func() ([]daemon.Component, error) {
			return stage.Ingest(ctx, config.Ingest{ListenAddr: h.ports.webhooks(), Edge: cfg.Edge, Kafka: h.kafka(), Tracing: cfg.Tracing}, h.log, reg)
		},
		func() ([]daemon.Component, error) {
			return stage.Connect(ctx, config.Connect{
				ListenAddr: h.ports.api(), PublicIngestURL: public, KeysetFile: h.file(keysetFile), APITokensFile: h.file(tokensFile),
				Console: cfg.Console, Halo: halo, ClickHouse: clickhouse, Kafka: h.kafka(),
			}, h.log, reg)
		},
	} {
		components, err := assemble()
		if err != nil {
			return nil, err
		}
		all = append(all, components...)
	}
	return all, nil
}
