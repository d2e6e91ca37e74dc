package schemas

import "time"

// Reached says that Halo reached the edge with the right secret and had nothing to
// tell: somebody has pressed a test button. It is no delivery of an event, and the
// way is open all the same. At most one a minute and connection is written.
type Reached struct {
	Tenant     Tenant       `json:"tenant"`
	Connection ConnectionID `json:"connection"`
	At         time.Time    `json:"at"` // when it arrived
}

// AppendJSON appends the record's JSON form.
func (r Reached) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.string("tenant", string(r.Tenant))
	w.string("connection", string(r.Connection))
	w.time("at", r.At)
	return append(w.b, '}')
}

// MarshalJSON is AppendJSON, so that there is one form only.
func (r Reached) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// ParseReached reads a record of schema [ReachedSchema]. Members that it does not
// know are ignored. Errors wrap [ErrMalformed].
func ParseReached(b []byte) (Reached, error) {
	var r Reached
	if err := unmarshal(b, &r); err != nil {
		return Reached{}, err
	}
	switch {
	case !validTenant(string(r.Tenant)):
		return Reached{}, missing("tenant")
	case r.At.IsZero():
		return Reached{}, missing("at")
	}
	if _, err := ParseConnectionID(string(r.Connection)); err != nil {
		return Reached{}, err
	}
	r.At = Truncate(r.At)
	return r, nil
}
