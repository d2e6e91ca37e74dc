package vault

import (
	"io/fs"
	"testing"
)

func TestAKeysetIsForItsOwnerAloneOrIsRootsForOneGroup(t *testing.T) {
	for _, c := range []struct {
		about       string
		mode        fs.FileMode
		owner, self int
		refused     bool
	}{
		{"our own file", 0o600, 65532, 65532, false},
		{"our own file, and a group reads it", 0o640, 65532, 65532, true},
		{"root's file for root", 0o600, 0, 0, false},
		{"root's file for root, and a group reads it", 0o640, 0, 0, true},
		{"a secret that Kubernetes mounted", 0o440, 0, 65532, false},
		{"root's file that a group may write", 0o660, 0, 65532, true},
		{"root's file that everybody reads", 0o444, 0, 65532, true},
		{"another user's file that our group reads", 0o440, 1000, 65532, true},
		{"a system without owners", 0o440, -1, 65532, true},
	} {
		if got := readableByOthers(c.mode, c.owner, c.self); got != c.refused {
			t.Errorf("%s: refused %v, want %v", c.about, got, c.refused)
		}
	}
}
