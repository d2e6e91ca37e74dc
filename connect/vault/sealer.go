package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/worksights/halo-connector/internal/fresh"
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
	Leaving     Purpose = "leaving"     // opens it to remove what a disconnect left there, and nothing else
	Directory   Purpose = "directory"   // names and e-mails of agents and users
	Session     Purpose = "session"     // lets the console act for a token; of no tenant
)

// Sealer seals and opens with the keys of a file. It may be used by several
// goroutines at once.
type Sealer struct {
	file *fresh.File[keys]
}

// keys are what the file holds.
type keys struct {
	tink.AEAD
	primary uint32
}

// Open reads the keyset file. Errors wrap [ErrPermission], [ErrKeyset] or the
// file system's. Later a file that cannot be used, or is half written, changes
// nothing: the keys at hand still open what they sealed.
func Open(path string, o fresh.Options) (*Sealer, error) {
	file, err := fresh.Open("KEYSET_FILE", path, take, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Sealer{file}, nil
}

// take makes keys of a file.
func take(content []byte, info fs.FileInfo, held keys) (keys, error) {
	handle, err := parse(content, info)
	if err != nil {
		return held, err
	}
	sealing, err := aead.New(handle)
	if err != nil {
		return held, ErrKeyset
	}
	primary, err := handle.Primary()
	if err != nil {
		return held, ErrKeyset
	}
	return keys{sealing, primary.KeyID()}, nil
}

// Reload looks at the file now, as Seal and Open do by themselves within a
// second.
func (s *Sealer) Reload() { s.file.Reload() }

// Seal seals a text with the primary key.
func (s *Sealer) Seal(tenant schemas.Tenant, purpose Purpose, text []byte) ([]byte, error) {
	sealed, err := s.file.Get().Encrypt(text, associated(tenant, purpose))
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	return sealed, nil
}

// Open opens what was sealed for tenant and purpose, with whichever key.
// Errors wrap [ErrSealed].
func (s *Sealer) Open(tenant schemas.Tenant, purpose Purpose, sealed []byte) ([]byte, error) {
	text, err := s.file.Get().Decrypt(sealed, associated(tenant, purpose))
	if err == nil {
		return text, nil
	}
	// A standby may meet a record that was sealed a moment ago with a key
	// that was added a moment ago.
	s.Reload()
	if text, err = s.file.Get().Decrypt(sealed, associated(tenant, purpose)); err == nil {
		return text, nil
	}
	return nil, fmt.Errorf("%w: %s of tenant %s", ErrSealed, purpose, tenant)
}

// Stale reports whether a sealed text was sealed with another key than the
// primary one, and should be sealed again. A Tink text begins with a version
// byte and the id of its key.
func (s *Sealer) Stale(sealed []byte) bool {
	return len(sealed) >= 5 && binary.BigEndian.Uint32(sealed[1:5]) != s.Primary()
}

// Primary is the id of the key that seals now.
func (s *Sealer) Primary() uint32 { return s.file.Get().primary }

// associated is what is bound to a seal. A tenant has no NUL in it, so no two
// pairs give the same bytes.
func associated(tenant schemas.Tenant, purpose Purpose) []byte {
	return []byte("halo.vault\x00" + string(tenant) + "\x00" + string(purpose))
}
