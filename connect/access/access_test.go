package access_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/schemas"
)

func TestATokenAllowsTheTenantsOfItsLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	all, err := access.NewToken(path, "ops", nil)
	if err != nil {
		t.Fatal(err)
	}
	some, err := access.NewToken(path, "portal", []schemas.Tenant{"acme", "globex"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := access.NewToken(path, "ops", nil); !errors.Is(err, access.ErrTaken) {
		t.Errorf("a second token of one name: %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), all.Reveal()) || strings.Contains(string(b), some.Reveal()) {
		t.Error("a token stands in the file")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v", info.Mode())
	}
	tokens, err := access.Open(path, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := tokens.Grant(all); !ok || g.Name != "ops" || !g.Allows("anything") {
		t.Errorf("Grant(ops) = %+v, %v", g, ok)
	}
	if g, ok := tokens.Grant(some); !ok || !g.Allows("globex") || g.Allows("initech") {
		t.Errorf("Grant(portal) = %+v, %v", g, ok)
	}
	for _, wrong := range []schemas.Secret{"", "hct_", all + "x", "ops"} {
		if _, ok := tokens.Grant(wrong); ok {
			t.Errorf("a wrong token of %d bytes is granted", len(wrong))
		}
	}
}

func TestARemovedLineRevokesItsTokenWithoutARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	lost, err := access.NewToken(path, "lost", nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	tokens, err := access.Open(path, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("# nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if _, ok := tokens.Grant(lost); ok {
		t.Error("a removed token is granted")
	}
	fresh, err := access.NewToken(path, "new", nil)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if _, ok := tokens.Grant(fresh); !ok {
		t.Error("a new token is refused")
	}
	// A file that is being edited locks nobody out.
	if err := os.WriteFile(path, []byte("half a line"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if _, ok := tokens.Grant(fresh); !ok {
		t.Error("a broken file locked everybody out")
	}
}

func TestTokensFilesThatAreRefused(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want error
	}{
		"a name alone":             {"ops\n", 0o600, access.ErrLine},
		"a digest that is short":   {"ops abcd\n", 0o600, access.ErrLine},
		"a tenant that is none":    {"ops " + hash + " Acme\n", 0o600, access.ErrLine},
		"a file others may change": {"ops " + hash + "\n", 0o622, access.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tokens")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := access.Open(path, time.Now, slog.New(slog.DiscardHandler))
			if !errors.Is(err, tt.want) {
				t.Errorf("Open = %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), hash) {
				t.Error("the error quotes the line")
			}
		})
	}
}
