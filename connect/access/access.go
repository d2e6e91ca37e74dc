// Package access knows who may call the control API, and what he may do there.
//
// It promises that a token is stored nowhere: the file holds its digest, and
// the program that makes one prints it once. Comparing costs the same time for
// every token, right or wrong. A token that was taken out of the file stops
// within two seconds and without a restart, whatever else is wrong with the
// file; nothing that is new is taken from a file with a bad line. What keeps
// that true is that the file is read at each look and that of a bad one only
// what goes away counts.
package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/schemas"
)

// The ways in which a tokens file or a new token is refused.
var (
	ErrPermission = errors.New("the tokens file can be written by others; set its mode to 0600")
	ErrLine       = errors.New("want: name sha256-hex tenants [scopes [until]]; tenants are * or tenant,tenant…, scopes read,map,manage, until is an RFC 3339 time or a date")
	ErrTwice      = errors.New("the name or the token stands in an earlier line")
	ErrName       = errors.New("a token's name is 1 to 63 characters of letters, digits, '_', '-' and '.'")
	ErrTaken      = errors.New("a token of that name exists already")
	ErrNone       = errors.New("there is no token of that name")
	ErrScope      = errors.New("a scope is read, map or manage")
	ErrUntil      = errors.New("until is a time as in RFC 3339, or a date, and lies ahead")
)

// The ways in which a token is refused.
var (
	ErrUnknown = errors.New("no such token is known")
	ErrExpired = errors.New("the token has ended")
)

// Scope is what a token may be used for. Each covers those before it.
type Scope int

// The scopes.
const (
	None   Scope = iota
	Read         // look
	Map          // say who the agents are
	Manage       // connect, disconnect, erase
)

var scopeNames = []string{Read: "read", Map: "map", Manage: "manage"}

func (s Scope) String() string { return scopeNames[s] }

// Names are the scopes that s covers.
func (s Scope) Names() []string { return scopeNames[Read : s+1] }

// ParseScopes reads names of scopes; the greatest counts. None given means all.
func ParseScopes(names []string) (Scope, error) {
	if len(names) == 0 {
		return Manage, nil
	}
	most := None
	for _, name := range names {
		i := slices.Index(scopeNames, name)
		if i < int(Read) {
			return None, ErrScope
		}
		most = max(most, Scope(i))
	}
	return most, nil
}

// Digest is the SHA-256 of a token. A plain digest is enough for 256 random
// bits.
type Digest [sha256.Size]byte

// Grant is what a token allows.
type Grant struct {
	Name    string           // of the token, for the audit trail
	Tenants []schemas.Tenant // those it may see; none: all
	Scope   Scope
	Until   time.Time // zero: it does not end
	Digest  Digest
}

// Allows reports whether the token may see the tenant.
func (g Grant) Allows(t schemas.Tenant) bool {
	return len(g.Tenants) == 0 || slices.Contains(g.Tenants, t)
}

// Tokens are the tokens of a file. They may be used by several goroutines at
// once.
type Tokens struct {
	file *fresh.File[[]Grant]
	now  func() time.Time
}

// Open reads the tokens file. Errors wrap [ErrPermission], [ErrLine],
// [ErrTwice] or the file system's. A file without tokens is good: nobody has
// access yet.
func Open(path string, o fresh.Options) (*Tokens, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	file, err := fresh.Open("API_TOKENS_FILE", path, take, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Tokens{file, o.Now}, nil
}

// take makes of a file what counts from now on.
func take(content []byte, info fs.FileInfo, held []Grant) ([]Grant, error) {
	// Digests may be read. Whoever can write them lets himself in.
	if info.Mode().Perm()&0o022 != 0 {
		return held, ErrPermission
	}
	there, err := parse(content)
	if err == nil {
		return there, nil
	}
	// A line that is being edited locks nobody else out, and a token that was
	// taken out in the same stroke is taken out.
	return slices.DeleteFunc(slices.Clone(held), func(g Grant) bool {
		return !slices.ContainsFunc(there, func(line Grant) bool { return line.Digest == g.Digest })
	}), err
}

// parse reads the good lines, and says which line is the first bad one. Empty
// ones and those that begin with # are skipped.
func parse(content []byte) (good []Grant, err error) {
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		g, fault := parseLine(fields)
		if fault == nil && slices.ContainsFunc(good, func(e Grant) bool { return e.Name == g.Name || e.Digest == g.Digest }) {
			fault = ErrTwice
		}
		switch {
		case fault == nil:
			good = append(good, g)
		case err == nil:
			err = fmt.Errorf("line %d: %w", n, fault)
		}
	}
	return good, err
}

func parseLine(fields []string) (g Grant, err error) {
	if len(fields) < 3 || len(fields) > 5 || !validName(fields[0]) || len(fields[1]) != 2*sha256.Size {
		return Grant{}, ErrLine
	}
	if _, err := hex.Decode(g.Digest[:], []byte(fields[1])); err != nil {
		return Grant{}, ErrLine // and not hex's, which quotes
	}
	g.Name, g.Scope = fields[0], Manage
	if fields[2] != "*" {
		for name := range strings.SplitSeq(fields[2], ",") {
			tenant, err := schemas.ParseTenant(name)
			if err != nil {
				return Grant{}, ErrLine
			}
			g.Tenants = append(g.Tenants, tenant)
		}
	}
	if len(fields) > 3 {
		if g.Scope, err = ParseScopes(strings.Split(fields[3], ",")); err != nil {
			return Grant{}, ErrLine
		}
	}
	if len(fields) > 4 {
		if g.Until, err = ParseUntil(fields[4]); err != nil {
			return Grant{}, ErrLine
		}
	}
	return g, nil
}

// ParseUntil reads the end of a token: a time, or a date of which the end in
// UTC counts.
func ParseUntil(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	return time.Time{}, ErrUntil
}

func validName(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}

// Grant returns what the token allows. The error is [ErrUnknown], or
// [ErrExpired] beside the grant.
func (t *Tokens) Grant(token schemas.Secret) (Grant, error) {
	if token == "" {
		return Grant{}, ErrUnknown
	}
	return t.ByDigest(sha256.Sum256([]byte(token.Reveal())))
}

// ByDigest is Grant for who has kept a token's digest. Every line is compared,
// so that the time tells nothing.
func (t *Tokens) ByDigest(d Digest) (Grant, error) {
	found := -1
	grants := t.file.Get()
	for i := range grants {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(d[:], grants[i].Digest[:]), i, found)
	}
	if found < 0 {
		return Grant{}, ErrUnknown
	}
	g := grants[found]
	if !g.Until.IsZero() && !t.now().Before(g.Until) {
		return g, ErrExpired
	}
	return g, nil
}
