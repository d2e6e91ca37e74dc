package stage

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/daemon"
)

// apiDrain is how long requests under way may take once connect is to stop. A
// connect to Halo takes up to a minute; one that is cut off is completed by its
// repeat.
const apiDrain = 5 * time.Second

// Connect assembles the control plane: the vault's sealer, the API's tokens,
// the timeline's database, the owner of the state, and the API.
func Connect(ctx context.Context, cfg config.Connect, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
	sealer, err := vault.Open(cfg.KeysetFile, time.Now, log)
	if err != nil {
		return nil, err
	}
	tokens, err := access.Open(cfg.APITokensFile, time.Now, log)
	if err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(cfg.ClickHouseDSN.Reveal())
	if err != nil {
		return nil, err
	}
	c, err := connect.New(connect.Config{
		Kafka:          cfg.Client("connect"),
		Topics:         cfg.Topics(),
		IngestURL:      cfg.PublicIngestURL,
		AllowNets:      cfg.HaloAllowNets,
		HealthInterval: cfg.HealthInterval,
		Sealer:         sealer,
		Tokens:         tokens,
		Outcomes:       connect.NewClickHouse(conn),
		Log:            log,
		Registry:       reg,
	})
	if err != nil {
		return nil, err
	}
	ln, err := listen(ctx, cfg.ListenAddr)
	if err != nil {
		return nil, err
	}
	log.Info("the control API is served", "addr", ln.Addr().String())
	return []daemon.Component{
		{Name: "timeline database", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return conn.Close()
		}},
		{Name: "connect", Run: c.Run, Ready: c.Ready},
		{Name: "control API", Run: func(ctx context.Context) error { return serve(ctx, ln, c.Handler(), log) }},
	}, nil
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
