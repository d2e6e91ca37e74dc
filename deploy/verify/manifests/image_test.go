package manifests

import (
	"context"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func TestTheProgramsOfTheImageNeedNothingAroundThem(t *testing.T) {
	for _, name := range []string{"ingest", "processor", "sink", "connect", "haloctl"} {
		if p := interpreter(t, name); p != "" {
			t.Errorf("%s is not static: it needs %s", name, p)
		}
	}
	// bin/local loads the ClickHouse library and needs a dynamic linker, hence
	// its own base image.
	if interpreter(t, "local") == "" {
		t.Error("local is static: how does it load libchdb?")
	}
}

func interpreter(t *testing.T, program string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("programs of " + runtime.GOOS + " say nothing of those in the image")
	}
	f, err := elf.Open(filepath.Join(bin, program))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err != nil {
				t.Fatal(err)
			}
			return strings.TrimRight(string(b), "\x00")
		}
	}
	return ""
}

// dockerfile is the Dockerfile as BuildKit reads it.
func dockerfile(t *testing.T) []instructions.Stage {
	t.Helper()
	f, err := os.Open(deploy + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parsed, err := parser.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		t.Errorf("%s (line %d)", w.Short, w.Location.Start.Line)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, text string, at []parser.Range) {
		t.Errorf("%s: %s (%v)", rule, text, at)
	}})
	all, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	pinned  = regexp.MustCompile(`^[a-z0-9./-]+:[0-9v][\w.-]*(@sha256:[0-9a-f]{64})?$`)
	numeric = regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`)
)

func TestEveryImageIsPinnedAndRunsAsNobody(t *testing.T) {
	all := dockerfile(t)
	var names []string
	for _, s := range all {
		if s.BaseName != "scratch" && !slices.Contains(names, s.BaseName) && !pinned.MatchString(s.BaseName) {
			t.Errorf("stage %s: %s is not pinned", s.Name, s.BaseName)
		}
		names = append(names, s.Name)
		var user string
		for _, c := range s.Commands {
			switch c := c.(type) {
			case *instructions.UserCommand:
				user = c.User
			case *instructions.CopyCommand:
				for _, source := range c.SourcePaths {
					if c.From == "" && source != "." {
						if _, err := os.Stat(filepath.Join(root, source)); err != nil {
							t.Errorf("stage %s: %v", s.Name, err)
						}
					}
				}
				if c.From != "" && !slices.Contains(names, c.From) {
					t.Errorf("stage %s copies from %s, which is not there yet", s.Name, c.From)
				}
			}
		}
		if slices.Contains([]string{"connector", "tools", "local"}, s.Name) && !numeric.MatchString(user) {
			t.Errorf("stage %s runs as %q: want numbers, none of them 0", s.Name, user)
		}
	}
	if last := names[len(names)-1]; last != "connector" {
		t.Errorf("a build without a target makes %s", last)
	}
}

// TestTheImageIsTheOneOfGoMod: another compiler than the one that the tests ran
// with is another program.
func TestTheImageIsBuiltWithTheGoOfTheModule(t *testing.T) {
	b, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(b)[1]
	if base := dockerfile(t)[0].BaseName; !strings.HasPrefix(base, "golang:"+string(version)) {
		t.Errorf("the image is built with %s, the module with %s", base, version)
	}
}

// TestAProgramSaysTheVersionThatItsBuilderWasTold builds with the flags that
// stand in the Dockerfile and in the Makefile: where the linker does not find
// the variable it says nothing.
func TestAProgramSaysTheVersionThatItsBuilderWasTold(t *testing.T) {
	flags := regexp.MustCompile(`go build .*-ldflags[ =](?:"([^"]+)"|'([^']+)')`)
	for file, variable := range map[string]string{"deploy/Dockerfile": "${VERSION}", "Makefile": "$(VERSION)"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		recipes := strings.ReplaceAll(string(text), "$(GO)", "go")
		found := flags.FindAllStringSubmatch(recipes, -1)
		if len(found) != strings.Count(recipes, "go build -") || len(found) == 0 {
			t.Fatalf("%s: %d builds with flags of the linker", file, len(found))
		}
		said := map[string]bool{}
		for _, f := range found {
			said[strings.ReplaceAll(f[1]+f[2], variable, "v1.2.3-test")] = true
		}
		for ldflags := range said {
			program := filepath.Join(t.TempDir(), "haloctl")
			build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", ldflags, "-o", program, "./cmd/haloctl")
			build.Dir = root
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, out)
			}
			if out, err := exec.CommandContext(t.Context(), program, "--version").Output(); err != nil || !strings.HasPrefix(string(out), "haloctl v1.2.3-test ") {
				t.Errorf("%s: %v: %s", file, err, out)
			}
		}
	}
	for _, stage := range dockerfile(t) {
		var told, needs bool
		for _, c := range stage.Commands {
			switch c := c.(type) {
			case *instructions.ArgCommand:
				told = told || c.Args[0].Key == "VERSION"
			case *instructions.RunCommand:
				needs = needs || strings.Contains(strings.Join(c.CmdLine, " "), "${VERSION}")
			}
		}
		if told != needs {
			t.Errorf("stage %s: takes VERSION: %t, uses it: %t", stage.Name, told, needs)
		}
	}
}

func TestTheImagesBuild(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "docker", "version").CombinedOutput(); err != nil {
		t.Skipf("NO DOCKER HERE, so no image was built; the programs were, from the same files and with the same flags. %v %s", err, out)
	}
	for _, target := range []string{"connector", "tools"} {
		out, err := exec.CommandContext(t.Context(), "docker", "build", "-q", "-f", deploy+"/Dockerfile", "--target", target, root).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", target, err, out)
		}
	}
}
