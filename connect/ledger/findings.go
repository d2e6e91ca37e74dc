package ledger

import (
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Findings are the facts of the last look at a tenant's Halo, from which state
// and problems are judged. The ledger keeps them and reads none: a member may be
// added that an older instance passes over.
type Findings struct {
	At time.Time `json:"at,omitzero"` // when the webhook was last seen or found missing

	// Failure is why Halo could not be asked the last time; nil: it could.
	Failure *Failure `json:"failure,omitempty"`
	// Agents is why the list of agents could not be read the last time.
	Agents *Failure `json:"agents,omitempty"`

	Gone           bool           `json:"gone,omitempty"` // Halo does not have the webhook any more
	Inactive       bool           `json:"inactive,omitempty"`
	Elsewhere      bool           `json:"elsewhere,omitempty"` // it posts to another address
	AutoDisabledAt time.Time      `json:"auto_disabled_at,omitzero"`
	LastStatus     int            `json:"last_status,omitempty"` // HTTP status of its last delivery
	Events         []schemas.Kind `json:"events,omitempty"`      // bound to it

	// Failed is how many periodic checks in a row ended with Failure.
	Failed int `json:"failed,omitempty"`

	// SeenOff is AutoDisabledAt as it was when the webhook was last seen switched
	// on, or was switched on by us: a later one is Halo's doing.
	SeenOff time.Time `json:"seen_off,omitzero"`
	// Repairs are when we switched the webhook on again, of the last day.
	Repairs []time.Time `json:"repairs,omitempty"`
	// Corrected is when its address was last written anew.
	Corrected time.Time `json:"corrected,omitzero"`

	// Since is when each problem, by its code, was first seen.
	Since map[string]time.Time `json:"since,omitempty"`

	// SilentSince is the last delivery, where the silence since then is longer
	// than any of the two weeks before it.
	SilentSince time.Time `json:"silent_since,omitzero"`
}

// Failure is a failed call in the words of package halopsa: nothing in it comes
// from Halo.
type Failure struct {
	Cause   string `json:"cause"`
	Message string `json:"message"`
	Action  string `json:"action"`
}
