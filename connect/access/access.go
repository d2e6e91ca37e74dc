// Package access knows who may call the control API.
//
// It promises that a token is stored nowhere: the file holds its digest, and
// the program that makes one prints it once. Comparing costs the same time for
// every token, right or wrong. A file that changed is taken up within a second
// and without a restart, so that a lost token is revoked by removing its line.
package access

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// The ways in which a tokens file or a new token is refused.
var (
	ErrPermission = errors.New("the tokens file can be written by others; set its mode to 0600")
	ErrLine       = errors.New("want: name sha256-hex [tenant,tenant…]")
	ErrName       = errors.New("a token's name is 1 to 63 characters of letters, digits, '_', '-' and '.'")
	ErrTaken      = errors.New("a token of that name exists already")
)

// Grant is what a token allows.
type Grant struct {
	Name    string           // of the token, for the audit log
	Tenants []schemas.Tenant // those it may see; none: all
}

// Allows reports whether the token may see the tenant.
func (g Grant) Allows(t schemas.Tenant) bool {
	return len(g.Tenants) == 0 || slices.Contains(g.Tenants, t)
}

type entry struct {
	hash  [sha256.Size]byte
	grant Grant
}

// lookEvery bounds how often the file is looked at.
const lookEvery = time.Second

// Tokens are the tokens of a file. They may be used by several goroutines at
// once.
type Tokens struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	entries []entry
	file    os.FileInfo
	looked  time.Time
}

// Open reads the tokens file. Errors wrap [ErrPermission], [ErrLine] or the
// file system's. A file without tokens is good: nobody has access yet.
func Open(path string, now func() time.Time, log *slog.Logger) (*Tokens, error) {
	t := &Tokens{path: path, now: now, log: log, looked: now()}
	if err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tokens) load() error {
	f, err := os.Open(t.path)
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	defer f.Close()
	// Of the file that is read, and before it is: were it the other way round, a
	// line removed in between would be taken for one that was seen to go, and its
	// token would stay good until the file changes again.
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	// Digests may be read. Whoever can write them lets himself in.
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: %w", t.path, ErrPermission)
	}
	entries, err := parse(b)
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	t.entries, t.file = entries, info
	return nil
}

// parse reads the lines; empty ones and those that begin with # are skipped.
func parse(b []byte) ([]entry, error) {
	var entries []entry
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		e, ok := parseLine(fields)
		if !ok {
			return nil, fmt.Errorf("line %d: %w", n, ErrLine)
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
}

func parseLine(fields []string) (e entry, ok bool) {
	if len(fields) < 2 || len(fields) > 3 || !validName(fields[0]) || len(fields[1]) != 2*sha256.Size {
		return entry{}, false
	}
	if _, err := hex.Decode(e.hash[:], []byte(fields[1])); err != nil {
		return entry{}, false
	}
	e.grant.Name = fields[0]
	if len(fields) == 3 {
		for name := range strings.SplitSeq(strings.Trim(fields[2], "[]"), ",") {
			tenant, err := schemas.ParseTenant(name)
			if err != nil {
				return entry{}, false
			}
			e.grant.Tenants = append(e.grant.Tenants, tenant)
		}
	}
	return e, true
}

func validName(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}

// Grant returns what the token allows; ok is false where no line has it. Every
// line is compared, so that the time tells nothing.
func (t *Tokens) Grant(token schemas.Secret) (g Grant, ok bool) {
	sum := sha256.Sum256([]byte(token.Reveal()))
	found := -1
	entries := t.current()
	for i := range entries {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], entries[i].hash[:]), i, found)
	}
	if found < 0 || token == "" {
		return Grant{}, false
	}
	return entries[found].grant, true
}

func (t *Tokens) current() []entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.looked) < lookEvery {
		return t.entries
	}
	t.looked = now
	info, err := os.Stat(t.path)
	if err == nil && os.SameFile(info, t.file) && info.ModTime().Equal(t.file.ModTime()) && info.Size() == t.file.Size() {
		return t.entries
	}
	if err == nil {
		err = t.load()
	}
	if err != nil {
		t.log.Warn("the tokens file changed and cannot be used, going on with the tokens at hand", "err", err)
		return t.entries
	}
	t.log.Info("tokens taken up", "tokens", len(t.entries))
	return t.entries
}

// NewToken draws a token of 256 bits, appends its line to the file, which is
// made with mode 0600 where there is none, and returns the token: the one time
// that it can be seen. Without tenants it allows all of them.
func NewToken(path, name string, tenants []schemas.Tenant) (schemas.Secret, error) {
	if !validName(name) {
		return "", ErrName
	}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("tokens: %w", err)
	}
	there, err := parse(b)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	for _, e := range there {
		if e.grant.Name == name {
			return "", ErrTaken
		}
	}
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	token := "hct_" + base64.RawURLEncoding.EncodeToString(raw[:])
	sum := sha256.Sum256([]byte(token))
	line := name + " " + hex.EncodeToString(sum[:])
	names := make([]string, len(tenants))
	for i, t := range tenants {
		names[i] = string(t)
	}
	if len(names) > 0 {
		line += " " + strings.Join(names, ",")
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		line = "\n" + line
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return "", fmt.Errorf("tokens: %w", err)
	}
	_, err = f.WriteString(line + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("tokens: %w", err)
	}
	return schemas.Secret(token), nil
}
