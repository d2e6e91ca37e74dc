package stage

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/console"
	"github.com/worksights/halo-connector/internal/daemon"
)

// front is an instance of connect with the console before its API: what a door
// passes on, it passes on whole.
type front struct {
	ready   func() error
	handler http.Handler
}

func (f front) Ready() error          { return f.ready() }
func (f front) Handler() http.Handler { return f.handler }

// withConsole puts the pages before the API. They ask it as anybody does, but
// in the process. Without the console the API answers what is asked of it, 404.
func withConsole(cfg config.Console, ready func() error, api http.Handler, log *slog.Logger) (front, []daemon.Component, error) {
	if !cfg.Shown {
		return front{ready, api}, nil, nil
	}
	pages, err := console.New(console.Config{
		API: way{api}, PublicURL: cfg.PublicConsoleURL, FrameAncestors: cfg.ConsoleFrameAncestors, Now: time.Now, Log: log,
	})
	if err != nil {
		return front{}, nil, err
	}
	shown := pages.Handler()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path+"/" == console.Prefix || strings.HasPrefix(r.URL.Path, console.Prefix) {
			shown.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
	return front{ready, handler}, []daemon.Component{{Name: "console", Run: pages.Run}}, nil
}

// way leads to the API in the same process.
type way struct{ api http.Handler }

// RoundTrip answers a request with what the API writes. The API sees a request
// as a server would hand it over.
func (w way) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	out := &reply{header: http.Header{}}
	w.api.ServeHTTP(out, in)
	if err := r.Context().Err(); err != nil && out.status == 0 {
		return nil, context.Cause(r.Context())
	}
	if out.status == 0 {
		out.status = http.StatusOK
	}
	return &http.Response{
		Status: strconv.Itoa(out.status) + " " + http.StatusText(out.status), StatusCode: out.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: out.header, Body: io.NopCloser(&out.body), ContentLength: int64(out.body.Len()), Request: r,
	}, nil
}

// reply keeps an answer.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *reply) Header() http.Header { return r.header }

func (r *reply) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
}

func (r *reply) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}
