package schemas

import "time"

// Skip is an event that made no activity, with the reason.
type Skip struct {
	ID         ID        `json:"id"` // the event's
	Tenant     Tenant    `json:"tenant"`
	Kind       Kind      `json:"kind"` // empty where it is not known
	Ticket     uint64    `json:"ticket"`
	Agent      AgentID   `json:"agent"` // whom the event would have been credited to; 0 where nobody
	Reason     Reason    `json:"reason"`
	EventTime  time.Time `json:"event_time"`
	OccurredAt time.Time `json:"occurred_at"`
	ReceivedAt time.Time `json:"received_at"`
}

// AppendJSON appends the record's JSON form.
func (s Skip) AppendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.id("id", s.ID)
	w.string("tenant", string(s.Tenant))
	s.middle(&w)
	w.time("event_time", s.EventTime)
	w.time("occurred_at", s.OccurredAt)
	w.time("received_at", s.ReceivedAt)
	return append(w.b, '}')
}

func (s *Skip) middle(w *writer) {
	w.string("kind", string(s.Kind))
	w.uint("ticket", s.Ticket)
	w.uint("agent", uint64(s.Agent))
	w.string("reason", string(s.Reason))
}

// MarshalJSON is AppendJSON, so that there is one form only.
func (s Skip) MarshalJSON() ([]byte, error) { return s.AppendJSON(nil), nil }

// UnmarshalJSON is ParseSkip.
func (s *Skip) UnmarshalJSON(b []byte) (err error) {
	*s, err = ParseSkip(b)
	return err
}

// ParseSkip reads a record of schema [SkipSchema]. Members that it does not
// know are ignored. Errors wrap [ErrMalformed].
func ParseSkip(b []byte) (Skip, error) { return new(Parser).Skip(b) }

// parseSkip reads a record however its JSON is written.
func parseSkip(b []byte) (Skip, error) {
	s := Skip{EventTime: Epoch}
	r := reader{b: b}
	err := r.members(func(name, v []byte) {
		switch string(name) {
		case "id":
			s.ID = r.id("id", v)
		case "tenant":
			s.Tenant = r.tenant(v)
		case "kind":
			s.Kind = enum(&r, "kind", v, kinds[:])
		case "ticket":
			s.Ticket = r.uint("ticket", v)
		case "agent":
			s.Agent = AgentID(r.uint("agent", v))
		case "reason":
			s.Reason = enum(&r, "reason", v, reasons[:])
		case "event_time":
			s.EventTime = r.time("event_time", v)
		case "occurred_at":
			s.OccurredAt = r.time("occurred_at", v)
		case "received_at":
			s.ReceivedAt = r.time("received_at", v)
		}
	})
	if err == nil {
		err = s.complete()
	}
	if err != nil {
		return Skip{}, err
	}
	return s, nil
}

func (s *Skip) complete() error {
	switch {
	case s.ID == ID{}:
		return missing("id")
	case s.Tenant == "":
		return missing("tenant")
	case s.Reason == "":
		return missing("reason")
	case s.ReceivedAt.IsZero():
		return missing("received_at")
	case s.OccurredAt.IsZero():
		return missing("occurred_at")
	}
	return nil
}
