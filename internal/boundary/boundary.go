// Package boundary is the import rule of this repository as a test.
//
// Stages meet in Kafka, not in Go. While its tests pass,
//
//   - a stage can be built, replaced or scaled without another: no package
//     outside cmd reaches two of them, by however many steps, and what they
//     share (internal, schemas) reaches none;
//   - the nouns need nothing but Go: schemas imports the standard library;
//   - a process is what its configuration says: only cmd reads the environment,
//     where all of it is validated and can be printed;
//   - what exists for tests is in no program but the local one, which plays a
//     HaloPSA: packages whose names end in "test".
//
// [Read] parses every file of the module, whatever its build tags, and [Check]
// judges what it found; so a file that only another platform compiles is held
// to the rule on this one.
package boundary

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// File is what the rule needs to know of one Go file.
type File struct {
	Package string   // the folder of the file, relative to the module's root
	Name    string   // of the file, without its folder
	Imports []string // of this module without the module's path and with a leading "@"
	Env     []string // the expressions that read or change the environment
}

func (f File) test() bool { return strings.HasSuffix(f.Name, "_test.go") }

const own = "@" // begins the imports that are of this module

var stages = []string{"ingest", "processor", "sink", "connect", "timeline", "console"}

// readers of the environment outside cmd, with the reason why they may. None of
// them takes its configuration from there.
var readers = map[string]string{
	"internal/embedded/engine": "the engine's child must know what it is before main begins, and gets its parent's environment",
	"internal/clickhousetest":  "for tests only, which have no configuration; an operator points them at a server of his",
	"deploy/kafka-local":       "hands its own environment on to the broker that it starts",
}

// Check returns a sentence for each breach of the rule, in order.
func Check(files []File) []string {
	var breaches []string
	blame := func(f File, format string, args ...any) {
		breaches = append(breaches, path.Join(f.Package, f.Name)+" "+fmt.Sprintf(format, args...))
	}
	checkRooms(files, blame)
	reached, used := reach(files), map[string]bool{}
	for _, f := range files {
		inCmd := under(f.Package, "cmd")
		for _, imported := range f.Imports {
			target, ours := strings.CutPrefix(imported, own)
			if under(f.Package, "schemas") && !f.test() && (ours || strings.Contains(first(target), ".")) {
				blame(f, "imports %s: schemas imports the standard library only", target)
			}
			if !ours {
				continue
			}
			if forTests(target) && !f.test() && !forTests(f.Package) && f.Package != "cmd/local" {
				blame(f, "imports %s, which is for tests", target)
			}
			if inCmd {
				continue
			}
			for _, stage := range slices.Sorted(maps.Keys(reached[target])) {
				switch own := stageOf(f.Package); {
				case under(f.Package, "internal"), under(f.Package, "schemas"):
					blame(f, "reaches the stage %s through %s: what all share knows no stage", stage, target)
				case own != "" && own != stage:
					blame(f, "reaches the stage %s through %s: %s may know itself only", stage, target, own)
				}
			}
		}
		if len(f.Env) > 0 && !inCmd && !f.test() {
			if _, may := readers[f.Package]; !may {
				blame(f, "reads the environment (%s): only cmd does", strings.Join(f.Env, ", "))
			}
			used[f.Package] = true
		}
	}
	for _, p := range slices.Sorted(maps.Keys(reached)) {
		if stageOf(p) == "" && !under(p, "cmd") && !under(p, "internal") && len(reached[p]) > 1 {
			breaches = append(breaches, fmt.Sprintf("%s reaches the stages %s: only cmd may know two",
				cmp.Or(p, "the root"), strings.Join(slices.Sorted(maps.Keys(reached[p])), ", ")))
		}
	}
	for _, p := range slices.Sorted(maps.Keys(readers)) {
		if !used[p] {
			breaches = append(breaches, p+" may read the environment and does not: take its exception away")
		}
	}
	return breaches
}

// reach says for each package which stages are linked into a program that
// imports it. Test files count for nobody but themselves.
func reach(files []File) map[string]map[string]bool {
	reached := make(map[string]map[string]bool)
	for _, f := range files {
		if reached[f.Package] == nil {
			reached[f.Package] = make(map[string]bool)
		}
		if s := stageOf(f.Package); s != "" {
			reached[f.Package][s] = true
		}
	}
	for changed := true; changed; { // as often as the longest chain has steps
		changed = false
		for _, f := range files {
			if f.test() {
				continue
			}
			before := len(reached[f.Package])
			for _, imported := range f.Imports {
				if target, ours := strings.CutPrefix(imported, own); ours {
					maps.Copy(reached[f.Package], reached[target])
				}
			}
			changed = changed || len(reached[f.Package]) > before
		}
	}
	return reached
}

// stageOf is the stage that a package belongs to, or "".
func stageOf(pkg string) string {
	if s := first(pkg); slices.Contains(stages, s) {
		return s
	}
	return ""
}

func forTests(pkg string) bool { return strings.HasSuffix(pkg, "test") && pkg != "test" }

func under(pkg, folder string) bool { return first(pkg) == folder }

func first(p string) string {
	p, _, _ = strings.Cut(p, "/")
	return p
}
