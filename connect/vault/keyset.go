// Package vault seals what only the control plane may read.
//
// It promises that a sealed text opens only with a key of the keyset, and only
// as what it was sealed as: the tenant and the purpose are part of the seal, so
// that a record copied under another tenant's key, or credentials put where a
// directory belongs, do not open. What keeps it true is AES-256-GCM through
// Tink with both as associated data.
//
// Keys come from one file, a Tink keyset in JSON that holds keys in clear and
// is therefore readable by its owner only. Rotating adds a key and makes it the
// primary one; the older ones keep opening what they sealed. A running process
// notices the new file by itself.
//
// What the vault cannot do: take back bytes that others hold. A sealed record
// that was overwritten in Kafka lies in the log until compaction has passed (a
// week at most), and on the embedded broker, which does not compact, for good.
// There, and for backups, destroying is retiring: rotate, wait until every
// record has been sealed again with the new key, then remove the older keys
// with [Retire]. What they sealed can then be opened by nobody.
package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/worksights/halo-connector/internal/rewrite"
)

// The ways in which a keyset file is refused.
var (
	ErrExists     = errors.New("the keyset file exists already; a new one would make all sealed records unreadable")
	ErrPermission = errors.New("the keyset file is readable by others; set its mode to 0600")
	ErrKeyset     = errors.New("the file is not a Tink keyset with a primary key")
)

// NewKeyset writes a keyset of one fresh key to path, mode 0600. It fails with
// [ErrExists] where there is a file.
func NewKeyset(path string) error {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return fmt.Errorf("keyset: %w", err)
	}
	b, err := encode(handle)
	if err != nil {
		return err
	}
	err = rewrite.New(path, b)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("keyset: %w", err)
	}
	return nil
}

// Rotate adds a fresh key to the keyset file and makes it the primary one. The
// file is replaced in one step and stays whose it was, so that a process which
// reads it meanwhile meets the old or the new one; of two rotations at once
// neither is lost.
//
// Where several processes have copies of the file, hand them the new one before
// any of them seals with it: rotate on one machine, distribute, and each takes
// it up by itself.
func Rotate(path string) error {
	return replace(path, func(m *keyset.Manager, _ []uint32) error {
		id, err := m.Add(aead.AES256GCMKeyTemplate())
		if err != nil {
			return err
		}
		return m.SetPrimary(id)
	})
}

// Retire removes all keys but the primary one and returns how many went. What
// is still sealed with them is lost, which is the purpose: call it once every
// record has been sealed again (see [Sealer.Stale]).
func Retire(path string) (removed int, err error) {
	err = replace(path, func(m *keyset.Manager, older []uint32) error {
		removed = len(older)
		for _, id := range older {
			if err := m.Delete(id); err != nil {
				return err
			}
		}
		return nil
	})
	return removed, err
}

// replace changes the keyset file; change is given the ids of the keys that are
// not the primary one.
func replace(path string, change func(m *keyset.Manager, older []uint32) error) error {
	err := rewrite.File(path, func(old []byte) ([]byte, error) {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		handle, err := parse(old, info)
		if err != nil {
			return nil, err
		}
		var older []uint32
		for i := range handle.Len() {
			if entry, err := handle.Entry(i); err == nil && !entry.IsPrimary() {
				older = append(older, entry.KeyID())
			}
		}
		m := keyset.NewManagerFromHandle(handle)
		if err := change(m, older); err != nil {
			return nil, err
		}
		if handle, err = m.Handle(); err != nil {
			return nil, err
		}
		return encode(handle)
	})
	if err != nil {
		return fmt.Errorf("keyset %s: %w", path, err)
	}
	return nil
}

// parse reads a keyset file.
func parse(content []byte, info fs.FileInfo) (*keyset.Handle, error) {
	if readableByOthers(info.Mode(), ownerOf(info), os.Geteuid()) {
		return nil, ErrPermission
	}
	// The library's errors are not passed on: they come from parsing keys.
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(content)))
	if err != nil {
		return nil, ErrKeyset
	}
	if _, err := handle.Primary(); err != nil {
		return nil, ErrKeyset
	}
	return handle, nil
}

func encode(handle *keyset.Handle) ([]byte, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	return b.Bytes(), nil
}
