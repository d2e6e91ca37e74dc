package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrLocked says that another process uses the data directory.
var ErrLocked = errors.New("another process uses this data directory")

// Two locks guard a data directory, because two questions arise. parent.lock is
// held by the process that called Start: if it is taken, somebody else runs
// here, and waiting is no use. child.lock is held by the child: if only that is
// taken, a parent was killed and its child is about to end, and waiting is all
// that is needed. Both are advisory locks of the kernel and end with their
// holder, however it ends.

// lock takes the lock at once or fails with ErrLocked.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", path, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// lockWithin tries until the lock is free, at most for patience.
func lockWithin(ctx context.Context, path string, patience time.Duration) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		f, err := lock(path)
		if !errors.Is(err, ErrLocked) {
			return f, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}
