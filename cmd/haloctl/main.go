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
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/build"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
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
	root.SetArgs(joined(root, args))
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, errEnough) {
		return exitOK
	}
	if errors.Is(err, context.DeadlineExceeded) && s.timeout > 0 {
		err = fmt.Errorf("%w within %s (--timeout): %w", control.ErrUnavailable, s.timeout, err)
	}
	// What is told may have come from a proxy, or from a name in Halo.
	for line := range strings.Lines("haloctl: " + err.Error()) {
		fmt.Fprintln(s.err, harmless.Text(strings.TrimSuffix(line, "\n")))
	}
	var refused *control.Refusal
	switch {
	case errors.As(err, &refused):
		if strings.HasPrefix(refused.Code, "http_") && refused.Status < 500 {
			fmt.Fprintln(s.err, "haloctl: HALOCTL_URL:", control.ErrForeign)
			return exitUsage
		}
		if refused.Status >= 500 {
			return exitUnavailable
		}
		return exitRefused
	case errors.Is(err, control.ErrUnavailable):
		return exitUnavailable
	case errors.Is(err, errUsage), errors.Is(err, control.ErrForeign):
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
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		text, _, number := strings.Cut(err.Error(), ": strconv.") // what follows is for who writes Go
		if number {
			text += ": it takes a whole number"
		}
		return fmt.Errorf("%w: %s", errUsage, text)
	})
	root.PersistentFlags().Var(jsonFlag{s}, "json", "print JSON instead of tables; with names as in --json=id,state only these `fields`")
	root.PersistentFlags().Lookup("json").NoOptDefVal = "true"
	root.PersistentFlags().DurationVar(&s.timeout, "timeout", 0, "end with status 4 where it takes longer, as in 10s (default: as long as the API may take)")
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		if s.timeout > 0 {
			ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
			cmd.SetContext(ctx)
			context.AfterFunc(ctx, cancel)
		}
	}
	root.PersistentFlags().StringVarP(&s.tenant, "tenant", "t", "", "tenant (default $HALOCTL_TENANT)")
	root.AddGroup(&cobra.Group{ID: groupTenant, Title: "A tenant:"}, &cobra.Group{ID: groupEngines, Title: "Engines and files:"})
	root.AddCommand(lifeCommands(s)...)
	root.AddCommand(agentCommands(s)...)
	root.AddCommand(readingCommands(s)...)
	root.AddCommand(doctorCommand(s), eraseCommand(s), erasuresCommand(s), consoleCommand(s))
	root.AddCommand(topicsCommand(s), ledgerCommand(s), rewindCommand(s), migrateCommand(s), keysCommand(s), tokensCommand(s), verifyCommand(s))
	s.complete(root)
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
		meant := ""
		cmd.SuggestionsMinimumDistance = 2
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			meant = "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("%w: there is no command %q%s; see %s --help", errUsage, args[0], meant, cmd.CommandPath())
	}
	return cmd.Help()
}
