package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The library is pinned: its C interface and the Native format that it writes
// are what this package was tested with. scripts/fetch-libchdb.sh fetches this
// version and checks its sha256 against the one it holds for the platform.
const Version = "26.7.3-stable.1"

const libraryFile = "libchdb.so" // by this name on macOS too

// ErrNoLibrary says that libchdb is not on this machine.
var ErrNoLibrary = errors.New("the ClickHouse library (libchdb " + Version + ") was not found")

// FindLibrary returns the path of libchdb.so: override if it is not empty
// (LIBCHDB_PATH), else next to the executable, else in the user's cache, where
// scripts/fetch-libchdb.sh puts it. Its error is ErrNoLibrary and says what to do.
func FindLibrary(override string) (string, error) {
	if override != "" {
		if isFile(override) {
			return filepath.Abs(override) // a name without a slash would be looked up elsewhere
		}
		return "", fmt.Errorf("%w at LIBCHDB_PATH=%s", ErrNoLibrary, override)
	}
	var looked []string
	if exe, err := os.Executable(); err == nil {
		looked = append(looked, filepath.Join(filepath.Dir(exe), libraryFile))
	}
	if cache, err := os.UserCacheDir(); err == nil {
		looked = append(looked, filepath.Join(cache, "halo-connector", "libchdb-"+Version, libraryFile))
	}
	for _, path := range looked {
		if isFile(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w in %v: run scripts/fetch-libchdb.sh once (\"make build\" does), or set LIBCHDB_PATH to a copy", ErrNoLibrary, looked)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
