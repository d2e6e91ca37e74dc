package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/fresh"
)

func newFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyset.json")
	if err := vault.NewKeyset(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *vault.Sealer {
	t.Helper()
	s, err := vault.Open(path, fresh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsSealedOpensOnlyAsWhatItWasSealedAs(t *testing.T) {
	s := open(t, newFile(t))
	text := []byte("s3cr3t")
	sealed, err := s.Seal("acme", vault.Credentials, text)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, text) {
		t.Error("the text is visible in its sealed form")
	}
	if got, err := s.Open("acme", vault.Credentials, sealed); err != nil || !bytes.Equal(got, text) {
		t.Errorf("Open = %q, %v", got, err)
	}
	if _, err := s.Open("globex", vault.Credentials, sealed); !errors.Is(err, vault.ErrSealed) {
		t.Errorf("another tenant opens it: %v", err)
	}
	if _, err := s.Open("acme", vault.Directory, sealed); !errors.Is(err, vault.ErrSealed) {
		t.Errorf("another purpose opens it: %v", err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := s.Open("acme", vault.Credentials, sealed); !errors.Is(err, vault.ErrSealed) {
		t.Errorf("a changed text opens: %v", err)
	}
}

func TestRotatingKeepsOldTextsReadableUntilTheOldKeysAreRetired(t *testing.T) {
	path := newFile(t)
	s := open(t, path)
	old, err := s.Seal("acme", vault.Directory, []byte("names"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Stale(old) {
		t.Error("a text sealed with the primary key is said to be stale")
	}
	if err := vault.Rotate(path); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if !s.Stale(old) {
		t.Error("a text sealed before the rotation is not stale: the running sealer did not take up the new key")
	}
	text, err := s.Open("acme", vault.Directory, old)
	if err != nil || string(text) != "names" {
		t.Fatalf("after the rotation Open = %q, %v", text, err)
	}
	fresh, err := s.Seal("acme", vault.Directory, text)
	if err != nil || s.Stale(fresh) {
		t.Fatalf("sealed again: stale %v, %v", s.Stale(fresh), err)
	}
	if n, err := vault.Retire(path); err != nil || n != 1 {
		t.Fatalf("Retire = %d, %v", n, err)
	}
	later := open(t, path)
	if _, err := later.Open("acme", vault.Directory, old); !errors.Is(err, vault.ErrSealed) {
		t.Errorf("a text of a retired key opens: %v", err)
	}
	if _, err := later.Open("acme", vault.Directory, fresh); err != nil {
		t.Errorf("a text of the primary key does not open after the others were retired: %v", err)
	}
}

func TestASealerThatHasNotSeenARotationOpensWhatWasSealedAfterIt(t *testing.T) {
	path := newFile(t)
	standby := open(t, path)
	if err := vault.Rotate(path); err != nil {
		t.Fatal(err)
	}
	sealed, err := open(t, path).Seal("acme", vault.Directory, []byte("names"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := standby.Open("acme", vault.Directory, sealed); err != nil {
		t.Errorf("Open = %v", err)
	}
}

func TestAKeysetFileIsOnlyItsOwners(t *testing.T) {
	path := newFile(t)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if err := vault.Rotate(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode after a rotation is %v, %v", info.Mode(), err)
	}
	if err := vault.NewKeyset(path); !errors.Is(err, vault.ErrExists) {
		t.Errorf("a keyset was overwritten: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(path, fresh.Options{}); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("a file that others may read: %v", err)
	}
}

func TestABrokenKeysetFileIsRefusedAtStartAndIgnoredLater(t *testing.T) {
	path := newFile(t)
	s := open(t, path)
	sealed, err := s.Seal("acme", vault.Directory, []byte("names"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"half`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(path, fresh.Options{}); !errors.Is(err, vault.ErrKeyset) {
		t.Errorf("Open of a broken file = %v", err)
	}
	s.Reload()
	if _, err := s.Open("acme", vault.Directory, sealed); err != nil {
		t.Errorf("the keys at hand were given up: %v", err)
	}
}

func TestOfTwoRotationsAtOnceNeitherIsLost(t *testing.T) {
	path := newFile(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := vault.Rotate(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, err := vault.Retire(path); err != nil || n != 4 {
		t.Errorf("%d older keys were there, want 4: %v", n, err)
	}
}
