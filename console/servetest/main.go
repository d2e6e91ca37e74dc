// Command servetest shows the console over the fake API, for tests in a browser. It
// prints the address at which it listens, and ends with its standard input.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/worksights/halo-connector/console"
	"github.com/worksights/halo-connector/console/consoletest"
	"github.com/worksights/halo-connector/internal/control"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	// The world stands still, so that a page looks the same every day.
	now := func() time.Time { return consoletest.Instant }
	addr := "127.0.0.1:0"
	if len(os.Args) > 1 {
		addr = os.Args[1]
	}
	api := consoletest.Full(now)
	pages, err := console.New(console.Config{API: api, Now: now, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(console.Prefix, pages.Handler())
	mux.HandleFunc("POST /fake", func(_ http.ResponseWriter, r *http.Request) { change(api, now, r) })
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", ln.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// change puts the fake into a state that a page cannot bring about.
func change(api *consoletest.API, now func() time.Time, r *http.Request) {
	var in struct {
		Fail string // a route that cannot be read from now on
		How  string // "standby" or anything else
		Mend bool   // nothing fails any more, and nothing waits
		Hold bool   // PUT /connection waits until it is mended
		Link string // opens the console for northwind
		Path string
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	api.Do(func() {
		if in.Mend {
			clear(api.Fail)
			if api.Hold != nil {
				close(api.Hold)
				api.Hold = nil
			}
		}
		if in.Fail != "" {
			how := consoletest.Unavailable
			if in.How == "standby" {
				how = consoletest.Standby
			}
			api.Fail[in.Fail] = how
		}
		if in.Hold {
			api.Hold = make(chan struct{})
		}
		if in.Link != "" {
			all := []string{control.ScopeRead, control.ScopeMap, control.ScopeManage}
			api.Links[in.Link] = consoletest.Link{Token: consoletest.Admin, Tenant: "northwind", Path: in.Path, Scopes: all, Expires: now().Add(time.Minute)}
		}
	})
}
