package access_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/schemas"
)

// door is a tokens file, what reads it, and a clock.
type door struct {
	*testing.T
	path   string
	now    time.Time
	tokens *access.Tokens
}

// line is a line of the file that gives the token what fields say.
func line(name string, token schemas.Secret, fields string) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return name + " " + hex.EncodeToString(sum[:]) + " " + fields + "\n"
}

func newDoor(t *testing.T, content string) *door {
	t.Helper()
	d := &door{T: t, path: filepath.Join(t.TempDir(), "tokens"), now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)}
	d.write(content)
	var err error
	if d.tokens, err = access.Open(d.path, fresh.Options{Now: func() time.Time { return d.now }}); err != nil {
		t.Fatal(err)
	}
	return d
}

// write puts a content into the file and lets two seconds pass.
func (d *door) write(content string) {
	d.Helper()
	if err := os.WriteFile(d.path, []byte(content), 0o600); err != nil {
		d.Fatal(err)
	}
	d.now = d.now.Add(2 * time.Second)
}

func (d *door) want(token schemas.Secret, want error) access.Grant {
	d.Helper()
	g, err := d.tokens.Grant(token)
	if !errors.Is(err, want) {
		d.Errorf("Grant(%s) = %+v, %v; want %v", token.Reveal(), g, err, want)
	}
	return g
}

func TestATokenAllowsWhatItsLineSaysAndOthersNothing(t *testing.T) {
	d := newDoor(t, "# ours\n"+line("ops", "t-ops", "*")+"\n"+line("portal", "t-portal", "acme,globex read,map")+
		line("guest", "t-guest", "acme read 2026-12-01")+line("past", "t-past", "* manage 2026-12-01T11:59:59Z"))
	if g := d.want("t-ops", nil); g.Name != "ops" || !g.Allows("anything") || g.Scope != access.Manage {
		t.Errorf("ops: %+v", g)
	}
	if g := d.want("t-portal", nil); !g.Allows("globex") || g.Allows("initech") || g.Scope != access.Map {
		t.Errorf("portal: %+v", g)
	}
	if g := d.want("t-guest", nil); g.Scope != access.Read {
		t.Errorf("guest: %+v", g)
	}
	if g := d.want("t-past", access.ErrExpired); g.Name != "past" {
		t.Errorf("nobody can say whose token ended: %+v", g)
	}
	for _, wrong := range []schemas.Secret{"", "t", "t-opsx", "ops"} {
		d.want(wrong, access.ErrUnknown)
	}
	// A date ends with its day.
	d.now = time.Date(2026, 12, 1, 23, 59, 59, 0, time.UTC)
	d.want("t-guest", nil)
	d.now = d.now.Add(time.Second)
	d.want("t-guest", access.ErrExpired)
}

func TestABadLineLetsNobodyInAndKeepsNobodyIn(t *testing.T) {
	a, b, c := line("a", "t-a", "*"), line("b", "t-b", "*"), line("c", "t-c", "*")
	d := newDoor(t, a+b)
	d.write(a + c + "half a line\n")
	d.want("t-a", nil)
	d.want("t-b", access.ErrUnknown) // taken out in the same stroke
	d.want("t-c", access.ErrUnknown) // new
	d.write(strings.Replace(a, "*", "acme", 1) + "half a line\n")
	if g := d.want("t-a", nil); !g.Allows("globex") {
		t.Error("something new was taken from a file with a bad line")
	}
	d.write(a + c)
	d.want("t-c", nil)
	if err := os.Remove(d.path); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(2 * time.Second)
	d.want("t-a", nil) // a file that is being replaced
	d.write("# nobody\n")
	d.want("t-a", access.ErrUnknown)
}

func TestTokensFilesThatAreRefused(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want error
	}{
		"a name alone":                 {"ops\n", 0o600, access.ErrLine},
		"no tenants":                   {"ops " + hash + "\n", 0o600, access.ErrLine},
		"a digest that is short":       {"ops abcd *\n", 0o600, access.ErrLine},
		"a digest that is none":        {"ops " + strings.Repeat("x", 64) + " *\n", 0o600, access.ErrLine},
		"a tenant that is none":        {"ops " + hash + " Acme\n", 0o600, access.ErrLine},
		"all tenants and one":          {"ops " + hash + " *,acme\n", 0o600, access.ErrLine},
		"a scope that is none":         {"ops " + hash + " * write\n", 0o600, access.ErrLine},
		"no scope between commas":      {"ops " + hash + " * read,,map\n", 0o600, access.ErrLine},
		"an end that is none":          {"ops " + hash + " * read soon\n", 0o600, access.ErrLine},
		"a word too many":              {"ops " + hash + " * read 2027-01-01 x\n", 0o600, access.ErrLine},
		"a name twice":                 {"ops " + hash + " *\nops " + strings.Repeat("cd", 32) + " *\n", 0o600, access.ErrTwice},
		"a token twice":                {"ops " + hash + " *\nother " + hash + " *\n", 0o600, access.ErrTwice},
		"a file that others may write": {"ops " + hash + " *\n", 0o622, access.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tokens")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := access.Open(path, fresh.Options{})
			if !errors.Is(err, tt.want) {
				t.Errorf("Open = %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), hash) {
				t.Error("the error quotes the line")
			}
		})
	}
}

func TestATokenIsMadeOnceListedAndRevoked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	until := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	all, err := access.New(path, access.Grant{Name: "ops"})
	if err != nil {
		t.Fatal(err)
	}
	some, err := access.New(path, access.Grant{Name: "portal", Tenants: []schemas.Tenant{"acme", "globex"}, Scope: access.Read, Until: until})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(b), all.Reveal()) || strings.Contains(string(b), some.Reveal()) {
		t.Errorf("the file holds a token, or cannot be read: %v", err)
	}
	if _, err := access.New(path, access.Grant{Name: "ops"}); !errors.Is(err, access.ErrTaken) {
		t.Errorf("a name was taken twice: %v", err)
	}
	if _, err := access.New(path, access.Grant{Name: "two words"}); !errors.Is(err, access.ErrName) {
		t.Errorf("New with a bad name: %v", err)
	}
	tokens, err := access.Open(path, fresh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := tokens.Grant(some)
	if err != nil || g.Name != "portal" || g.Scope != access.Read || !g.Until.Equal(until) || g.Allows("initech") {
		t.Errorf("Grant = %+v, %v", g, err)
	}
	if list, err := access.List(path); err != nil || len(list) != 2 || list[1].Name != "portal" {
		t.Errorf("List = %+v, %v", list, err)
	}
	if err := access.Revoke(path, "stranger"); !errors.Is(err, access.ErrNone) {
		t.Errorf("Revoke of none = %v", err)
	}
	if err := access.Revoke(path, "ops"); err != nil {
		t.Fatal(err)
	}
	if list, err := access.List(path); err != nil || len(list) != 1 || list[0].Name != "portal" {
		t.Errorf("after a revocation %+v, %v", list, err)
	}
}
