// Command local runs the whole connector on one machine: both engines, embedded,
// and all four stages in one process.
package main

import (
	"context"
	"flag"
	"os"
	"strconv"
	"strings"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/cmd/internal/program"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/embedded/engine"
)

func main() {
	engine.Child() // does not return in the child that holds the ClickHouse library
	os.Exit(run(os.Args[1:], os.Environ()))
}

func run(args, environ []string) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l := &local{}
	p := l.program()
	if wantsDemo(args) {
		return runDemo(ctx, stop, l, p, args, environ)
	}
	return p.Main(ctx, args, environ, os.Stdout, os.Stderr)
}

// wantsDemo reads one flag before the others are: the demo has an environment of
// its own. It knows the flag in every form that package flag does; a value that
// is none is left for it to refuse.
func wantsDemo(args []string) (wanted bool) {
	for _, arg := range args {
		name, value, given := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		if name != "demo" || !strings.HasPrefix(arg, "-") {
			continue
		}
		wanted = true
		if given {
			wanted, _ = strconv.ParseBool(value)
		}
	}
	return wanted
}

func (l *local) program() program.Program[config.Local] {
	return program.Program[config.Local]{
		Name:  "local",
		About: "runs Kafka, ClickHouse and all stages on this machine, on loopback only.",
		Flags: func(f *flag.FlagSet) {
			f.BoolVar(&l.enginesOnly, "engines-only", false, "start Kafka and ClickHouse only, with topics, tables, keyset and token")
			f.BoolVar(&l.demo, "demo", false, "walk through the whole story on fresh data, print it, and exit")
		},
		Daemon: func(c config.Local) daemon.Config {
			return daemon.Config{Program: "local", AdminAddr: ports(c.PortOffset).admin(), AdminFrom: portVariable, LogLevel: c.LogLevel, LogFormat: c.LogFormat}
		},
		Check: check,
		Build: l.build,
	}
}
