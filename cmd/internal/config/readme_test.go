package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const (
	begin = "<!-- configuration: made by `go generate ./cmd/internal/config` -->\n"
	end   = "<!-- end of configuration -->"
)

//go:generate go test -run TestTheReadmeListsEveryVariable -args write

// TestTheReadmeListsEveryVariable holds the README's table to the tags that are
// parsed. With the argument "write" it writes the table instead.
func TestTheReadmeListsEveryVariable(t *testing.T) {
	const readme = "../../../README.md"
	b, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	have, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the README has no place for the table")
	}
	want := "\n" + table() + "\n"
	if len(os.Args) > 0 && os.Args[len(os.Args)-1] == "write" {
		if err := os.WriteFile(readme, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != want {
		t.Error("the README's configuration table is not the code's: go generate ./cmd/internal/config")
	}
}

// table lists each variable once, with the programs that read it.
func table() string {
	type row struct {
		Variable
		programs []string
	}
	var rows []*row
	add := func(program string, vars []Variable) {
	next:
		for _, v := range vars {
			for _, r := range rows {
				if r.Name == v.Name && r.Description == v.Description && r.Default == v.Default {
					r.programs = append(r.programs, program)
					continue next
				}
			}
			rows = append(rows, &row{v, []string{program}})
		}
	}
	add("ingest", Describe[Ingest]())
	add("processor", Describe[Processor]())
	add("sink", Describe[Sink]())
	add("connect", Describe[Connect]())
	add("local", Describe[Local]())
	add("haloctl topics", Describe[Topics]())
	add("haloctl migrate", Describe[Migrate]())
	add("haloctl", Describe[Client]())
	var out strings.Builder
	out.WriteString("| variable | default | meaning | read by |\n|---|---|---|---|\n")
	for _, r := range rows {
		def := ""
		if r.Default != "" {
			def = "`" + r.Default + "`"
		}
		readers := strings.Join(r.programs, ", ")
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", r.Name, def, r.Description, readers)
		if r.File {
			fmt.Fprintf(&out, "| `%s` |  | %s | %s |\n", r.FileName(), r.fileDescription(), readers)
		}
	}
	return out.String()
}
