package control

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Query asks for a page of what happened to a tenant, newest first. What is
// zero filters nothing. Each list has its own clock: occurred_at for the
// timeline, received_at for events and deliveries, at for changes.
type Query struct {
	From, To time.Time // From inclusive, To exclusive
	User     schemas.UserID
	Agent    schemas.AgentID
	Ticket   uint64
	Outcome  string // OutcomeActivity or OutcomeSkip
	Reason   schemas.Reason
	Kind     schemas.Kind

	After *Position // only what comes after it in the answer; nil: from the newest on
	Limit int       // above 0
}

// Position is the place of a row in a list: its time by the list's clock, and
// its id where several have the same.
type Position struct {
	At time.Time // after 1970, milliseconds
	ID schemas.ID
}

// CursorPattern is what every cursor of a list of events, activities or changes
// is, and nothing else is.
const CursorPattern = "^[0-9a-f]{11}-[0-9a-f]{32}$"

// Cursor writes a position as a text that callers take as it is. It holds
// nothing else: the filters of a walk may change on the way.
func (p Position) Cursor() string {
	return fmt.Sprintf("%011x-%x", max(0, p.At.UnixMilli()), p.ID[:])
}

// ParseCursor reads what Cursor wrote. The error is [ErrCursor].
func ParseCursor(s string) (*Position, error) {
	at, id, _ := strings.Cut(s, "-")
	n, err := strconv.ParseUint(at, 16, 44)
	if err != nil || len(at) != 11 || len(id) != 32 || strings.ToLower(s) != s {
		return nil, ErrCursor
	}
	p := Position{At: time.UnixMilli(int64(n)).UTC()}
	if _, err := hex.Decode(p.ID[:], []byte(id)); err != nil {
		return nil, ErrCursor
	}
	return &p, nil
}

// UsersChange changes a tenant's directory of users.
type UsersChange struct {
	Replace bool   // Set is the whole directory
	Set     []User // no user twice
	Remove  []schemas.UserID
	// Ends is how many mappings the caller has said will end; -1 where he said
	// nothing.
	Ends int
	// Check is called with the directory as it is, ordered by user, before
	// anything else and in the tenant's turn. Its error ends the change.
	Check func(now []User) error
}

// The refusals that more than one place gives. They are compared by identity,
// as errors are, and are never changed.
var (
	ErrNotConnected  = Refuse(http.StatusNotFound, "not_connected", "The tenant has no connection. Connect it first.")
	ErrUnknownTenant = Refuse(http.StatusNotFound, "unknown_tenant", "Nothing is known of the tenant.")
	ErrUnknownAgent  = Refuse(http.StatusNotFound, "unknown_agent", "Halo listed no agent with this id. Refresh the connection if it is new.")
	ErrUnknownUser   = Refuse(http.StatusNotFound, "unknown_user", "The tenant's user directory has no such user. Put the users first.")
	ErrUnknownEvent  = Refuse(http.StatusNotFound, "unknown_event", "The tenant has no event with this id, or it has not been judged yet.")
	ErrCursor        = Refuse(http.StatusBadRequest, "bad_cursor", "cursor takes what next was in an earlier answer.")
	ErrSealed        = Refuse(http.StatusConflict, "sealed",
		"The tenant's record does not open with the keyset at hand. Bring back the key, or connect the tenant anew with replace_sealed.")
	ErrConnectedElsewhere = Refuse(http.StatusConflict, "connected_elsewhere",
		"The tenant is connected to another Halo. Disconnect it first.")
	ErrStandby = again(Refuse(http.StatusServiceUnavailable, "standby",
		"This instance is on standby. Ask the active one, or try again in a few seconds."))
	ErrNotKept = again(Refuse(http.StatusServiceUnavailable, "log_unavailable",
		"The change could not be kept. Try again in a few seconds."))
	ErrBusy = again(Refuse(http.StatusServiceUnavailable, "busy",
		"Another operation on this tenant is still under way. Try again in a minute."))
	ErrNoTimeline = again(Refuse(http.StatusServiceUnavailable, "timeline_unavailable",
		"The timeline cannot be read now. Try again in a few seconds."))
)

// again says that the caller may try again soon: an instance takes over, and an
// engine restarts, within seconds.
func again(r *Refusal) *Refusal {
	r.RetryAfter = 5 * time.Second
	return r
}
