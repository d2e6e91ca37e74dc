// Package build says which build of ours a program is.
//
// It promises an answer that leads to the sources, from the best that is known:
// the version that whoever built it said, as the Makefile and the Dockerfile
// do; else the one that the Go tool found in the repository's tags, or was asked
// to install; else the revision alone.
package build

import (
	"runtime/debug"
	"strings"
)

// version is what the linker was told: -X, which needs a variable.
var version string

// unknown stands for what nobody told.
const unknown = "unknown"

// Info is what is known of a build.
type Info struct {
	Version  string // such as v1.2.0, or v1.2.0-3-g458ce58; "unknown" where nothing is known
	Revision string // the commit, with -dirty behind it where files were changed; or "unknown"
	Go       string // such as go1.26.8
}

// Read is what is known of this program.
func Read() Info {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	return of(version, info)
}

func of(told string, info *debug.BuildInfo) Info {
	b := Info{Version: told, Revision: unknown, Go: info.GoVersion}
	var dirty bool
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && b.Revision != unknown {
		b.Revision += "-dirty"
	}
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = b.Revision
	}
	if b.Go == "" {
		b.Go = unknown
	}
	return b
}

// String is the line that --version prints behind the program's name: the
// version, the revision where the version does not hold it, and Go's.
func (b Info) String() string {
	const short = 12 // as in Go's pseudo-versions
	words := []string{b.Version}
	if r := b.Revision; r != unknown && r != b.Version && !strings.Contains(b.Version, r[:min(len(r), short)]) {
		hash, dirty, changed := strings.Cut(r, "-")
		r = hash[:min(len(hash), short)]
		if changed {
			r += "-" + dirty
		}
		words = append(words, r)
	}
	return strings.Join(append(words, b.Go), " ")
}
