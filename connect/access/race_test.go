package access_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/fresh"
)

// A pipe in the file's place makes the moment last between reading the file and
// looking at it.
func TestATokenRemovedWhileTheFileIsReadIsNotGrantedForLong(t *testing.T) {
	dir := t.TempDir()
	path, kept, next := filepath.Join(dir, "tokens"), filepath.Join(dir, "kept"), filepath.Join(dir, "next")
	lost, err := access.New(kept, access.Grant{Name: "lost"})
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(next, []byte("# nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	edited := make(chan error, 1)
	go func() {
		pipe, err := os.OpenFile(path, os.O_WRONLY, 0) // returns once the other end is read
		if err == nil {
			defer pipe.Close()
			if err = os.Rename(next, path); err == nil {
				_, err = pipe.Write(before)
			}
		}
		edited <- err
	}()
	now := time.Now()
	tokens, err := access.Open(path, fresh.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-edited; err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Grant(lost); err != nil {
		t.Fatal("the file of before was not read: this proves nothing")
	}
	now = now.Add(2 * time.Second)
	if _, err := tokens.Grant(lost); err == nil {
		t.Error("a token that was removed while the file was read is granted for good")
	}
}
