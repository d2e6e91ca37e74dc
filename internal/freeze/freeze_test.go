package freeze_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/worksights/halo-connector/internal/freeze"
)

// spinMark makes a process of this test binary count on all its threads, in
// the file that is its value, until its standard input ends: with the test, or
// with a test binary that is killed.
const spinMark = "HALO_FREEZE_SPIN"

// spinners are more than any machine's processors can run at once, so that the
// thread which gets the signal seldom is one that runs.
const spinners = 32

type counters [spinners]atomic.Int64

// shared is the memory that both processes see.
func shared(file string) (*counters, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping has its own hold of it
	const size = int(unsafe.Sizeof(counters{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*counters)(unsafe.Pointer(unsafe.SliceData(b))), nil
}

func (c *counters) read() (now []int64) {
	for i := range c {
		now = append(now, c[i].Load())
	}
	return now
}

func anySame(before, now []int64) bool {
	for i := range now {
		if now[i] == before[i] {
			return true
		}
	}
	return false
}

func TestMain(m *testing.M) {
	file, ok := os.LookupEnv(spinMark)
	if !ok {
		os.Exit(m.Run())
	}
	c, err := shared(file)
	if err != nil {
		panic(err)
	}
	for i := range c {
		go func() {
			for {
				c[i].Add(1)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestAFrozenProcessStandsStillOnEveryThread(t *testing.T) {
	file := filepath.Join(t.TempDir(), "counters")
	c, err := shared(file)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), spinMark+"="+file, "GOMAXPROCS=64")
	alive, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	go func() { defer close(ended); _ = cmd.Wait() }()

	// Each round begins when every thread has counted on since the last.
	counted := c.read()
	for range 5 {
		for end := time.Now().Add(30 * time.Second); anySame(counted, c.read()); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("a thread does not count")
			}
		}
		if err := freeze.Process(cmd.Process); err != nil {
			t.Fatal(err)
		}
		counted = c.read()
		time.Sleep(20 * time.Millisecond)
		if !slices.Equal(counted, c.read()) {
			t.Fatal("it counts on")
		}
		if err := freeze.Thaw(cmd.Process); err != nil {
			t.Fatal(err)
		}
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if err := freeze.Process(cmd.Process); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a process that has ended: %v", err)
	}
	if err := freeze.Thaw(cmd.Process); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a process that has ended: %v", err)
	}
}
