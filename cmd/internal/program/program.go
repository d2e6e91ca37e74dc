// Package program is the way from a command line to a running stage, the same
// for every program: flags, environment, checks, then the daemon.
//
// It promises that nothing is dialled or written before the whole environment,
// and each file that it names, was found good, and that the exit status tells a supervisor whom to call:
// 0 after a clean stop, 1 when the stage failed, 2 when it was started wrongly
// and starting it again will not help.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/build"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
)

// The exit statuses.
const (
	OK     = 0
	Failed = 1
	Usage  = 2
)

// Program is one of our programs, configured by T.
type Program[T config.Checked] struct {
	Name  string
	About string // one paragraph for --help

	// Flags adds flags of the program's own; nil for none.
	Flags func(*flag.FlagSet)
	// Check finds what is wrong with a good environment's surroundings, such as
	// a file that is named in it and is not there; nil: nothing can be. It
	// leaves nothing behind and dials nothing. Each error begins with its
	// variable.
	Check func(T) error
	// Daemon picks the daemon's part of the configuration.
	Daemon func(T) daemon.Config
	// Build makes the components. They are started in order and stopped in
	// the reverse order.
	Build func(ctx context.Context, cfg T, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error)
}

// Main runs the program until a signal ends it and returns its exit status.
func (p Program[T]) Main(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "check the environment and the files that it names, and exit")
	show := flags.Bool("print-config", false, "print the configuration in force, secrets redacted, and exit")
	version := flags.Bool("version", false, "print the version and exit")
	ready := flags.Bool("ready", false, "ask the running program at its admin address whether it is ready, print what it says, and exit: 0 ready, 1 not")
	if p.Flags != nil {
		p.Flags(flags)
	}
	flags.Usage = func() {}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		p.usage(flags, stdout)
		return OK
	case err != nil: // the flags have said what is wrong
		fmt.Fprintf(stderr, "See %s --help.\n", p.Name)
		return Usage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s: takes no arguments, only flags and the environment; see --help\n", p.Name)
		return Usage
	}
	if *version {
		fmt.Fprintln(stdout, p.Name, build.Read())
		return OK
	}
	cfg, err := config.Load[T](environ)
	if *show {
		if err := config.Print(stdout, cfg); err != nil {
			return Failed
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: the environment is not usable:\n%v\n", p.Name, err)
		return Usage
	}
	switch {
	case *show && !*check:
		return OK
	case *ready && !*check:
		return p.ask(ctx, cfg, stdout, stderr)
	}
	if p.Check != nil {
		if err := p.Check(cfg); err != nil {
			fmt.Fprintf(stderr, "%s: cannot start:\n%v\n", p.Name, err)
			return Usage
		}
	}
	if *check {
		if strangers := config.Strangers(environ); len(strangers) > 0 {
			fmt.Fprintf(stderr, "%s: the environment names what nobody reads:\n%v\n", p.Name, errors.Join(strangers...))
			return Usage
		}
		return OK
	}
	d := p.Daemon(cfg)
	d.Anew = anew
	err = daemon.Run(ctx, d, func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
		return p.Build(ctx, cfg, log, reg)
	})
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return Failed
	}
	return OK
}

// anew says of a failure that the clients of the stage have known topics which
// are not there any more, and that new ones do not.
func anew(err error) bool {
	return errors.Is(err, kafka.ErrReplaced) || errors.Is(err, table.ErrRewound)
}

// ask is the health check of a container that holds nothing but the program.
func (p Program[T]) ask(ctx context.Context, cfg T, stdout, stderr io.Writer) int {
	ready, text, err := daemon.Ask(ctx, p.Daemon(cfg).AdminAddr)
	if err != nil {
		fmt.Fprintf(stderr, "%s: not reached: %v\n", p.Name, err)
		return Failed
	}
	fmt.Fprintln(stdout, text)
	if !ready {
		return Failed
	}
	return OK
}

func (p Program[T]) usage(flags *flag.FlagSet, w io.Writer) {
	flags.SetOutput(w)
	fmt.Fprintf(w, "%s: %s\n\nFlags:\n", p.Name, p.About)
	flags.PrintDefaults()
	fmt.Fprintf(w, "\nEnvironment (name, default, meaning):\n")
	_ = config.Usage[T](w) // what cannot be printed cannot be complained about either
}
