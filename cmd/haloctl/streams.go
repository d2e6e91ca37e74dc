package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

const (
	groupTenant  = "tenant"
	groupEngines = "engines"
)

var errUsage = errors.New("usage")

// errEnough ends a command of which only the environment was to be seen.
var errEnough = errors.New("the environment is usable")

// streams is what a command reads and writes, and the flags that all share.
type streams struct {
	in      io.Reader
	out     io.Writer
	err     io.Writer
	environ []string
	prompt  func(label string) (schemas.Secret, error)
	confirm func(question string) (string, error)

	json        bool
	fields      []string // of --json; none: all
	tenant      string
	timeout     time.Duration
	check       bool
	printConfig bool
}

func newStreams() *streams {
	return &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(), prompt: promptSecret, confirm: confirmOnTerminal}
}

// promptSecret asks for a secret without echoing it.
func promptSecret(label string) (schemas.Secret, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", fmt.Errorf("%w: %s: no terminal to ask on; give --secret-file", errUsage, label)
	}
	fmt.Fprintf(os.Stderr, "%s: ", label)
	b, err := term.ReadPassword(fd)
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return "", fmt.Errorf("%s: %w", label, err)
	}
	return schemas.Secret(strings.TrimSpace(string(b))), nil
}

// secret reads a secret from the first line of file, from standard input where
// file is "-", or from a prompt where it is empty.
func (s *streams) secret(label, file string) (schemas.Secret, error) {
	var r io.Reader
	switch file {
	case "":
		return s.prompt(label)
	case "-":
		r = s.in
	default:
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("%s: %w", label, err)
		}
		defer f.Close()
		r = f
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("%s: %w", label, err)
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("%s: the file is empty", label)
	}
	return schemas.Secret(line), nil
}

// environmentFlags gives a command that reads the environment the two flags
// that the other programs have.
func (s *streams) environmentFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.check, "check", false, "check the environment and exit")
	cmd.Flags().BoolVar(&s.printConfig, "print-config", false, "print the configuration in force, secrets redacted, and exit")
}

// environment reads and checks what a command is configured by. Where the flags
// ask for no more, it returns errEnough.
func environment[T config.Checked](s *streams) (T, error) {
	cfg, err := config.Load[T](s.environ)
	if s.printConfig {
		if err := config.Print(s.out, cfg); err != nil {
			return cfg, err
		}
	}
	if err != nil {
		return cfg, fmt.Errorf("%w: %w", errUsage, err)
	}
	if strangers := config.Strangers(s.environ); s.check && len(strangers) > 0 {
		return cfg, fmt.Errorf("%w: %w", errUsage, errors.Join(strangers...))
	}
	if s.check || s.printConfig {
		return cfg, errEnough
	}
	return cfg, nil
}

// client speaks to the control API as the environment says.
func (s *streams) client() (*control.Client, error) {
	cfg, err := environment[config.Client](s)
	if err != nil {
		return nil, err
	}
	token := cfg.Token
	if token == "" {
		if token, err = s.secret("API token", cfg.TokenFile); err != nil {
			return nil, fmt.Errorf("%w (set HALOCTL_TOKEN_FILE)", err)
		}
	}
	if strings.ContainsFunc(token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("%w: HALOCTL_TOKEN has a blank, a line break or another character that no token has", errUsage)
	}
	if s.tenant == "" {
		s.tenant = cfg.Tenant
	}
	return control.New(cfg.URL, token), nil
}

// tenantClient is client for commands that concern one tenant.
func (s *streams) tenantClient() (*control.Client, schemas.Tenant, error) {
	c, err := s.client()
	if err != nil {
		return nil, "", err
	}
	if s.tenant == "" {
		return nil, "", fmt.Errorf("%w: which tenant? give --tenant or set HALOCTL_TENANT", errUsage)
	}
	t, err := schemas.ParseTenant(s.tenant)
	if err != nil {
		return nil, "", fmt.Errorf("%w: --tenant: %w", errUsage, err)
	}
	return c, t, nil
}

// show prints raw as it came where --json was given, or the fields of it that were
// named, else what table writes, whose cells are separated by tabs. of is what was
// read from raw; nil where nothing was.
func (s *streams) show(raw json.RawMessage, of any, table func(w io.Writer)) error {
	if s.json {
		if len(s.fields) > 0 {
			var err error
			if raw, err = s.pick(raw, of); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintln(s.out, strings.TrimSpace(string(raw)))
		return err
	}
	var c columns
	table(&c)
	return c.flush(s.out, screen(s.out))
}

// ask asks for a word on the terminal, where --yes was not given.
func (s *streams) ask(yes bool, question string) error {
	if yes {
		return nil
	}
	answer, err := s.confirm(question + ` Type "yes" to do it: `)
	if err != nil {
		return fmt.Errorf("%w: %s Say --yes to do it", errUsage, question)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// confirmOnTerminal asks a question whose answer may be seen.
func confirmOnTerminal(question string) (string, error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", errors.New("no terminal to ask on")
	}
	fmt.Fprint(os.Stderr, question)
	return bufio.NewReader(os.Stdin).ReadString('\n')
}

// atLeast is cobra.MinimumNArgs whose error is one of usage.
func atLeast(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return fmt.Errorf("%w: %s", errUsage, cmd.UseLine())
		}
		return nil
	}
}

// atMost is cobra.MaximumNArgs whose error is one of usage.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return fmt.Errorf("%w: %s", errUsage, cmd.UseLine())
		}
		return nil
	}
}

// exactly is cobra.ExactArgs whose error is one of usage.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%w: %s", errUsage, cmd.UseLine())
		}
		return nil
	}
}

// withEnvironment adds the variables of T to a command's help.
func withEnvironment[T any](about string) string {
	var b strings.Builder
	b.WriteString(about + "\n\nEnvironment (name, default, meaning):\n")
	_ = config.Usage[T](&b) // a strings.Builder takes everything
	return b.String()
}

func rootHelp() string {
	return withEnvironment[config.Client]("haloctl operates the WorkSights HaloPSA connector.") +
		"\nExit status: 0 done, 1 failed here, 2 wrong usage, 3 refused by the control API, 4 not available (try again)."
}
