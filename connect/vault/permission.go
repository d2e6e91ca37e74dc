package vault

import (
	"io/fs"
	"os"
	"syscall"
)

// readableByOthers says whether a keyset file of this mode may be read by
// people whom it does not concern.
//
// Its owner alone may read it. One exception: a file of root that one group may
// read, for a process that is not root. Kubernetes mounts secrets so, and has no
// other way to hand one to a process that is not root. Who could add himself to
// the group could read the file in any case.
func readableByOthers(mode fs.FileMode, owner, self int) bool {
	if owner == 0 && self != 0 {
		return mode.Perm()&0o037 != 0
	}
	return mode.Perm()&0o077 != 0
}

// ownerOf is the user id of the file's owner; -1 where the system has none.
func ownerOf(info os.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
