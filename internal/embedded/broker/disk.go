package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lock takes the directory for this process, at once or with ErrLocked. The
// lock is the kernel's and ends with its holder, so a killed process leaves
// none behind. Its file stays: removing it would let two processes lock two
// files of the same name.
func lock(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f.Close, nil
}

// freeBytes is what an ordinary user may still write to the disk of dir.
func freeBytes(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// Space is how much may still be written to the broker's disk, and below which
// floor the broker takes no records.
func (b *Broker) Space() (free, floor uint64, err error) {
	free, err = b.cfg.Free(b.cfg.Dir)
	return free, b.cfg.MinFree, err
}
