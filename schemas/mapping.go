package schemas

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Mapping is the whole history of whom one agent was mapped to.
//
// The history is inside the value, so that compaction of the topic, which
// keeps the last record of a key, can never change the answer of a replay.
type Mapping struct {
	Tenant    Tenant     `json:"tenant"`
	Agent     AgentID    `json:"agent"`
	Intervals []Interval `json:"intervals"` // in order of time, not overlapping; only the last may be open
}

// Interval is one span of a mapping: From <= t < Until.
type Interval struct {
	User  UserID    `json:"user"` // empty in an ended interval whose user was erased
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"` // zero while the interval is open
	By    string    `json:"by,omitempty"`   // who began it: a token's name, or [ByConnector]; empty where that is not known
}

// ByConnector is who did what nobody asked for by name: a match by e-mail at a
// health check, a repair.
const ByConnector = "connector"

// Key is the record's key on the mappings topic.
func (m Mapping) Key() string { return string(AppendMappingKey(nil, m.Tenant, m.Agent)) }

// AppendMappingKey appends the key of a tenant's agent: "tenant/agent".
func AppendMappingKey(dst []byte, t Tenant, a AgentID) []byte {
	dst = append(dst, t...)
	dst = append(dst, '/')
	return strconv.AppendUint(dst, uint64(a), 10)
}

// ParseMappingKey splits a key of the mappings topic.
func ParseMappingKey(key string) (Tenant, AgentID, error) {
	tenant, agent, _ := strings.Cut(key, "/")
	n, err := strconv.ParseUint(agent, 10, 64)
	if err != nil || !validTenant(tenant) {
		return "", 0, fmt.Errorf("%w: key is not tenant/agent", ErrMalformed)
	}
	return Tenant(tenant), AgentID(n), nil
}

// At returns the user to whom the agent was mapped at the instant t. Of an
// interval whose user was erased that is "", and ok is true: the agent was
// mapped, and nobody may know to whom.
//
// The answer is only as fresh as the Mapping is: whoever judges an event first
// makes sure that its table holds everything acknowledged before the event
// arrived.
func (m Mapping) At(t time.Time) (UserID, bool) {
	for i := len(m.Intervals) - 1; i >= 0; i-- {
		iv := m.Intervals[i]
		if t.Before(iv.From) {
			continue
		}
		if iv.Until.IsZero() || t.Before(iv.Until) {
			return iv.User, true
		}
		return "", false
	}
	return "", false
}

// Current is the open interval, where there is one.
func (m Mapping) Current() (Interval, bool) {
	if n := len(m.Intervals); n > 0 && m.Intervals[n-1].Until.IsZero() {
		return m.Intervals[n-1], true
	}
	return Interval{}, false
}

// Assign returns the mapping with the agent mapped to user from the instant
// from on, and by whom. What was open is closed at that instant. Where user is
// the current one nothing changes: to map twice must not split an interval.
func (m Mapping) Assign(user UserID, from time.Time, by string) Mapping {
	if cur, ok := m.Current(); ok && cur.User == user {
		return m
	}
	m = m.Close(from)
	m.Intervals = append(m.Intervals, Interval{User: user, From: m.after(from), By: by})
	return m
}

// Close returns the mapping with its open interval ended at until. History is
// kept: closing is never a removal.
func (m Mapping) Close(until time.Time) Mapping {
	out := m
	out.Intervals = append([]Interval(nil), m.Intervals...)
	if n := len(out.Intervals); n > 0 && out.Intervals[n-1].Until.IsZero() {
		last := &out.Intervals[n-1]
		last.Until = Truncate(until)
		if last.Until.Before(last.From) {
			// Our clock stepped back since the interval was opened. It ends
			// empty rather than inverted.
			last.Until = last.From
		}
	}
	return out
}

// Erase returns the mapping without the user's id: what was open to him ends
// at the instant at, and each of his intervals keeps its times and names nobody.
func (m Mapping) Erase(user UserID, at time.Time) Mapping {
	if cur, ok := m.Current(); ok && cur.User == user {
		m = m.Close(at)
	} else {
		m.Intervals = append([]Interval(nil), m.Intervals...)
	}
	for i := range m.Intervals {
		if m.Intervals[i].User == user {
			m.Intervals[i].User = ""
		}
	}
	return m
}

// after is t, or the end of the last interval where a clock that stepped back
// would make the two overlap.
func (m Mapping) after(t time.Time) time.Time {
	t = Truncate(t)
	if n := len(m.Intervals); n > 0 && t.Before(m.Intervals[n-1].Until) {
		return m.Intervals[n-1].Until
	}
	return t
}

// AppendJSON appends the record's JSON form.
func (m Mapping) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.string("tenant", string(m.Tenant))
	w.uint("agent", uint64(m.Agent))
	w.name("intervals")
	w.b = append(w.b, '[')
	for i, iv := range m.Intervals {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.string("user", string(iv.User))
		w.time("from", iv.From)
		if !iv.Until.IsZero() {
			w.time("until", iv.Until)
		}
		if iv.By != "" {
			w.string("by", iv.By)
		}
		w.b = append(w.b, '}')
	}
	return append(w.b, ']', '}')
}

// ParseMapping reads a record of schema [MappingSchema]. Members that it does
// not know are ignored. Errors wrap [ErrMalformed].
//
// An instance reads all of them when it begins: two hundred thousand of ten
// thousand tenants, which is a second less by scanMapping.
func ParseMapping(b []byte) (Mapping, error) {
	m, ok := scanMapping(b)
	if !ok {
		m = Mapping{}
		if err := unmarshal(b, &m); err != nil {
			return Mapping{}, err
		}
	}
	if !validTenant(string(m.Tenant)) {
		return Mapping{}, missing("tenant")
	}
	if !m.Agent.Person() {
		return Mapping{}, missing("agent")
	}
	var end time.Time
	for i, iv := range m.Intervals {
		open := iv.Until.IsZero()
		if iv.User == "" && open || iv.From.Before(end) || !open && iv.Until.Before(iv.From) || open && i != len(m.Intervals)-1 {
			return Mapping{}, fmt.Errorf("%w: interval %d is out of order", ErrMalformed, i)
		}
		end = iv.Until
		m.Intervals[i].From, m.Intervals[i].Until = Truncate(iv.From), iv.Until
		if !open {
			m.Intervals[i].Until = Truncate(iv.Until)
		}
	}
	return m, nil
}

// scanMapping reads a record of the form that AppendJSON writes; ok is false for any
// other.
func scanMapping(b []byte) (m Mapping, ok bool) {
	s := scanner{b: b}
	s.literal(`{"tenant":"`)
	m.Tenant = Tenant(s.text())
	s.literal(`,"agent":`)
	m.Agent = AgentID(s.uint())
	s.literal(`,"intervals":[`)
	m.Intervals = []Interval{}
	for more := s.follows(`{"user":"`); more && !s.failed; more = s.follows(`,{"user":"`) {
		iv := Interval{User: UserID(s.text())}
		s.literal(`,"from":"`)
		iv.From = s.time()
		s.literal(`"`)
		if s.follows(`,"until":"`) {
			iv.Until = s.time()
			s.literal(`"`)
		}
		if s.follows(`,"by":"`) {
			if by := s.text(); string(by) == ByConnector {
				iv.By = ByConnector // most of them, and one string
			} else {
				iv.By = string(by)
			}
		}
		s.literal(`}`)
		m.Intervals = append(m.Intervals, iv)
	}
	s.literal(`]}`)
	return m, s.ended()
}

// unmarshal hides encoding/json's errors, which quote values.
func unmarshal(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %T", ErrMalformed, v)
	}
	return nil
}
