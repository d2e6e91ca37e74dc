// Package clickhouse opens ClickHouse for the stages, brings its schema up to
// date and says what an error of it means.
//
// It promises that
//   - an insert that was answered without an error is in the table, and an
//     insert is never taken for a repeat of another and dropped;
//   - no call waits for ever: every statement has a bound of its own, beside the
//     caller's context;
//   - no error that it returns quotes a row. ClickHouse's exception texts do, so
//     they are replaced by the code and its name, which is what an operator looks
//     up anyway.
package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ErrDSN says that a DSN cannot be used. The text of a DSN may hold a password
// and is in no error.
var ErrDSN = errors.New("not a ClickHouse DSN: want clickhouse://host:9000/database or http(s)://host:8123/database")

const (
	// dialTimeout bounds connecting, and waiting for a free connection: a host
	// that swallows packets is found out before the first retry is due.
	dialTimeout = 5 * time.Second

	// readTimeout bounds the wait for each piece of an answer. The driver's
	// default is five minutes. A batch of 50,000 rows is answered within a
	// second; half a minute is a server that is gone.
	readTimeout = 30 * time.Second

	// maxConns: a sink inserts on one connection and connect reads timelines on
	// a few. More would only let a slow server collect work.
	maxConns = 4
)

// Open returns connections to the database that dsn names, over the native
// protocol or over HTTP, as its scheme says. It does not reach out: a server
// that is not there is found by the first statement, or by [WaitReady]. What
// dsn says about timeouts, pool and settings wins over the defaults here. The
// caller closes it.
func Open(dsn string) (driver.Conn, error) {
	opts, err := options(dsn)
	if err != nil {
		return nil, err
	}
	conn, err := ch.Open(opts)
	if err != nil {
		return nil, ErrDSN
	}
	return conn, nil
}

// Database is the database that dsn names, "default" where it names none.
func Database(dsn string) (string, error) {
	opts, err := options(dsn)
	if err != nil {
		return "", err
	}
	return opts.Auth.Database, nil
}

// encrypted adds to a DSN of https what the driver wants to hear beside it. Of
// several hosts the URL is none that net/url reads.
func encrypted(dsn string) string {
	base, query, _ := strings.Cut(dsn, "?")
	if values, err := url.ParseQuery(query); err != nil || values.Has("secure") || !strings.HasPrefix(dsn, "https://") {
		return dsn
	}
	if query != "" {
		query += "&"
	}
	return base + "?" + query + "secure=true"
}

func options(dsn string) (*ch.Options, error) {
	opts, err := ch.ParseDSN(encrypted(dsn))
	if err != nil {
		return nil, ErrDSN
	}
	// The driver takes any scheme that it does not know for the native protocol.
	if scheme, _, _ := strings.Cut(dsn, "://"); !slices.Contains([]string{"clickhouse", "tcp", "http", "https"}, scheme) {
		return nil, ErrDSN
	}
	if len(opts.Addr) == 0 || opts.Addr[0] == "" {
		return nil, ErrDSN
	}
	if opts.Auth.Database == "" {
		opts.Auth.Database = "default"
	}
	if opts.DialTimeout == 0 {
		opts.DialTimeout = dialTimeout
	}
	if opts.ReadTimeout == 0 {
		opts.ReadTimeout = readTimeout
	}
	if opts.MaxOpenConns == 0 {
		opts.MaxOpenConns = maxConns
	}
	if opts.MaxIdleConns == 0 {
		opts.MaxIdleConns = opts.MaxOpenConns
	}
	if opts.Compression == nil {
		// A batch is a sixth of its size under LZ4, at a tenth of what ZSTD costs.
		opts.Compression = &ch.Compression{Method: ch.CompressionLZ4}
	}
	if opts.TransportFunc == nil {
		proxied := opts.HTTPProxyURL != nil
		opts.TransportFunc = func(own *http.Transport) (http.RoundTripper, error) { return transport(own, proxied) }
	}
	for name, value := range settings() {
		if _, given := opts.Settings[name]; given {
			continue
		}
		if opts.Settings == nil {
			opts.Settings = ch.Settings{}
		}
		opts.Settings[name] = value
	}
	return opts, nil
}

// settings are sent with every statement.
func settings() ch.Settings {
	return ch.Settings{
		// With asynchronous inserts, which newer servers have on by default, the
		// server may answer before the rows are in a part. Our batches are
		// already what it would collect.
		"async_insert": 0,
		// A server that gives up on its own frees what an abandoned insert
		// holds; seconds.
		"max_execution_time": 60,
	}
}

// Insert returns ctx for one insert. Each gets a token of its own: token must
// not have been used before, in this process or another.
//
// Replicated tables remember the blocks of the last inserts and drop one whose
// content they know, without saying so; insert_deduplicate = 0 does not switch
// that off everywhere (seen on 26.7, whose deduplicate_insert overrules it). A
// replay into a table that was emptied is such a repeat, and would lose rows. We
// need no such memory: repeats fold by key.
func Insert(ctx context.Context, token string) context.Context {
	return ch.Context(ctx, ch.WithSettings(ch.Settings{
		"insert_deduplication_token": token,
	}))
}

// WaitReady returns once the server answers a query, asking every half second.
// An open port is too early: a server that starts listens before it can
// answer. It returns ctx's error when ctx ends first. A wait that lasts is
// logged, with the last error.
func WaitReady(ctx context.Context, conn driver.Conn, log *slog.Logger) error {
	const every, patience = 500 * time.Millisecond, 10 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	began := time.Now()
	said := began
	for {
		err := ping(ctx, conn)
		if err == nil {
			return nil
		}
		if now := time.Now(); now.Sub(said) >= patience {
			said = now
			log.WarnContext(ctx, "ClickHouse does not answer yet", "waited", now.Sub(began).Round(time.Second), "err", Redact(err))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for ClickHouse: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func ping(ctx context.Context, conn driver.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var one uint8
	return conn.QueryRow(ctx, "SELECT 1").Scan(&one)
}
