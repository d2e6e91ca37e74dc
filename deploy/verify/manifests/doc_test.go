// Package manifests holds deploy/ to what it claims, offline: the Compose file
// and the Kubernetes manifests are read by the parsers of their tools, every
// program that they start is asked whether it takes the environment that they
// give it, and the stages run on a broker that grants what deploy/kafka/acls
// grants and nothing else.
package manifests

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../../.."
	deploy = "../.."
)

// bin is where TestMain put the programs of the image.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the programs as the image does: from the files that Docker would
// be sent, without cgo.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "halo-manifests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = filepath.Join(dir, "bin")
	if err := buildContext(filepath.Join(dir, "src")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-trimpath", "-o", bin+"/", "./cmd/ingest", "./cmd/processor", "./cmd/sink", "./cmd/connect", "./cmd/haloctl", "./cmd/local")
	build.Dir = filepath.Join(dir, "src")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the programs from the files that Docker is sent:", err)
		return 1
	}
	return m.Run()
}

// buildContext copies what deploy/Dockerfile.dockerignore lets through.
func buildContext(to string) error {
	b, err := os.ReadFile(deploy + "/Dockerfile.dockerignore")
	if err != nil {
		return err
	}
	lines := strings.Split(string(b), "\n")
	if !slices.Contains(lines, "*") {
		return fmt.Errorf("Dockerfile.dockerignore does not begin with leaving everything out")
	}
	for _, line := range lines {
		name, ok := strings.CutPrefix(line, "!")
		if !ok {
			continue
		}
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.Name() == "testdata" {
				return fs.SkipDir
			}
			if d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, rel), text, 0o644)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var helpLine = regexp.MustCompile(`(?m)^ {2}([A-Z][A-Z0-9_]+) +\S`)

// variables are the environment variables that a command says it reads.
func variables(t *testing.T, command ...string) []string {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, command[0]), append(slices.Clone(command[1:]), "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v --help: %v\n%s", command, err, out)
	}
	var names []string
	for _, m := range helpLine.FindAllStringSubmatch(string(out), -1) {
		names = append(names, m[1])
	}
	return names
}

// accepts fails the test unless the command knows every variable of env, apart
// from those that others may need, and finds their values good.
func accepts(t *testing.T, command []string, env map[string]string, others ...string) {
	t.Helper()
	known := variables(t, command...)
	if len(known) < 2 {
		t.Fatalf("%v says of %d variables that it reads them: this proves nothing", command, len(known))
	}
	var environ []string
	for name, value := range env {
		if !slices.Contains(known, name) && !slices.Contains(others, name) {
			t.Errorf("%v does not read %s", command, name)
		}
		if how, ok := secrets()[name]; ok {
			// In the container the file is there; --check looks into it.
			value = filepath.Join(t.TempDir(), filepath.Base(value))
			make := exec.Command(filepath.Join(bin, "haloctl"), append(how, value)...)
			if out, err := make.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", make, err, out)
			}
		}
		environ = append(environ, name+"="+value)
	}
	if command[0] == "haloctl" {
		return // it has no --check
	}
	check := exec.Command(filepath.Join(bin, command[0]), "--check")
	check.Env = environ
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v --check: %v\n%s", command, err, out)
	}
}

// secrets are the variables that name a file of the operator's, and by which
// command of haloctl he makes it.
func secrets() map[string][]string {
	return map[string][]string{"KEYSET_FILE": {"keys", "new"}, "API_TOKENS_FILE": {"tokens", "new", "--name", "test"}}
}

// stages are the programs that run for good, and how many components each stops
// one after the other.
func stages(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, name := range []string{"ingest", "processor", "sink", "connect"} {
		b, err := os.ReadFile(filepath.Join(root, "cmd/internal/stage", name+".go"))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = len(regexp.MustCompile(`(?m)^\t+(\{Name: |closing\()|daemon\.Component\{Name: `).FindAll(b, -1))
		if all[name] < 2 {
			t.Fatalf("%s: %d components found: this proves nothing", name, all[name])
		}
	}
	return all
}
