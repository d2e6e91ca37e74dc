package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/cmd/internal/standby"
	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/timeline"
	"github.com/worksights/halo-connector/timeline/records"
)

// apiDrain is how long requests under way may take once connect is to stop. A
// connect to Halo takes up to a minute; one that is cut off is completed by its
// repeat.
const apiDrain = 5 * time.Second

// Connect assembles the control plane: the vault's sealer, the API's tokens,
// the timeline's database, the owner of the state, and the API.
func Connect(ctx context.Context, cfg config.Connect, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
	client, topics := cfg.Client("connect"), cfg.Topics()
	sealer, tokens, err := files(cfg, fresh.Options{Log: log, Registry: reg})
	if err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(cfg.ClickHouseDSN.Reveal())
	if err != nil {
		return nil, err
	}
	erasing, err := clickhouse.Open(cfg.Erase())
	if err != nil {
		return nil, err
	}
	known := &mappings{}
	back, err := records.New(client, topics, log, reg)
	if err != nil {
		return nil, err
	}
	refused, err := records.NewRefused(client, topics, time.Now(), log, reg)
	if err != nil {
		return nil, err
	}
	read := timeline.New(conn, back, known, time.Now)
	var announce []kgo.Opt
	if cfg.PeerURL != "" {
		announce = append(announce, standby.Announce(cfg.PeerURL))
	}
	c, err := connect.New(connect.Config{
		Kafka:          client,
		KafkaOptions:   announce,
		Topics:         topics,
		Group:          group(cfg),
		Instance:       cfg.PeerURL,
		IngestURL:      cfg.PublicIngestURL,
		ConsoleURL:     cfg.PublicConsoleURL,
		AllowNets:      cfg.HaloAllowNets,
		HealthInterval: cfg.HealthInterval,
		ReportOnly:     !cfg.AutoRepair,
		Sealer:         sealer,
		Tokens:         tokens,
		Outcomes:       outcomes{read, back, refused},
		Eraser:         clickhouse.NewEraser(erasing),
		Reads:          read,
		Log:            log,
		Registry:       reg,
	})
	if err != nil {
		return nil, err
	}
	known.Connect = c
	ln, err := listen(ctx, cfg.ListenAddr)
	if err != nil {
		return nil, err
	}
	log.Info("the control API is served", "addr", ln.Addr().String())
	f, passing, err := withConsole(cfg.Console, c.Ready, c.Handler(), log)
	if err != nil {
		return nil, err
	}
	handler, ready := f.Handler(), f.Ready
	if cfg.PeerURL != "" {
		door, client, err := peers(cfg, f, log)
		if err != nil {
			return nil, err
		}
		handler, ready = door, door.Ready
		passing = append(passing, daemon.Component{Name: "peers", Run: func(ctx context.Context) error {
			defer client.Close()
			return door.Run(ctx)
		}})
	}
	tables := []string{topics.Vault, topics.Connections, topics.Mappings, topics.Erasures}
	writes := slices.Concat(tables, []string{topics.Changes})
	w, watching := watch("connect", client, log, reg, kafka.Needs{
		Read: slices.Concat(writes, []string{topics.Events, topics.Deliveries, topics.Reached}), Write: writes, Tables: tables,
	})
	return slices.Concat([]daemon.Component{
		watching,
		{Name: "timeline database", Run: func(ctx context.Context) error {
			<-ctx.Done()
			back.Close()
			return errors.Join(conn.Close(), erasing.Close())
		}},
		after(w, daemon.Component{Name: "refused deliveries", Run: refused.Run}),
		after(w, daemon.Component{Name: "connect", Run: c.Run, Ready: ready}),
	}, passing, []daemon.Component{
		{Name: "control API", Run: func(ctx context.Context) error { return serve(ctx, ln, handler, log) }},
	}), nil
}

// files opens the two files that connect reads. What is wrong with either is
// said at once.
func files(cfg config.Connect, options fresh.Options) (*vault.Sealer, *access.Tokens, error) {
	sealer, err := vault.Open(cfg.KeysetFile, options)
	if err != nil {
		err = fmt.Errorf("KEYSET_FILE: %w", err)
	}
	tokens, errTokens := access.Open(cfg.APITokensFile, options)
	if errTokens != nil {
		errTokens = fmt.Errorf("API_TOKENS_FILE: %w", errTokens)
	}
	return sealer, tokens, errors.Join(err, errTokens)
}

// CheckConnect is what Connect would find wrong before it dials anything.
func CheckConnect(cfg config.Connect) error {
	_, _, err := files(cfg, fresh.Options{})
	_, _, errConsole := withConsole(cfg.Console, nil, nil, nil)
	return errors.Join(err, errConsole, checkDatabase(cfg.ClickHouse))
}

// group is whose members elect the one that acts: of one installation. It is not
// that of older versions, which were assigned the vault in another way.
func group(cfg config.Connect) string { return cfg.TopicPrefix + "connect" }

// peers makes the way to the instance that acts while this one does not, and
// the client that asks the group who that is.
func peers(cfg config.Connect, c standby.Instance, log *slog.Logger) (*standby.Door, *kgo.Client, error) {
	// With a registry of its own: it would count as the second producer of the
	// same name, and what it does nobody needs to see.
	client, err := kafka.NewProducer(cfg.Client("connect"), log, prometheus.NewRegistry())
	if err != nil {
		return nil, nil, err
	}
	admin := kadm.NewClient(client)
	find := func(ctx context.Context) (string, error) {
		return standby.Owner(ctx, admin, group(cfg), cfg.Topics().Vault)
	}
	return standby.New(c, cfg.PeerURL, find, log), client, nil
}

// serve serves the API on ln until ctx is done and then lets requests under way
// finish.
func serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      90 * time.Second, // PUT /connection asks Halo for up to 60 s
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiDrain)
	defer cancel()
	if err := server.Shutdown(drain); errors.Is(err, context.DeadlineExceeded) {
		_ = server.Close() // what is left is cut off: that is the point
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
