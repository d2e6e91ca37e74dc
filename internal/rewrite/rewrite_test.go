package rewrite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/worksights/halo-connector/internal/rewrite"
)

func appending(text string) func([]byte) ([]byte, error) {
	return func(old []byte) ([]byte, error) { return append(old, text...), nil }
}

func TestOfManyChangesAtOnceNoneIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := rewrite.New(path, nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if err := rewrite.File(path, appending("x")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := os.ReadFile(path); err != nil || string(got) != strings.Repeat("x", 40) {
		t.Errorf("%d of 40 changes are there, %v", len(got), err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%v is left beside the file, %v", left, err)
	}
}

func TestAFileStaysWhatItWas(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := rewrite.New(path, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o440); err != nil {
		t.Fatal(err)
	}
	owner := uint32(os.Getuid())
	if owner == 0 { // only root can give a file away, and can be seen to keep it so
		owner = 65532
		if err := os.Chown(path, 65532, 65533); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := rewrite.File(link, appending("b")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	if info, err = os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o440 || stat.Uid != owner {
		t.Errorf("mode %v, owner %d", info.Mode(), stat.Uid)
	}
	if b, err := os.ReadFile(path); string(b) != "ab" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestAChangeThatFailsLeavesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := rewrite.New(path, []byte("a")); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	if err := rewrite.File(path, func([]byte) ([]byte, error) { return nil, no }); !errors.Is(err, no) {
		t.Errorf("File = %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "a" {
		t.Errorf("%q, %v", b, err)
	}
	if err := rewrite.New(path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("New over a file = %v", err)
	}
	if err := rewrite.File(filepath.Join(filepath.Dir(path), "none"), appending("b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("File of none = %v", err)
	}
}
