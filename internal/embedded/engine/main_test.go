package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// parentMark makes the test binary a parent of its own, which a test can kill.
const parentMark = "ENGINE_TEST_PARENT_DIR"

// deathsMark names a directory: each child takes a file out of it and is killed
// at once, as long as there are any.
const deathsMark = "ENGINE_TEST_DEATHS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(deathsMark); dir != "" && os.Getenv(childMark) != "" {
		if files, _ := os.ReadDir(dir); len(files) > 0 && os.Remove(filepath.Join(dir, files[0].Name())) == nil {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	Child()
	if dir := os.Getenv(parentMark); dir != "" {
		os.Exit(parent(dir))
	}
	os.Exit(m.Run())
}

// parent runs an engine in dir, prints its address and the child's process id,
// and ends with its standard input.
func parent(dir string) int {
	e, err := Start(context.Background(), Config{Dir: dir, Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println(e.Addr(), e.child())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := e.Close(); err != nil {
		return 1
	}
	return 0
}
