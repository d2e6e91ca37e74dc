// Package rewrite changes a file that others read meanwhile.
//
// It promises that a reader meets the old content or the new, never half of
// one; that of two changes at once neither is lost; and that the file stays
// what it was: its owner, its group, its mode, and the link that leads to it. A
// change that cannot keep these is not made.
//
// What keeps it true, in this order: the file behind the links is opened and
// locked; that it still is the file of that name is looked at again, since
// whoever held the lock before has put another in its place; the new content is
// written beside it, given owner and mode, and synced; then it takes the name
// in one step. After a crash between any two of these the old file is there,
// and at worst a hidden one beside it.
package rewrite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File replaces the content of the file at path by what change makes of it. An
// error of change leaves the file as it is. A change that gives back the same
// content writes nothing.
func File(path string, change func(old []byte) ([]byte, error)) error {
	// A link that points to a link, and a folder that is one, are followed.
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	f, info, err := locked(path)
	if err != nil {
		return err
	}
	defer f.Close() // and with it the lock
	old, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	content, err := change(old)
	if err != nil || bytes.Equal(content, old) {
		return err
	}
	return replace(path, info, content)
}

// New makes a file with mode 0600. It fails with an error that wraps
// [fs.ErrExist] where there is one.
func New(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// locked opens the file at path and waits until nobody else holds it.
func locked(path string) (*os.File, fs.FileInfo, error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		held, err := f.Stat()
		if err == nil && !held.Mode().IsRegular() {
			err = fmt.Errorf("%s is no file", path)
		}
		if err == nil {
			err = hold(f)
		}
		var is fs.FileInfo
		if err == nil {
			is, err = os.Stat(path)
		}
		switch {
		case err != nil:
			return nil, nil, errors.Join(err, f.Close())
		case os.SameFile(held, is):
			return f, is, nil
		}
		_ = f.Close() // the name is another file's by now
	}
}

func hold(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func replace(path string, like fs.FileInfo, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = become(f, like)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// become gives f the owner and the mode of another file.
func become(f *os.File, like fs.FileInfo) error {
	owner, ok := like.Sys().(*syscall.Stat_t)
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if self, _ := mine.Sys().(*syscall.Stat_t); ok && self != nil && (self.Uid != owner.Uid || self.Gid != owner.Gid) {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("the file would change its owner: do this as its owner or as root: %w", err)
		}
	}
	return f.Chmod(like.Mode().Perm()) // after the owner: a change of owner may clear bits
}

// syncDir makes a new name last over a crash of the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
