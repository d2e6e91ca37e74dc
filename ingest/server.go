package ingest

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// The patience of the server with its clients.
const (
	readHeaderTimeout = 10 * time.Second // contract: header within 10 s
	readTimeout       = 30 * time.Second // contract: the whole request within 30 s
	writeTimeout      = 40 * time.Second // counted from the header: the body's time, Kafka's two seconds, and the answer's
	idleTimeout       = 2 * time.Minute  // load balancers keep theirs for a minute: the side that closes second never meets a closed connection
	maxHeaderBytes    = 16 << 10         // the header of a delivery is below 1 kB; proxies add theirs

	// refuseFor is how long the edge still answers, with 503, once it has to
	// end. net/http hangs up without an answer on who sends a request after
	// that, which Halo cannot tell from a delivery that was lost on its way.
	refuseFor = 250 * time.Millisecond
)

// ErrNotServing says that the edge takes no deliveries, not yet or no more.
var ErrNotServing = errors.New("the edge is not serving")

// Run serves on ln, which it closes, until ctx is done. Then new requests are
// answered 503 for a quarter of a second, those that were accepted are
// finished, all within Config.Drain, and Run returns nil. What it acknowledged
// is in Kafka by then; what was cut off was not acknowledged.
func (e *Edge) Run(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           e,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(&serverLog{e.logger}, "", 0),
	}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		e.draining.Store(true)
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.drain)
		defer cancel()
		refuse, cancel := context.WithTimeout(bound, refuseFor)
		defer cancel()
		<-refuse.Done()
		if err := srv.Shutdown(bound); err != nil {
			e.logger.Warn("open deliveries were cut off at the end of the drain", "err", err)
			_ = srv.Close() // whose errors are of connections that are lost anyway
		}
	})
	e.serving.Store(true)
	defer e.serving.Store(false)
	err := srv.Serve(ln)
	if stop() {
		// The listener failed under us.
		return errors.Join(err, srv.Close())
	}
	<-drained
	return nil
}

// Ready is nil while deliveries are taken, else ErrNotServing.
func (e *Edge) Ready() error {
	if !e.serving.Load() || e.draining.Load() {
		return ErrNotServing
	}
	return nil
}

// serverLog passes on what net/http says about the listener. Everything else
// that it says is about one client and may quote what that client sent.
type serverLog struct{ log *slog.Logger }

func (l *serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, "http: Accept error") {
		l.log.Error("the listener failed for a moment", "err", text)
	} else {
		l.log.Debug("the server gave up on a client")
	}
	return len(line), nil
}
