package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Tenant is one customer of WorkSights. It begins every key, is in every
// record, and bounds every query.
type Tenant string

// ErrTenant says that a string is no tenant id.
var ErrTenant = errors.New("a tenant id is 1 to 63 characters of a-z, 0-9, '_' and '-', and begins with a letter or a digit")

// ParseTenant checks that s is a tenant id: [a-z0-9][a-z0-9_-]{0,62}.
//
// The alphabet has no '/', so that "tenant/agent" has one reading only. The
// error is [ErrTenant] and does not quote s: the string may come from a
// stranger.
func ParseTenant(s string) (Tenant, error) {
	if !validTenant(s) {
		return "", ErrTenant
	}
	return Tenant(s), nil
}

func validTenant[T ~string | ~[]byte](s T) bool {
	if len(s) == 0 || len(s) > 63 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case (c == '_' || c == '-') && i > 0:
		default:
			return false
		}
	}
	return true
}

// ConnectionID names a tenant's link to one Halo instance: 32 lower-case
// hexadecimal digits. It stands in the URL that Halo posts to, and is no
// secret.
type ConnectionID string

// ConnectionIDOf derives the id of the tenant's connection.
//
// It is derived and not drawn: a connect that dies halfway and is repeated
// meets the URL that its first try registered with Halo, and so recognises
// the webhook as its own instead of leaving it behind.
func ConnectionIDOf(t Tenant) ConnectionID {
	sum := sha256.Sum256([]byte("halo.connection\x00" + string(t)))
	return ConnectionID(hex.EncodeToString(sum[:16]))
}

// ParseConnectionID checks that s has the form of a connection id.
func ParseConnectionID(s string) (ConnectionID, error) {
	if len(s) != 32 {
		return "", fmt.Errorf("%w: connection id: want 32 hexadecimal digits", ErrMalformed)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("%w: connection id: want lower-case hexadecimal digits", ErrMalformed)
		}
	}
	return ConnectionID(s), nil
}

// UserID is a WorkSights user: the person whose timeline an activity is on.
// It is opaque to the connector; 1 to 200 bytes.
type UserID string

// AgentID is a Halo agent. 0 is nobody and 1 is Halo's "Unassigned" (seen in
// public copies of Halo's schema), so that only ids above 1 are people.
type AgentID uint64

// Person reports whether a is an agent at all.
func (a AgentID) Person() bool { return a > 1 }
