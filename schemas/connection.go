package schemas

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Connection is a tenant's link to one Halo instance, as far as the edge may
// know it: whom a delivery belongs to, how it proves itself, and what the
// ids in it mean. No credential and no name of a person is in it.
type Connection struct {
	ID        ConnectionID `json:"connection"`
	Tenant    Tenant       `json:"tenant"`
	WebhookID string       `json:"webhook_id"` // the current one; what another sends is stale
	Verifiers []Verifier   `json:"verifiers"`

	// Notifications tells the kind by notification_id, which no renaming in
	// Halo changes. For as long as the secret of a former webhook is valid, the
	// former one's are among them: the kind is a part of an event's identity, so
	// that a delivery which the former webhook sends again would otherwise be
	// another event.
	Notifications map[int64]Kind `json:"notifications"`
}

// Verifier is the digest of a secret that Halo sends with its deliveries. The
// secret itself is kept by Halo and by connect's vault only.
type Verifier struct {
	Hash  VerifierHash `json:"hash"`
	Until time.Time    `json:"until,omitzero"` // zero for the current one; of an old one, when it ends
}

// VerifierHash is a SHA-256. A plain digest is enough for a secret of 256
// random bits, which no dictionary holds, and costs the edge a microsecond
// where a password hash would cost it the delivery's whole budget.
type VerifierHash [sha256.Size]byte

// NewVerifier digests a connection's secret.
func NewVerifier(id ConnectionID, secret Secret) Verifier {
	return Verifier{Hash: verifierHash(id, secret.Reveal())}
}

func verifierHash(id ConnectionID, secret string) VerifierHash {
	buf := make([]byte, 0, 256)
	buf = append(buf, "halo.verifier\x00"...)
	buf = append(buf, id...)
	buf = append(buf, 0)
	buf = append(buf, secret...)
	return sha256.Sum256(buf)
}

// MarshalText writes hexadecimal digits.
func (h VerifierHash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (h *VerifierHash) UnmarshalText(b []byte) error {
	if len(b) != 2*len(h) {
		return fmt.Errorf("%w: a verifier's hash", ErrMalformed)
	}
	if _, err := hex.Decode(h[:], b); err != nil {
		return fmt.Errorf("%w: a verifier's hash", ErrMalformed)
	}
	return nil
}

// Verify reports whether secret proves a delivery at the instant now.
//
// It costs the same whether the secret is right, wrong or expired, and on the
// zero Connection, which callers use where they know no such connection: how
// long an answer takes tells a guesser nothing.
func (c Connection) Verify(secret Secret, now time.Time) bool {
	// Two comparisons always: a connection has one verifier, or two while the
	// secret of its old webhook runs out.
	got := verifierHash(c.ID, secret.Reveal())
	ok := 0
	for i := range max(2, len(c.Verifiers)) {
		var v Verifier
		live := 0
		if i < len(c.Verifiers) {
			v = c.Verifiers[i]
			if v.Until.IsZero() || now.Before(v.Until) {
				live = 1
			}
		}
		ok |= live & subtle.ConstantTimeCompare(got[:], v.Hash[:])
	}
	return ok == 1
}

// AppendJSON appends the record's JSON form.
func (c Connection) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.string("connection", string(c.ID))
	w.string("tenant", string(c.Tenant))
	w.string("webhook_id", c.WebhookID)
	w.name("verifiers")
	w.b = append(w.b, '[')
	for i, v := range c.Verifiers {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.string("hash", hex.EncodeToString(v.Hash[:]))
		if !v.Until.IsZero() {
			w.time("until", v.Until)
		}
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
	w.name("notifications")
	w.b = append(w.b, '{')
	ids := make([]int64, 0, len(c.Notifications))
	for id := range c.Notifications {
		ids = append(ids, id)
	}
	slices.Sort(ids) // a map's order would make two records of one connection differ
	for _, id := range ids {
		w.string(strconv.FormatInt(id, 10), string(c.Notifications[id]))
	}
	return append(w.b, '}', '}')
}

// ParseConnection reads a record of schema [ConnectionSchema]. Members that it
// does not know are ignored. Errors wrap [ErrMalformed].
func ParseConnection(b []byte) (Connection, error) {
	var c Connection
	if err := unmarshal(b, &c); err != nil {
		return Connection{}, err
	}
	if _, err := ParseConnectionID(string(c.ID)); err != nil {
		return Connection{}, err
	}
	if !validTenant(string(c.Tenant)) {
		return Connection{}, missing("tenant")
	}
	for _, k := range c.Notifications {
		if !k.Valid() {
			return Connection{}, fmt.Errorf("%w: a notification of no known kind", ErrMalformed)
		}
	}
	return c, nil
}
