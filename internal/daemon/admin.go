package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin is the listener for Prometheus and for whoever restarts processes.
type admin struct {
	server *http.Server
	done   chan struct{}
}

// serveAdmin listens on addr and serves until close. A port that is taken is an
// error at once.
func serveAdmin(ctx context.Context, addr string, h *health, reg prometheus.Gatherer, log *slog.Logger) (*admin, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	a := &admin{
		server: &http.Server{
			Handler:           handler(h, reg),
			ReadHeaderTimeout: 5 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       2 * time.Minute, // longer than between two scrapes
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(a.done)
		if err := a.server.Serve(newReserved(ln, log)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics and health are no longer served", "err", err)
		}
	}()
	log.Info("metrics and health are served", "addr", ln.Addr().String())
	return a, nil
}

func (a *admin) close() {
	_ = a.server.Close() // whoever is being served asks again elsewhere
	<-a.done
}

func handler(h *health, reg prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	// Alive means that the process answers. Whatever else is wrong with it, a
	// restart would not mend it: components that cannot go on end the program.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reasons := h.reasons(); len(reasons) > 0 {
			text(w, http.StatusServiceUnavailable, strings.Join(reasons, "\n"))
			return
		}
		text(w, http.StatusOK, "ready")
	})
	return mux
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body+"\n") // whoever asked has gone if this fails
}

// newLog makes the program's logger.
func newLog(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("LOG_LEVEL: %w", err)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("LOG_FORMAT: want text or json, not %q", format)
}
