package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/cmd/internal/program"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
)

// starts runs the program and returns its status and what it said.
func starts(t *testing.T, environ []string, args ...string) (int, string) {
	t.Helper()
	var out, errs bytes.Buffer
	status := new(local).program().Main(t.Context(), args, append(environ, "LOG_LEVEL=error"), &out, &errs)
	return status, out.String() + errs.String()
}

// library is a file in the place of the ClickHouse library, which these tests
// never load.
func library(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return "LIBCHDB_PATH=" + path
}

func TestAPortThatIsTakenIsNamedWithTheVariableThatMovesIt(t *testing.T) {
	for name, port := range map[string]func(ports) string{"of metrics and health": ports.admin, "of Kafka": ports.kafka} {
		t.Run(name, func(t *testing.T) {
			offset := freeOffset() + 7
			addr := port(ports(offset))
			ln, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			status, said := starts(t, []string{"PORT_OFFSET=" + strconv.Itoa(offset), "DATA_DIR=" + t.TempDir(), library(t)})
			if status != program.Failed || !strings.Contains(said, "PORT_OFFSET: ") || !strings.Contains(said, addr) || strings.Contains(said, "_ADDR") {
				t.Errorf("%d %q, want PORT_OFFSET and %s", status, said, addr)
			}
		})
	}
}

func TestCheckLooksAtWhatTheStartWouldStumbleOver(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), "var")
	if status, said := starts(t, []string{"DATA_DIR=" + fresh, library(t)}, "--check"); status != program.OK {
		t.Errorf("before the first start: %d %q", status, said)
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("--check made the data directory")
	}
	dir := t.TempDir()
	keyset := filepath.Join(dir, keysetFile)
	if err := vault.NewKeyset(keyset); err != nil {
		t.Fatal(err)
	}
	if _, err := access.New(filepath.Join(dir, tokensFile), access.Grant{Name: "local"}); err != nil {
		t.Fatal(err)
	}
	if status, said := starts(t, []string{"DATA_DIR=" + dir, library(t)}, "--check"); status != program.OK {
		t.Errorf("after the first start: %d %q", status, said)
	}
	if err := os.Chmod(keyset, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, tokensFile), []byte("junk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{{"--check"}, nil} {
		status, said := starts(t, []string{"DATA_DIR=" + dir, "LIBCHDB_PATH=" + filepath.Join(dir, "none")}, flags...)
		if status != program.Usage {
			t.Errorf("%v: status %d, want %d", flags, status, program.Usage)
		}
		for _, want := range []string{"0600", tokensFile, "LIBCHDB_PATH"} {
			if !strings.Contains(said, want) {
				t.Errorf("%v does not say %s: %q", flags, want, said)
			}
		}
	}
	if status, said := starts(t, []string{"DATA_DIR=" + keyset, library(t)}, "--check"); status != program.Usage || !strings.Contains(said, "not a directory") {
		t.Errorf("a file in the place of the directory: %d %q", status, said)
	}
}

func TestTheDemoIsAskedForInEveryFormOfAFlag(t *testing.T) {
	for args, want := range map[string]bool{
		"--demo": true, "-demo": true, "--demo=true": true, "-demo=1": true, "--demo=false": false, "--demo=0": false, "demo": false, "--engines-only": false, "": false,
	} {
		if got := wantsDemo(strings.Fields(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}

func TestADataDirectoryThatCannotBeWrittenIsNamed(t *testing.T) {
	for _, dir := range []string{"/proc/halo", "/proc/halo/var/deep"} { // nobody may, not even root
		if err := check(config.Local{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "DATA_DIR: cannot be written") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	parent := t.TempDir()
	if err := writable(filepath.Join(parent, "not", "there", "yet")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("the check left %v, %v", left, err)
	}
}
