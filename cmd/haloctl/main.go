// Command haloctl is the operator's tool: it speaks to the control API for
// everything that concerns a tenant, and to the engines for what must exist
// before any stage starts.
//
// Secrets come from a prompt or a file, never from an argument, which every
// user of the machine could read. Tables are for people, --json is for
// programs, and the exit status says who must act: see [status].
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/build"
	"github.com/worksights/halo-connector/internal/control"
)

// The exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1 // something here went wrong: a file, a value
	exitUsage       = 2 // the command's words are off
	exitRefused     = 3 // the control API refused: the caller must act
	exitUnavailable = 4 // the control API, Halo or an engine does not answer: try again
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, newStreams(), os.Args[1:]))
}

// run carries out one command and returns its exit status.
func run(ctx context.Context, s *streams, args []string) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, errEnough) {
		return exitOK
	}
	fmt.Fprintln(s.err, "haloctl:", err)
	var refused *control.Refusal
	switch {
	case errors.As(err, &refused):
		if refused.Status >= 500 {
			return exitUnavailable
		}
		return exitRefused
	case errors.Is(err, control.ErrUnavailable):
		return exitUnavailable
	case errors.Is(err, errUsage):
		return exitUsage
	}
	return exitFailed
}

func newRoot(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "haloctl",
		Short:         "Operate the WorkSights HaloPSA connector",
		SilenceUsage:  true,
		SilenceErrors: true,
		Long:          rootHelp(),
		Version:       build.Read().String(),
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && (s.check || s.printConfig) {
				_, err := environment[config.Client](s)
				return err
			}
			return noSuchCommand(cmd, args)
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	s.environmentFlags(root)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetIn(s.in)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.PersistentFlags().BoolVar(&s.json, "json", false, "print JSON instead of tables")
	root.PersistentFlags().StringVarP(&s.tenant, "tenant", "t", "", "tenant (default $HALOCTL_TENANT)")
	root.AddGroup(&cobra.Group{ID: groupTenant, Title: "A tenant:"}, &cobra.Group{ID: groupEngines, Title: "Engines and files:"})
	root.AddCommand(lifeCommands(s)...)
	root.AddCommand(agentCommands(s)...)
	root.AddCommand(timelineCommand(s), doctorCommand(s))
	root.AddCommand(topicsCommand(s), migrateCommand(s), keysCommand(s), tokensCommand(s), verifyCommand(s))
	strict(root)
	return root
}

// strict makes a wrong word after cobra's own commands an error, see
// noSuchCommand.
func strict(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			cmd.Args, cmd.RunE = cobra.ArbitraryArgs, noSuchCommand
			for _, shell := range cmd.Commands() {
				shell.Args = exactly(0)
			}
		case "help":
			help := cmd.Run
			cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, args []string) error {
				if of, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return noSuchCommand(of, rest)
				}
				help(cmd, args)
				return nil
			}
		}
	}
}

// noSuchCommand is the RunE of a command that only has others below it, and
// takes any arguments: cobra would answer a wrong word with help and status 0,
// and a script would go on.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: there is no command %q; see %s --help", errUsage, args[0], cmd.CommandPath())
	}
	return cmd.Help()
}
