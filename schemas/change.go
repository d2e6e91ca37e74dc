package schemas

import (
	"crypto/sha256"
	"time"
)

// Change says who changed what of a tenant, and what happened to it. It names
// nobody: by is the name of a token, agent and user are ids.
type Change struct {
	ID      ID         `json:"id"` // derived from all else: see [Change.Identify]
	Tenant  Tenant     `json:"tenant"`
	At      time.Time  `json:"at"`
	By      string     `json:"by"` // a token's name, or [ByConnector]
	Change  ChangeKind `json:"change"`
	Agent   AgentID    `json:"agent"`   // 0 where none
	User    UserID     `json:"user"`    // empty where none
	State   string     `json:"state"`   // of the connection, from now on; empty where it did not turn
	Problem string     `json:"problem"` // its code; empty where none
	Result  string     `json:"result"`  // "ok", or the code of the error with which it was refused
}

// ChangeKind is what was done, or what happened.
type ChangeKind string

// What people do, and what happens by itself.
const (
	ChangeConnect       ChangeKind = "connect"
	ChangeRefresh       ChangeKind = "refresh"
	ChangeReconnect     ChangeKind = "reconnect"
	ChangeDisconnect    ChangeKind = "disconnect"
	ChangeMap           ChangeKind = "map"
	ChangeUnmap         ChangeKind = "unmap"
	ChangeIgnore        ChangeKind = "ignore"
	ChangeAutomatic     ChangeKind = "automatic" // to matching by e-mail
	ChangeUsers         ChangeKind = "users"
	ChangeErase         ChangeKind = "erase"
	ChangeState         ChangeKind = "state"
	ChangeProblemOpened ChangeKind = "problem_opened"
	ChangeProblemClosed ChangeKind = "problem_closed"
	ChangeRepaired      ChangeKind = "repaired"
)

// ChangeKinds are all of them, in the order of the constants.
func ChangeKinds() []ChangeKind {
	return []ChangeKind{
		ChangeConnect, ChangeRefresh, ChangeReconnect, ChangeDisconnect, ChangeMap, ChangeUnmap, ChangeIgnore, ChangeAutomatic, ChangeUsers, ChangeErase,
		ChangeState, ChangeProblemOpened, ChangeProblemClosed, ChangeRepaired,
	}
}

// Identify returns the change with the id that follows from the rest of it, so
// that a write that is repeated is the same change.
func (c Change) Identify() Change {
	c.ID, c.At = ID{}, Truncate(c.At)
	sum := sha256.Sum256(append([]byte("halo.change\x00"), c.AppendJSON(nil)...))
	copy(c.ID[:], sum[:])
	return c
}

// AppendJSON appends the record's JSON form.
func (c Change) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.id("id", c.ID)
	w.string("tenant", string(c.Tenant))
	w.time("at", c.At)
	w.string("by", c.By)
	w.string("change", string(c.Change))
	w.uint("agent", uint64(c.Agent))
	w.string("user", string(c.User))
	w.string("state", c.State)
	w.string("problem", c.Problem)
	w.string("result", c.Result)
	return append(w.b, '}')
}

// MarshalJSON is AppendJSON, so that there is one form only.
func (c Change) MarshalJSON() ([]byte, error) { return c.AppendJSON(nil), nil }

// ParseChange reads a record of schema [ChangeSchema]. Members that it does not
// know are ignored, and so are words of a later version. Errors wrap
// [ErrMalformed].
func ParseChange(b []byte) (Change, error) {
	var c Change
	if err := unmarshal(b, &c); err != nil {
		return Change{}, err
	}
	switch {
	case c.ID == ID{}:
		return Change{}, missing("id")
	case !validTenant(string(c.Tenant)):
		return Change{}, missing("tenant")
	case c.At.IsZero():
		return Change{}, missing("at")
	case c.Change == "":
		return Change{}, missing("change")
	}
	c.At = Truncate(c.At)
	return c, nil
}
