package schemas

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// Erasure says that a person, or a whole tenant, is forgotten: nothing of them
// that arrived before At is written again, whatever topic is replayed. Events
// that arrive later count, for somebody who was erased may come back.
//
// The erasures are the one place that keeps the bare user id: without it nobody
// could tell whom a replay must leave out.
type Erasure struct {
	Tenant Tenant    `json:"tenant"`
	User   UserID    `json:"user"` // empty: the whole tenant
	At     time.Time `json:"at"`   // of the last of Receipts

	// Receipts are the erasures of this person or tenant, in order of time.
	// Like a mapping's history they are inside the value, so that compaction
	// loses none. Omitted where there is none.
	Receipts []Receipt `json:"receipts,omitempty"`
}

// Receipt is what became of one erasure that was asked for.
type Receipt struct {
	ID   ID        `json:"id"`
	At   time.Time `json:"at"`
	Done time.Time `json:"done,omitzero"` // when no view had a row left; zero while it runs
	Rows uint64    `json:"rows"`          // that were removed from ClickHouse
	// LeftInHalo says in words what could not be removed there.
	LeftInHalo []string `json:"left_in_halo,omitempty"`
}

// NewReceipt begins an erasure. Its id follows from what is erased and when.
func NewReceipt(t Tenant, u UserID, at time.Time) Receipt {
	r := Receipt{At: Truncate(at)}
	sum := sha256.Sum256(fmt.Appendf(nil, "halo.erasure\x00%s\x00%s\x00%d", t, u, r.At.UnixMilli()))
	copy(r.ID[:], sum[:])
	return r
}

// Key is the record's key on the erasures topic: "tenant", or "tenant/user".
func (e Erasure) Key() string { return ErasureKey(e.Tenant, e.User) }

// ErasureKey is the key under which the erasure of a tenant's user, or with ""
// of the tenant, is found.
func ErasureKey(t Tenant, u UserID) string {
	if u == "" {
		return string(t)
	}
	return string(t) + "/" + string(u)
}

// Covers says whether what arrived at the instant t is erased.
func (e Erasure) Covers(t time.Time) bool { return t.Before(e.At) }

// AppendJSON appends the record's JSON form.
func (e Erasure) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.string("tenant", string(e.Tenant))
	w.string("user", string(e.User))
	w.time("at", e.At)
	if len(e.Receipts) == 0 {
		return append(w.b, '}')
	}
	w.name("receipts")
	w.b = append(w.b, '[')
	for i, r := range e.Receipts {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.id("id", r.ID)
		w.time("at", r.At)
		if !r.Done.IsZero() {
			w.time("done", r.Done)
		}
		w.uint("rows", r.Rows)
		for j, left := range r.LeftInHalo {
			if j == 0 {
				w.name("left_in_halo")
				w.b = append(w.b, '[')
			} else {
				w.b = append(w.b, ',')
			}
			w.b = appendString(w.b, left)
		}
		if len(r.LeftInHalo) > 0 {
			w.b = append(w.b, ']')
		}
		w.b = append(w.b, '}')
	}
	return append(w.b, ']', '}')
}

// MarshalJSON is AppendJSON, so that there is one form only.
func (e Erasure) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// ParseErasure reads a record of schema [ErasureSchema]. Members that it does
// not know are ignored. Errors wrap [ErrMalformed].
func ParseErasure(b []byte) (Erasure, error) {
	var e Erasure
	if err := unmarshal(b, &e); err != nil {
		return Erasure{}, err
	}
	switch {
	case !validTenant(string(e.Tenant)):
		return Erasure{}, missing("tenant")
	case e.At.IsZero():
		return Erasure{}, missing("at")
	}
	e.At = Truncate(e.At)
	for i, r := range e.Receipts {
		if r.ID == (ID{}) || r.At.IsZero() {
			return Erasure{}, fmt.Errorf("%w: receipt %d", ErrMalformed, i)
		}
		e.Receipts[i].At = Truncate(r.At)
		if !r.Done.IsZero() {
			e.Receipts[i].Done = Truncate(r.Done)
		}
	}
	return e, nil
}

// ParseErasureKey splits a key of the erasures topic.
func ParseErasureKey(key string) (Tenant, UserID, error) {
	tenant, user, person := strings.Cut(key, "/")
	if !validTenant(tenant) || person && user == "" {
		return "", "", fmt.Errorf("%w: key is not tenant or tenant/user", ErrMalformed)
	}
	return Tenant(tenant), UserID(user), nil
}
