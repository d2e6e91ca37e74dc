package ledger

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// record is a vault record: parts sealed one by one, so that one can be destroyed
// while another stays. Nothing else of the state is in it.
type record struct {
	Tenant      schemas.Tenant `json:"tenant"`
	Credentials []byte         `json:"credentials,omitempty"`
	Leaving     []byte         `json:"leaving,omitempty"`
	Directory   []byte         `json:"directory"`
}

// maxRecord bounds a vault record, in bytes. Kafka takes a record of 1 MiB, and
// one that it refuses would look like an outage. Compressed, the directory of a
// tenant with 20,000 users and as many agents fits.
const maxRecord = 900_000

// credentials is Credentials without the redaction: it is written inside a seal
// only.
type credentials struct {
	TenantURL    string `json:"tenant_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	CABundle     []byte `json:"ca_bundle,omitempty"`
}

// leaving is Leaving without the redaction.
type leaving struct {
	credentials
	Webhooks []string  `json:"webhooks"`
	Until    time.Time `json:"until"`
}

func plain(c Credentials) credentials {
	return credentials{c.TenantURL, c.ClientID, c.ClientSecret.Reveal(), c.CABundle}
}

func (c credentials) redacted() Credentials {
	return Credentials{c.TenantURL, c.ClientID, schemas.Secret(c.ClientSecret), c.CABundle}
}

// seal makes the vault record of a state.
func seal(sealer *vault.Sealer, tenant schemas.Tenant, s State) ([]byte, error) {
	r := record{Tenant: tenant}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("vault record of tenant %s: %w", tenant, err)
	}
	if r.Directory, err = sealer.Seal(tenant, vault.Directory, pack(text)); err != nil {
		return nil, err
	}
	if s.Credentials != nil {
		if r.Credentials, err = sealPart(sealer, tenant, vault.Credentials, plain(*s.Credentials)); err != nil {
			return nil, err
		}
	}
	if len(s.Leaving) > 0 {
		all := make([]leaving, len(s.Leaving))
		for i, l := range s.Leaving {
			all[i] = leaving{plain(l.Credentials), l.Webhooks, l.Until}
		}
		if r.Leaving, err = sealPart(sealer, tenant, vault.Leaving, all); err != nil {
			return nil, err
		}
	}
	value, err := json.Marshal(r)
	if err == nil && len(value) > maxRecord {
		err = ErrTooLarge
	}
	return value, err
}

func sealPart(sealer *vault.Sealer, tenant schemas.Tenant, purpose vault.Purpose, part any) ([]byte, error) {
	text, err := json.Marshal(part)
	if err != nil {
		return nil, fmt.Errorf("vault record of tenant %s: %w", tenant, err)
	}
	return sealer.Seal(tenant, purpose, text)
}

// openPart reads a part that may be absent.
func openPart(sealer *vault.Sealer, tenant schemas.Tenant, purpose vault.Purpose, sealed []byte, part any) error {
	if len(sealed) == 0 {
		return nil
	}
	text, err := sealer.Open(tenant, purpose, sealed)
	if err != nil {
		return errors.New("no key of the keyset opens its record")
	}
	if json.Unmarshal(text, part) != nil {
		return errors.New("its record is malformed")
	}
	return nil
}

// open makes the state of a vault record. stale says that it was sealed with an
// older key. Every error wraps [ErrSealed]: what it means to the tenant is the
// same.
func open(sealer *vault.Sealer, kr *kgo.Record) (s State, stale bool, err error) {
	sealed := func(why string) (State, bool, error) { return State{}, false, fmt.Errorf("%w: %s", ErrSealed, why) }
	if schema := kafka.Schema(kr); schema != schemas.VaultSchema {
		return sealed("its record is of another version")
	}
	var r record
	if json.Unmarshal(kr.Value, &r) != nil || string(r.Tenant) != string(kr.Key) {
		return sealed("its record is malformed")
	}
	text, err := sealer.Open(r.Tenant, vault.Directory, r.Directory)
	if err != nil {
		return sealed("no key of the keyset opens its record")
	}
	if text, err = unpack(text); err != nil || json.Unmarshal(text, &s) != nil {
		return sealed("its record is malformed")
	}
	var c credentials
	if err := openPart(sealer, r.Tenant, vault.Credentials, r.Credentials, &c); err != nil {
		return sealed(err.Error())
	}
	if len(r.Credentials) > 0 {
		opened := c.redacted()
		s.Credentials = &opened
	}
	var left []leaving
	if err := openPart(sealer, r.Tenant, vault.Leaving, r.Leaving, &left); err != nil {
		return sealed(err.Error())
	}
	for _, l := range left {
		s.Leaving = append(s.Leaving, Leaving{l.redacted(), l.Webhooks, l.Until})
	}
	return s, sealer.Stale(r.Directory) || sealer.Stale(r.Credentials) || sealer.Stale(r.Leaving), nil
}

// pack compresses what is sealed. Sealed bytes cannot be compressed any more.
func pack(text []byte) []byte {
	var b bytes.Buffer
	// A directory of 20,000 users is written with each change of the tenant's: fast
	// takes a third of the time, and a tenth more room.
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // fails for no level that there is
	_, _ = w.Write(text)                            // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// unpackers are kept: to make one costs as much as to unpack the record of a tenant
// with twenty agents.
var unpackers = sync.Pool{New: func() any { return new(gzip.Reader) }}

func unpack(packed []byte) ([]byte, error) {
	r := unpackers.Get().(*gzip.Reader)
	defer unpackers.Put(r)
	if err := r.Reset(bytes.NewReader(packed)); err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
