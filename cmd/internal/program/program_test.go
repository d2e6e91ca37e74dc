package program

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/daemon"
)

// sample is a program whose one component is ready once told so.
func sample(ready <-chan struct{}) Program[config.Ingest] {
	return Program[config.Ingest]{
		Name: "sample",
		Daemon: func(c config.Ingest) daemon.Config {
			return daemon.Config{Program: "sample", AdminAddr: c.AdminAddr, LogLevel: "error", LogFormat: "text"}
		},
		Build: func(context.Context, config.Ingest, *slog.Logger, *prometheus.Registry) ([]daemon.Component, error) {
			return []daemon.Component{{
				Name: "table",
				Run:  func(ctx context.Context) error { <-ctx.Done(); return nil },
				Ready: func() error {
					select {
					case <-ready:
						return nil
					default:
						return errors.New("being read")
					}
				},
			}}, nil
		},
	}
}

func TestTheFlagReadyAsksTheRunningProgram(t *testing.T) {
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	_ = ln.Close() // the port is the program's now
	ready := make(chan struct{})
	p, environ := sample(ready), []string{"ADMIN_ADDR=:" + port}
	ask := func() (int, string) {
		var out, errs bytes.Buffer
		status := p.Main(t.Context(), []string{"--ready"}, environ, &out, &errs)
		return status, out.String() + errs.String()
	}
	if status, said := ask(); status != Failed || !strings.Contains(said, "not reached") {
		t.Errorf("nobody runs: %d %q", status, said)
	}

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- p.Main(ctx, nil, environ, &bytes.Buffer{}, &bytes.Buffer{}) }()
	defer func() {
		stop()
		if status := <-ended; status != OK {
			t.Errorf("the program ended with %d", status)
		}
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		status, said := ask()
		if status == Failed && said == "table: being read\n" {
			break
		}
		if status == OK {
			t.Fatalf("ready while a component is not: %q", said)
		}
		<-tick.C
	}
	close(ready)
	if status, said := ask(); status != OK || said != "ready\n" {
		t.Errorf("ready: %d %q", status, said)
	}
	environ = []string{"ADMIN_ADDR=9101"}
	if status, said := ask(); status != Usage || !strings.Contains(said, "ADMIN_ADDR") {
		t.Errorf("an address that is none: %d %q", status, said)
	}
}

func TestWhatTheStartWouldFindWrongIsSaidByCheck(t *testing.T) {
	p := sample(nil)
	var wrong error
	p.Check = func(config.Ingest) error { return wrong }
	built := false
	p.Build = func(context.Context, config.Ingest, *slog.Logger, *prometheus.Registry) ([]daemon.Component, error) {
		built = true
		return nil, errors.New("built")
	}
	run := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		return p.Main(t.Context(), args, []string{"ADMIN_ADDR=127.0.0.1:0"}, &out, &errs), errs.String()
	}
	if status, said := run("--check"); status != OK || said != "" {
		t.Errorf("all is well: %d %q", status, said)
	}
	wrong = errors.New("KEYSET_FILE: no such file")
	for _, args := range [][]string{{"--check"}, {"--check", "--print-config"}, nil} {
		if status, said := run(args...); status != Usage || !strings.Contains(said, wrong.Error()) {
			t.Errorf("%v: %d %q", args, status, said)
		}
	}
	if status, _ := run("--print-config"); status != OK {
		t.Errorf("--print-config, which looks at the environment only: %d", status)
	}
	if built {
		t.Error("something was built")
	}
}

func TestHelpIsWhatWasAskedForAndGoesToStandardOutput(t *testing.T) {
	p := sample(nil)
	var out, errs bytes.Buffer
	if status := p.Main(t.Context(), []string{"--help"}, nil, &out, &errs); status != OK || errs.Len() > 0 || !strings.Contains(out.String(), "KAFKA_BROKERS") || !strings.Contains(out.String(), "-check") {
		t.Errorf("%d, on stdout %q, on stderr %q", status, &out, &errs)
	}
	out.Reset()
	if status := p.Main(t.Context(), []string{"--cheque"}, nil, &out, &errs); status != Usage || out.Len() > 0 || !strings.Contains(errs.String(), "cheque") || strings.Contains(errs.String(), "KAFKA_BROKERS") {
		t.Errorf("a misspelt flag: %d, on stdout %q, on stderr %q", status, &out, &errs)
	}
}

func TestCheckFindsAVariableThatIsAllButOurs(t *testing.T) {
	var out, errs bytes.Buffer
	if status := sample(nil).Main(t.Context(), []string{"--check"}, []string{"KAFKA_BROKER=a:1"}, &out, &errs); status != Usage || !strings.Contains(errs.String(), "KAFKA_BROKER: ") {
		t.Errorf("%d %q", status, &errs)
	}
	if status := sample(nil).Main(t.Context(), []string{"--check"}, []string{"KAFKA_BROKERS=a:1"}, &out, &errs); status != OK {
		t.Errorf("a good one: %d %q", status, &errs)
	}
}
