package boundary_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/worksights/halo-connector/internal/boundary"
)

func TestThisRepositoryKeepsItsImportRule(t *testing.T) {
	files, err := boundary.Read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		seen[f.Package] = true
	}
	for _, p := range []string{"schemas", "ingest/halopsa", "processor", "sink", "connect", "internal/boundary", "cmd/local"} {
		if !seen[p] {
			t.Errorf("the package %s was not read: this proves nothing", p)
		}
	}
	for _, breach := range boundary.Check(files) {
		t.Error(breach)
	}
}

// sound is a module that keeps the rule in all its corners.
func sound() map[string]string {
	return map[string]string{
		"schemas/a.go":                  `import "time"`,
		"schemas/a_test.go":             `import "example.com/jsonschema"`,
		"ingest/a.go":                   `import ("example.com/kafka"; "m/schemas"; "m/internal/kafka"; "m/ingest/halopsa")`,
		"ingest/halopsa/a.go":           `import "m/schemas"`,
		"ingest/a_test.go":              `import ("os"; "m/internal/halotest"; "m/internal/kafkatest"); var _ = os.Getenv("CHILD")`,
		"processor/a.go":                `import "m/internal/kafka"`,
		"sink/a.go":                     `import "m/schemas"`,
		"sink/storetest/a.go":           `import "m/sink"`,
		"connect/a.go":                  `import "m/connect/halopsa"`,
		"connect/halopsa/a.go":          `import "m/schemas"`,
		"internal/halotest/a.go":        `import "m/schemas"`,
		"internal/kafka/a.go":           `import "m/schemas"`,
		"internal/kafkatest/a.go":       `import ("os"; "m/internal/kafka"); var _ = os.Args`,
		"internal/clickhousetest/a.go":  `import "os"; var _ = os.Getenv("DSN")`,
		"internal/embedded/engine/a.go": `import "os"; var _ = os.Environ()`,
		"deploy/kafka-local/a.go":       `import "os"; var _ = os.Environ()`,
		"deploy/verify/go.mod":          "module verify",
		"deploy/verify/a.go":            `import ("m/sink"; "m/ingest")`,
		"ingest/testdata/a.go":          `import "m/sink"`,
		"cmd/local/a.go":                `import ("m/ingest"; "m/sink"; "m/internal/halotest"; "github.com/caarlos0/env/v11")`,
	}
}

func check(t *testing.T, module map[string]string) []string {
	t.Helper()
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module m\n\ngo 1.26\n")}}
	for name, src := range module {
		if strings.HasSuffix(name, ".go") {
			src = "package p\n" + src
		}
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	files, err := boundary.Read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return boundary.Check(files)
}

func TestASoundModuleHasNoBreach(t *testing.T) {
	if got := check(t, sound()); len(got) > 0 {
		t.Errorf("breaches: %q", got)
	}
}

func TestEachBreachIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		file, src string
		want      []string
	}{
		"the nouns need a module":                {"schemas/b.go", `import "github.com/google/uuid"`, []string{"schemas/b.go imports github.com/google/uuid"}},
		"the nouns need a package of ours":       {"schemas/b.go", `import "m/internal/kafka"`, []string{"schemas/b.go imports internal/kafka"}},
		"a stage imports a stage":                {"ingest/b.go", `import "m/processor"`, []string{"ingest/b.go reaches the stage processor through processor"}},
		"a stage imports a part of a stage":      {"processor/b.go", `import _ "m/ingest/halopsa"`, []string{"processor/b.go reaches the stage ingest through ingest/halopsa"}},
		"a part of a stage imports a stage":      {"connect/halopsa/b.go", `import x "m/sink"`, []string{"connect/halopsa/b.go reaches the stage sink", "connect/a.go reaches the stage sink"}},
		"a test of a stage imports a stage":      {"sink/b_test.go", `import "m/processor"`, []string{"sink/b_test.go reaches the stage processor"}},
		"a file of another platform does":        {"sink/b_plan9.go", `import "m/processor"`, []string{"sink/b_plan9.go reaches the stage processor", "sink/storetest/a.go reaches the stage processor"}},
		"what all share imports a stage":         {"internal/kafka/b.go", `import "m/connect/halopsa"`, []string{"internal/kafka/b.go reaches the stage connect", "ingest/a.go reaches the stage connect", "processor/a.go reaches the stage connect", "internal/kafkatest/a.go reaches", "ingest/a_test.go reaches the stage connect"}},
		"what all share imports one for a test":  {"internal/kafka/b_test.go", `import "m/sink"`, []string{"internal/kafka/b_test.go reaches the stage sink"}},
		"someone else knows two":                 {"tools/b.go", `import ("m/sink"; "m/ingest")`, []string{"tools reaches the stages ingest, sink"}},
		"the simulated Halo knows the connector": {"internal/halotest/b.go", `import "m/connect"`, []string{"internal/halotest/b.go reaches the stage connect through connect", "ingest/a_test.go reaches the stage connect through internal/halotest"}},
		"a program holds what is for tests":      {"cmd/ingest/b.go", `import "m/internal/kafkatest"`, []string{"cmd/ingest/b.go imports internal/kafkatest, which is for tests"}},
		"a stage holds a simulated Halo":         {"connect/b.go", `import "m/internal/halotest"`, []string{"connect/b.go imports internal/halotest, which is for tests"}},
		"a stage reads the environment":          {"sink/b.go", `import "os"; func f() { _, _ = os.LookupEnv("X") }`, []string{"sink/b.go reads the environment (os.LookupEnv)"}},
		"under another name":                     {"sink/b.go", `import sys "os"; var get = sys.Getenv`, []string{"sink/b.go reads the environment (sys.Getenv)"}},
		"under no name":                          {"sink/b.go", `import . "os"; var get = Getenv`, []string{"sink/b.go reads the environment"}},
		"past the os":                            {"sink/b.go", `import "syscall"; var get = syscall.Getenv`, []string{"sink/b.go reads the environment (syscall.Getenv)"}},
		"by a library":                           {"internal/kafka/b.go", `import "github.com/caarlos0/env/v11"`, []string{"internal/kafka/b.go reads the environment"}},
		"by a tag":                               {"internal/kafka/b.go", "type c struct { A string `env:\"A\"` }", []string{"internal/kafka/b.go reads the environment"}},
		"who elects knows Halo":                  {"connect/lead/b.go", `import "m/connect/halopsa"`, []string{"connect/lead/b.go imports connect/halopsa: the room may know schemas, internal/kafka"}},
		"who matches asks Kafka":                 {"connect/match/b.go", `import "github.com/twmb/franz-go/pkg/kgo"`, []string{"connect/match/b.go imports github.com/twmb/franz-go/pkg/kgo: Kafka is for connect/lead and connect/ledger"}},
		"who cares writes to Kafka himself":      {"connect/care/b.go", `import "m/internal/kafka"`, []string{"connect/care/b.go imports internal/kafka"}},
		"an exception that nobody needs":         {"deploy/kafka-local/a.go", ``, []string{"deploy/kafka-local may read the environment and does not"}},
	} {
		t.Run(name, func(t *testing.T) {
			module := sound()
			module[c.file] = c.src
			got := check(t, module)
			for _, want := range c.want {
				i := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, want) })
				if i < 0 {
					t.Errorf("no breach begins with %q: %q", want, got)
					continue
				}
				got = slices.Delete(got, i, i+1)
			}
			if len(got) > 0 {
				t.Errorf("more is reported than is wrong: %q", got)
			}
		})
	}
}

func TestAFileThatIsNoGoIsAnError(t *testing.T) {
	_, err := boundary.Read(fstest.MapFS{"go.mod": {Data: []byte("module m\n")}, "sink/a.go": {Data: []byte("pakage sink")}})
	if err == nil {
		t.Error("a file that cannot be judged passed")
	}
}
