package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
)

// parentMark makes the test binary a parent of its own, which a test can kill.
const parentMark = "ENGINE_TEST_PARENT_DIR"

func TestMain(m *testing.M) {
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
