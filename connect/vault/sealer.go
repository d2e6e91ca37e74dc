package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/worksights/halo-connector/schemas"
)

// ErrSealed says that a text does not open: it was sealed with a key that the
// keyset does not hold, for another tenant or purpose, or was changed.
var ErrSealed = errors.New("sealed text does not open")

// Purpose says what was sealed, so that one thing can be destroyed while
// another stays, and neither can stand in for the other.
type Purpose string

// The purposes.
const (
	Credentials Purpose = "credentials" // opens the tenant's Halo
	Directory   Purpose = "directory"   // names and e-mails of agents and users
)

// lookEvery is how often the keyset file is looked at, at most. A look is one
// system call; the pause keeps a busy process from making thousands.
const lookEvery = time.Second

// Sealer seals and opens with the keys of a file. It may be used by several
// goroutines at once.
type Sealer struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	keys    tink.AEAD
	primary uint32
	file    os.FileInfo
	looked  time.Time
}

// Open reads the keyset file. Errors wrap [ErrPermission], [ErrKeyset] or the
// file system's.
func Open(path string, now func() time.Time, log *slog.Logger) (*Sealer, error) {
	s := &Sealer{path: path, now: now, log: log}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.looked = now()
	return s, nil
}

// load takes up the file as it is now. s.mu is held, or nobody else has s.
func (s *Sealer) load() error {
	handle, info, err := read(s.path)
	if err != nil {
		return err
	}
	keys, err := aead.New(handle)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, ErrKeyset)
	}
	primary, err := handle.Primary()
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, ErrKeyset)
	}
	s.keys, s.primary, s.file = keys, primary.KeyID(), info
	return nil
}

// current are the keys of the file, read again where it changed. A file that
// cannot be read, or is half written, changes nothing: the keys at hand still
// open everything that they opened before.
func (s *Sealer) current() (tink.AEAD, uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.looked) >= lookEvery {
		s.looked = now
		s.look()
	}
	return s.keys, s.primary
}

// Reload looks at the file now, as Seal and Open do by themselves within a
// second.
func (s *Sealer) Reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
}

func (s *Sealer) look() {
	info, err := os.Stat(s.path)
	if err == nil && os.SameFile(info, s.file) && info.ModTime().Equal(s.file.ModTime()) && info.Size() == s.file.Size() {
		return
	}
	if err == nil {
		err = s.load()
	}
	if err != nil {
		s.log.Warn("the keyset file changed and cannot be used, going on with the keys at hand", "err", err)
		return
	}
	s.log.Info("keyset taken up", "primary", s.primary)
}

// Seal seals a text with the primary key.
func (s *Sealer) Seal(tenant schemas.Tenant, purpose Purpose, text []byte) ([]byte, error) {
	keys, _ := s.current()
	sealed, err := keys.Encrypt(text, associated(tenant, purpose))
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	return sealed, nil
}

// Open opens what was sealed for tenant and purpose, with whichever key.
// Errors wrap [ErrSealed].
func (s *Sealer) Open(tenant schemas.Tenant, purpose Purpose, sealed []byte) ([]byte, error) {
	keys, _ := s.current()
	text, err := keys.Decrypt(sealed, associated(tenant, purpose))
	if err == nil {
		return text, nil
	}
	// A standby may meet a record that was sealed a moment ago with a key
	// that was added a moment ago.
	s.Reload()
	keys, _ = s.current()
	if text, err = keys.Decrypt(sealed, associated(tenant, purpose)); err == nil {
		return text, nil
	}
	return nil, fmt.Errorf("%w: %s of tenant %s", ErrSealed, purpose, tenant)
}

// Stale reports whether a sealed text was sealed with another key than the
// primary one, and should be sealed again. A Tink text begins with a version
// byte and the id of its key.
func (s *Sealer) Stale(sealed []byte) bool {
	_, primary := s.current()
	return len(sealed) >= 5 && binary.BigEndian.Uint32(sealed[1:5]) != primary
}

// Primary is the id of the key that seals now.
func (s *Sealer) Primary() uint32 {
	_, primary := s.current()
	return primary
}

// associated is what is bound to a seal. A tenant has no NUL in it, so no two
// pairs give the same bytes.
func associated(tenant schemas.Tenant, purpose Purpose) []byte {
	return []byte("halo.vault\x00" + string(tenant) + "\x00" + string(purpose))
}
