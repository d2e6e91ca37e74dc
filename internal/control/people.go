package control

import (
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// User is a WorkSights user in a tenant's directory.
type User struct {
	ID    schemas.UserID `json:"user_id" minLength:"1" maxLength:"200" example:"u-1042"`
	Email string         `json:"email" nullable:"true" required:"false" maxLength:"320" example:"jane@acme.example" doc:"Compared without regard to case. Empty or null: nobody is matched to the user by e-mail"`
}

// Users is the answer of GET /users; its ETag goes into If-Match.
type Users struct {
	Users []User `json:"users"`
}

// UsersPatch is the body of PATCH /users.
type UsersPatch struct {
	Set    []User           `json:"set,omitempty" nullable:"true" doc:"Users that are added, or whose e-mail changes"`
	Remove []schemas.UserID `json:"remove,omitempty" nullable:"true" minLength:"1" maxLength:"200" doc:"Users that go; their mappings end now"`
}

// UsersChanged is the answer of PUT and PATCH /users.
type UsersChanged struct {
	Users int `json:"users" minimum:"0" doc:"How many users the directory has now"`
	Ended int `json:"ended" minimum:"0" doc:"How many mappings ended"`
}

// The states of an agent.
const (
	Matched   = "matched"   // mapped to a user
	Unmatched = "unmatched" // to be mapped by somebody
	Ignored   = "ignored"   // not to be mapped
)

// Why an agent is mapped to nobody.
const (
	NoEmail        = "no_email"        // Halo knows no e-mail of his
	NoUser         = "no_user"         // no user has his e-mail
	SharedEmail    = "shared_email"    // another agent has the same e-mail
	AmbiguousEmail = "ambiguous_email" // several users have his e-mail
	ByHand         = "by_hand"         // somebody said so
	Disabled       = "disabled"        // he is disabled in Halo
	APIAgent       = "api"             // he is a program
)

// Agent is a Halo agent and whom he is mapped to.
type Agent struct {
	ID          schemas.AgentID `json:"agent_id" example:"42"`
	Name        string          `json:"name"`
	Email       string          `json:"email"`
	State       string          `json:"state" enum:"matched,unmatched,ignored"`
	UserID      *schemas.UserID `json:"user_id" doc:"null where he is mapped to nobody"`
	Since       *time.Time      `json:"since" doc:"Since when he is mapped to the user"`
	Reason      string          `json:"reason,omitempty" enum:"no_email,no_user,shared_email,ambiguous_email,by_hand,disabled,api" doc:"Why he is not matched; absent where he is"`
	MatchedBy   string          `json:"matched_by,omitempty" enum:"email,hand" doc:"Absent where he is not matched"`
	Missing     bool            `json:"missing,omitempty" doc:"Halo's last full list had not him. His mapping stays"`
	Suggestions []Suggestion    `json:"suggestions,omitzero" maxItems:"3" doc:"Who he may be; only where he is unmatched, and not by hand"`
}

// Suggestion is a user who may be the agent.
type Suggestion struct {
	UserID     schemas.UserID `json:"user_id"`
	Email      string         `json:"email"`
	Confidence string         `json:"confidence" enum:"high,medium,low"`
	Because    string         `json:"because" doc:"In words"`
}

// Agents is the answer of GET /agents.
type Agents struct {
	Agents []Agent `json:"agents"`
	Next   string  `json:"next" doc:"The cursor of the next page; empty on the last"`
}

// The words of an [Assignment].
const (
	SetUnmatched = "unmatched" // mapped to nobody, until somebody says otherwise
	SetIgnored   = "ignored"   // not to be mapped, and no more asked about
	SetAutomatic = "automatic" // forget what was said by hand, and match
)

// Assignment says whom an agent is mapped to from now on: either a user, or one
// of the words.
type Assignment struct {
	Agent schemas.AgentID `json:"agent_id"`
	User  schemas.UserID  `json:"user_id,omitempty"`
	Set   string          `json:"set,omitempty"`
}

// Assigned is what became of one [Assignment].
type Assigned struct {
	Agent  schemas.AgentID `json:"agent_id"`
	State  string          `json:"state" doc:"matched, unmatched or ignored, as it is now; empty where no such agent is known"`
	UserID *schemas.UserID `json:"user_id"`
	Error  *Refusal        `json:"error,omitempty" doc:"Why it was not done; absent where it was"`
}

// BulkResults is the answer of PUT /agents/users: one result for each
// assignment, in the order in which they were sent.
type BulkResults struct {
	Results []Assigned `json:"results"`
}

// Interval is one span of an agent's mapping: From <= t < Until.
type Interval struct {
	UserID schemas.UserID `json:"user_id" doc:"Empty where the user was erased"`
	From   time.Time      `json:"from"`
	Until  *time.Time     `json:"until" doc:"null while it is open"`
	By     string         `json:"by,omitempty" doc:"The name of the token whose call it was, or connector; absent where it is not known"`
}

// History is the answer of GET /agents/{agent}/history, newest first.
type History struct {
	Intervals []Interval `json:"intervals"`
}

// Intervals is a mapping's history as it is shown: newest first.
func Intervals(m schemas.Mapping) []Interval {
	out := make([]Interval, 0, len(m.Intervals))
	for i := len(m.Intervals) - 1; i >= 0; i-- {
		iv := m.Intervals[i]
		shown := Interval{UserID: iv.User, From: iv.From, By: iv.By}
		if !iv.Until.IsZero() {
			shown.Until = &iv.Until
		}
		out = append(out, shown)
	}
	return out
}

// The states of an erasure.
const (
	ErasureRunning = "running"
	ErasureDone    = "done" // no row of it is in any view
)

// ErasureRequest is the body of POST /erasures.
type ErasureRequest struct {
	UserID schemas.UserID `json:"user_id" minLength:"1" maxLength:"200" example:"u-1042"`
}

// Erasure is the receipt of one.
type Erasure struct {
	ID     string         `json:"id"`
	UserID schemas.UserID `json:"user_id" doc:"Empty where the whole tenant was erased"`
	At     time.Time      `json:"at" doc:"What arrived before is erased, and never written again"`
	State  string         `json:"state" enum:"running,done"`
	Rows   int64          `json:"rows" minimum:"0" doc:"How many rows of the timeline went"`
	Stores []Store        `json:"stores"`
	// LeftInHalo is what could not be removed there.
	LeftInHalo []string `json:"left_in_halo,omitempty" doc:"What could not be removed from Halo, in words"`
}

// Store is a place in which something of the erased may lie, and until when.
type Store struct {
	Store  string     `json:"store" example:"halo.events" doc:"A topic's name, or clickhouse"`
	GoneBy *time.Time `json:"gone_by" doc:"When nothing of it is left there; null while that is not known"`
}

// Erasures is the answer of GET /erasures, newest first.
type Erasures struct {
	Erasures []Erasure `json:"erasures"`
}
