package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

func (e *Engine) child() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pid
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:8123", "example.com:8123", "8123", ""} {
		e, err := Start(t.Context(), Config{Dir: t.TempDir(), Addr: addr}, slog.New(slog.DiscardHandler))
		if err == nil {
			_ = e.Close()
			t.Errorf("%q was served", addr)
		} else if host, _, split := net.SplitHostPort(addr); split == nil && !errors.Is(err, ErrNotLoopback) {
			t.Errorf("%q (host %q): %v, want ErrNotLoopback", addr, host, err)
		}
	}
}

func TestTheLibraryIsLookedForAndItsLackExplained(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	if _, err := FindLibrary(""); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "fetch-libchdb.sh") || !strings.Contains(err.Error(), dir) {
		t.Errorf("without a library: %v", err)
	}
	if _, err := FindLibrary(filepath.Join(dir, "none")); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "LIBCHDB_PATH") {
		t.Errorf("a wrong override: %v", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cached := filepath.Join(cache, "halo-connector", "libchdb-"+Version, "libchdb.so")
	if err := os.MkdirAll(filepath.Dir(cached), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cached, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := FindLibrary(""); got != cached || err != nil {
		t.Errorf("in the cache: %q, %v", got, err)
	}
	_, err = Start(t.Context(), Config{Dir: filepath.Join(dir, "data"), Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "libchdb.so") {
		t.Errorf("a file that is no library: %v", err)
	}
}

func TestASecondParentIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	e := start(t, dir)
	began := time.Now()
	_, err := Start(t.Context(), Config{Dir: dir, Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second start: %v, want ErrLocked", err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %v to say so", took)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, dir) // and the directory is free after Close
}

func TestAChildThatIsKilledWhileItStartsIsStartedAgain(t *testing.T) {
	for _, c := range []struct {
		deaths int
		starts bool
	}{{starts - 1, true}, {starts, false}} {
		deaths := t.TempDir()
		for i := range c.deaths {
			if err := os.WriteFile(filepath.Join(deaths, strconv.Itoa(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(deathsMark, deaths)
		e, err := Start(t.Context(), Config{Dir: t.TempDir(), Addr: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
		if c.starts && err != nil || !c.starts && !errors.Is(err, errKilled) {
			t.Errorf("after %d children were killed: %v", c.deaths, err)
		}
		if err == nil {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCloseKillsWhatStillRuns(t *testing.T) {
	e := start(t, t.TempDir())
	ended := make(chan error, 1)
	go func() {
		ended <- dial(t, e, "", nil).Exec(t.Context(), "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1")
	}()
	waitForQueries(t, dial(t, e, "", nil), 1)
	pid := e.child()
	began := time.Now()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > grace {
		t.Errorf("Close took %v", took)
	}
	if err := <-ended; err == nil {
		t.Error("the query ended well")
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the child %d is still there: %v", pid, err)
	}
	if e.Health() == nil {
		t.Error("a closed engine is healthy")
	}
	if err := e.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// startParent runs a parent in a process of its own.
func startParent(t *testing.T, dir string) (cmd *exec.Cmd, addr string, child int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(exe)
	cmd.Env = append(os.Environ(), parentMark+"="+dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscan(stdout, &addr, &child); err != nil {
		rest, _ := io.ReadAll(stdout)
		t.Fatalf("the parent did not start: %v %s", err, rest)
	}
	return cmd, addr, child
}

func TestAKilledParentTakesItsChildAlongAndIsFollowed(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		parent, addr, child := startParent(t, dir)
		conn := dialAddr(t, addr, "", nil)
		mustExec(t, conn, "CREATE TABLE IF NOT EXISTS rounds (n UInt32) ENGINE = MergeTree ORDER BY n",
			fmt.Sprintf("INSERT INTO rounds VALUES (%d)", round))
		if err := parent.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = parent.Wait()
		// The lock says when the child is gone, whatever the process table says.
		lock, err := lockWithin(t.Context(), filepath.Join(dir, "child.lock"), patience)
		if err != nil {
			t.Fatalf("round %d: the child %d holds the directory: %v", round, child, err)
		}
		_ = lock.Close()
	}
	// At once after a kill, without waiting: the new parent waits by itself,
	// for the data and for the port.
	parent, addr, _ := startParent(t, dir)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	var n uint64
	if err := dial(t, startAt(t, dir, addr), "", nil).QueryRow(t.Context(), "SELECT count() FROM rounds").Scan(&n); err != nil || n != 3 {
		t.Errorf("%d rows, want 3 (%v)", n, err)
	}
}

// TestNoAcknowledgedBatchIsLostWhenTheChildDies kills the child at random
// moments while four clients insert. A batch that was acknowledged must be
// there whole; one that was not may be there whole or not at all.
func TestNoAcknowledgedBatchIsLostWhenTheChildDies(t *testing.T) {
	const seed, kills, perBatch = 20260203, 6, 500
	random := rand.New(rand.NewPCG(seed, 0))
	e := start(t, t.TempDir())
	mustExec(t, dial(t, e, "", nil), "CREATE TABLE kept (batch UInt64, n UInt32, text String) ENGINE = MergeTree ORDER BY (batch, n)")

	var next, failed atomic.Uint64
	var acked sync.Map
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range sessions {
		clients.Go(func() {
			conn := dial(t, e, "", nil)
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := next.Add(1)
				if err := insertBatch(conn, id, perBatch); err != nil {
					failed.Add(1)
					continue
				}
				acked.Store(id, true)
			}
		})
	}
	for range kills {
		select { // let it work for a random while, then strike
		case <-time.After(time.Duration(50+random.IntN(250)) * time.Millisecond):
		case <-t.Context().Done():
		}
		pid := e.child()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitForChild(t, e, pid)
	}
	close(stop)
	clients.Wait()

	conn := dial(t, e, "", nil)
	rows, err := conn.Query(t.Context(), "SELECT batch, count() FROM kept GROUP BY batch")
	if err != nil {
		t.Fatal(err)
	}
	found := map[uint64]uint64{}
	for rows.Next() {
		var batch, n uint64
		if err := rows.Scan(&batch, &n); err != nil {
			t.Fatal(err)
		}
		if found[batch] = n; n != perBatch {
			t.Errorf("batch %d has %d rows of %d", batch, n, perBatch)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	kept := 0
	acked.Range(func(id, _ any) bool {
		if kept++; found[id.(uint64)] == 0 {
			t.Errorf("batch %d was acknowledged and is lost", id)
		}
		return true
	})
	if kept == 0 || failed.Load() == 0 {
		t.Errorf("%d acknowledged, %d failed: this proves nothing", kept, failed.Load())
	}
	t.Logf("%d kills: %d batches acknowledged, %d failed, %d found", kills, kept, failed.Load(), len(found))
}

func insertBatch(conn driver.Conn, id uint64, rows int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	batch, err := conn.PrepareBatch(clickhouse.Context(ctx), "INSERT INTO kept")
	if err != nil {
		return err
	}
	for i := range rows {
		if err := batch.Append(id, uint32(i), "some text"); err != nil {
			return err
		}
	}
	return batch.Send()
}

// waitForChild returns when another child than old answers.
func waitForChild(t *testing.T, e *Engine, old int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for e.Health() != nil || e.child() == old {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no new child: %v", e.Health())
		}
	}
}
