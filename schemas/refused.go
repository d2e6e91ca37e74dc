package schemas

import (
	"fmt"
	"slices"
	"time"
)

// Refused is a delivery to a known connection of which nothing, or not all,
// could be used. It answers "did Halo call us, and what was wrong": sizes and
// names of fields, never a value.
type Refused struct {
	Tenant     Tenant       `json:"tenant"`
	Connection ConnectionID `json:"connection"`
	At         time.Time    `json:"at"`
	Result     Refusal      `json:"result"`
	Items      int          `json:"items"`  // found in the body; 0 where it was not read
	Bytes      int64        `json:"bytes"`  // of the body as sent; 0 where it was not read
	Fields     []string     `json:"fields"` // of the vendor's known vocabulary only
}

// Refusal is why a delivery was refused.
type Refusal string

// The refusals. [RefusedUndecodable] is a delivery that was answered 200 and
// has at least one item without a ticket.
const (
	RefusedMalformed    Refusal = "malformed"
	RefusedTooLarge     Refusal = "too_large"
	RefusedRateLimited  Refusal = "rate_limited"
	RefusedUnavailable  Refusal = "unavailable"
	RefusedUnauthorized Refusal = "unauthorized"
	RefusedUndecodable  Refusal = "undecodable"
)

// DeliveryRefusals are all of them, in the order of the constants.
func DeliveryRefusals() []Refusal {
	return []Refusal{
		RefusedMalformed, RefusedTooLarge, RefusedRateLimited, RefusedUnavailable, RefusedUnauthorized, RefusedUndecodable,
	}
}

// AppendJSON appends the record's JSON form.
func (r Refused) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.string("tenant", string(r.Tenant))
	w.string("connection", string(r.Connection))
	w.time("at", r.At)
	w.string("result", string(r.Result))
	w.int("items", int64(r.Items))
	w.int("bytes", r.Bytes)
	w.name("fields")
	w.b = append(w.b, '[')
	for i, f := range r.Fields {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = appendString(w.b, f)
	}
	return append(w.b, ']', '}')
}

// MarshalJSON is AppendJSON, so that there is one form only.
func (r Refused) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// ParseRefused reads a record of schema [RefusedSchema]. Members that it does
// not know are ignored. Errors wrap [ErrMalformed].
func ParseRefused(b []byte) (Refused, error) {
	var r Refused
	if err := unmarshal(b, &r); err != nil {
		return Refused{}, err
	}
	switch {
	case !validTenant(string(r.Tenant)):
		return Refused{}, missing("tenant")
	case r.At.IsZero():
		return Refused{}, missing("at")
	case !slices.Contains(DeliveryRefusals(), r.Result):
		return Refused{}, fmt.Errorf("%w: result is no refusal", ErrMalformed)
	case r.Items < 0 || r.Bytes < 0:
		return Refused{}, fmt.Errorf("%w: a size below 0", ErrMalformed)
	}
	if _, err := ParseConnectionID(string(r.Connection)); err != nil {
		return Refused{}, err
	}
	r.At = Truncate(r.At)
	return r, nil
}
