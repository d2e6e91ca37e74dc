package ledger

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// record is a vault record: two sealed parts, so that one can be destroyed
// while the other stays. Nothing else of the state is in it.
type record struct {
	Tenant      schemas.Tenant `json:"tenant"`
	Credentials []byte         `json:"credentials,omitempty"`
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
	if c := s.Credentials; c != nil {
		text, err := json.Marshal(credentials{c.TenantURL, c.ClientID, c.ClientSecret.Reveal(), c.CABundle})
		if err != nil {
			return nil, fmt.Errorf("vault record of tenant %s: %w", tenant, err)
		}
		if r.Credentials, err = sealer.Seal(tenant, vault.Credentials, text); err != nil {
			return nil, err
		}
	}
	value, err := json.Marshal(r)
	if err == nil && len(value) > maxRecord {
		err = ErrTooLarge
	}
	return value, err
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
	if len(r.Credentials) > 0 {
		if text, err = sealer.Open(r.Tenant, vault.Credentials, r.Credentials); err != nil {
			return sealed("no key of the keyset opens its record")
		}
		var c credentials
		if json.Unmarshal(text, &c) != nil {
			return sealed("its record is malformed")
		}
		s.Credentials = &Credentials{c.TenantURL, c.ClientID, schemas.Secret(c.ClientSecret), c.CABundle}
	}
	return s, sealer.Stale(r.Directory) || sealer.Stale(r.Credentials), nil
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

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
