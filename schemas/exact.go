package schemas

import (
	"bytes"
	"strconv"
	"time"
)

// Parser reads the three records that pass once per event. It remembers the
// strings that it has met, which are few (tenants, connections, users), so that
// a record costs none of its own. The zero Parser remembers nothing. It must
// not be used concurrently.
type Parser struct{ met map[string]string }

// NewParser returns a parser that remembers.
func NewParser() *Parser { return &Parser{met: make(map[string]string)} }

// maxMet bounds what a parser remembers: some ten megabytes. Then it begins anew.
const maxMet = 100_000

func (p *Parser) string(b []byte) string {
	if p.met == nil {
		return string(b)
	}
	if s, ok := p.met[string(b)]; ok {
		return s
	}
	if len(p.met) >= maxMet {
		clear(p.met)
	}
	s := string(b)
	p.met[s] = s
	return s
}

// Event is [ParseEvent]. exact says that b is, byte for byte, what AppendJSON
// writes of the event: it holds nothing else.
func (p *Parser) Event(b []byte) (e Event, exact bool, err error) {
	s := scanner{b: b}
	s.literal(`{"id":"`)
	e.ID = s.id()
	s.literal(`","tenant":"`)
	tenant := s.text()
	s.literal(`,"connection":"`)
	connection := s.text()
	s.literal(`,"kind":"`)
	e.Kind = scanWord(&s, kinds[:])
	s.literal(`,"ticket":`)
	e.Ticket = s.uint()
	s.literal(`,"assignee":`)
	e.Assignee = AgentID(s.uint())
	s.literal(`,"actor":`)
	e.Actor = AgentID(s.uint())
	s.literal(`,"actor_type":"`)
	e.ActorType = scanWord(&s, actorTypes[:])
	s.literal(`,"envelope_agent":`)
	e.EnvelopeAgent = AgentID(s.uint())
	s.literal(`,"status":`)
	e.Status = s.int32()
	s.literal(`,"action":`)
	e.Action = s.uint()
	s.literal(`,"refusal":"`)
	e.Refusal = scanWord(&s, refusals[:])
	e.EventTime, e.OccurredAt, e.ReceivedAt = s.times()
	if !s.ended() {
		e, err = parseEvent(b)
		return e, err == nil && bytes.Equal(e.AppendJSON(nil), b), err
	}
	if !validTenant(tenant) {
		return Event{}, false, missing("tenant")
	}
	e.Tenant, e.Connection = Tenant(p.string(tenant)), ConnectionID(p.string(connection))
	if err := e.complete(); err != nil {
		return Event{}, false, err
	}
	return e, true, nil
}

// Activity is [ParseActivity].
func (p *Parser) Activity(b []byte) (Activity, error) {
	var a Activity
	s := scanner{b: b}
	s.literal(`{"id":"`)
	a.ID = s.id()
	s.literal(`","tenant":"`)
	tenant := s.text()
	s.literal(`,"user":"`)
	user := s.text()
	s.literal(`,"category":"`)
	a.Category = scanWord(&s, categories[:])
	s.literal(`,"kind":"`)
	a.Kind = scanWord(&s, kinds[:])
	s.literal(`,"weight":`)
	a.Weight = s.float32()
	s.literal(`,"ticket":`)
	a.Ticket = s.uint()
	s.literal(`,"agent":`)
	a.Agent = AgentID(s.uint())
	s.literal(`,"credited_as":"`)
	a.CreditedAs = scanWord(&s, creditedAs[:])
	if s.follows(`,"actor_type":"`) {
		a.ActorType = scanWord(&s, actorTypes[:])
	}
	s.literal(`,"status":`)
	a.Status = s.int32()
	a.EventTime, a.OccurredAt, a.ReceivedAt = s.times()
	if !s.ended() {
		return parseActivity(b)
	}
	if !validTenant(tenant) {
		return Activity{}, missing("tenant")
	}
	a.Tenant, a.User = Tenant(p.string(tenant)), UserID(p.string(user))
	if err := a.complete(); err != nil {
		return Activity{}, err
	}
	return a, nil
}

// Skip is [ParseSkip].
func (p *Parser) Skip(b []byte) (Skip, error) {
	var k Skip
	s := scanner{b: b}
	s.literal(`{"id":"`)
	k.ID = s.id()
	s.literal(`","tenant":"`)
	tenant := s.text()
	s.literal(`,"kind":"`)
	k.Kind = scanWord(&s, kinds[:])
	s.literal(`,"ticket":`)
	k.Ticket = s.uint()
	s.literal(`,"agent":`)
	k.Agent = AgentID(s.uint())
	s.literal(`,"reason":"`)
	k.Reason = scanWord(&s, reasons[:])
	k.EventTime, k.OccurredAt, k.ReceivedAt = s.times()
	if !s.ended() {
		return parseSkip(b)
	}
	if !validTenant(tenant) {
		return Skip{}, missing("tenant")
	}
	k.Tenant = Tenant(p.string(tenant))
	if err := k.complete(); err != nil {
		return Skip{}, err
	}
	return k, nil
}

// timesLength is that of the end of all three records.
const timesLength = len(`,"event_time":"2006-01-02T15:04:05.000Z","occurred_at":"2006-01-02T15:04:05.000Z","received_at":"2006-01-02T15:04:05.000Z"}`)

// AppendJSONOf is AppendJSON for the activity made of an event whose exact
// record is given: id, tenant and times are copied, which is half the price.
func (a Activity) AppendJSONOf(dst, event []byte) []byte {
	w := writer{appendBeginning(dst, event, a.Tenant)}
	a.middle(&w)
	return append(w.b, event[len(event)-timesLength:]...)
}

// AppendJSONOf is AppendJSON for the skip made of an event whose exact record
// is given.
func (s Skip) AppendJSONOf(dst, event []byte) []byte {
	w := writer{appendBeginning(dst, event, s.Tenant)}
	s.middle(&w)
	return append(w.b, event[len(event)-timesLength:]...)
}

func appendBeginning(dst, event []byte, t Tenant) []byte {
	const before = len(`{"id":"5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11","tenant":"`)
	return append(dst, event[:before+len(t)+len(`"`)]...)
}

// scanner reads a record in the one form that our writers give it: members in
// their order, no blank, no escape. That is four times faster than [reader],
// and shows that the record holds nothing else. What is of another form, which
// may be a record all the same, is left to reader.
type scanner struct {
	b      []byte
	i      int
	failed bool
}

func (s *scanner) follows(literal string) bool {
	end := s.i + len(literal)
	if end > len(s.b) || string(s.b[s.i:end]) != literal {
		return false
	}
	s.i = end
	return true
}

func (s *scanner) literal(l string) {
	if !s.follows(l) {
		s.failed = true
	}
}

func (s *scanner) ended() bool { return !s.failed && s.i == len(s.b) }

// plain are the bytes that appendString writes as they are.
var plain = func() (set [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		set[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return set
}()

// text reads on to the end of a string and passes its quote.
func (s *scanner) text() []byte {
	start := s.i
	for i := start; i < len(s.b); i++ {
		if c := s.b[i]; !plain[c] {
			if c != '"' {
				break
			}
			s.i = i + 1
			return s.b[start:i]
		}
	}
	s.failed = true
	return nil
}

func scanWord[T ~string](s *scanner, set []T) T {
	b := s.text()
	if len(b) == 0 {
		return ""
	}
	v := oneOf(b, set)
	s.failed = s.failed || v == ""
	return v
}

func (s *scanner) uint() (v uint64) {
	start := s.i
	for ; s.i < len(s.b); s.i++ {
		c := s.b[s.i] - '0'
		if c > 9 {
			break
		}
		v = v*10 + uint64(c)
	}
	// Nineteen digits fit; twenty may not.
	if n := s.i - start; n == 0 || n > 19 || n > 1 && s.b[start] == '0' {
		s.failed = true
	}
	return v
}

func (s *scanner) int32() int32 {
	negative := s.follows("-")
	v := s.uint()
	if v > 1<<31-1 || negative && v == 0 {
		s.failed = true
	}
	if negative {
		return -int32(v)
	}
	return int32(v)
}

func (s *scanner) float32() float32 {
	if s.follows("1,") {
		s.i--
		return 1
	}
	start := s.i
	for s.i < len(s.b) && number(s.b[s.i]) {
		s.i++
	}
	v, err := strconv.ParseFloat(string(s.b[start:s.i]), 32)
	s.failed = s.failed || err != nil
	return float32(v)
}

// lower are the values of the digits that ID.append writes.
var lower = func() (values [256]byte) {
	for c := range values {
		values[c] = 0xff
		if c < 'A' || c > 'F' {
			values[c] = unhex(byte(c))
		}
	}
	return values
}()

func (s *scanner) id() (id ID) {
	if len(s.b)-s.i < 36 {
		s.failed = true
		return id
	}
	b := s.b[s.i : s.i+36]
	s.i += 36
	bad := (b[8] ^ '-') | (b[13] ^ '-') | (b[18] ^ '-') | (b[23] ^ '-')
	for n, at := range [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		hi, lo := lower[b[at]], lower[b[at+1]]
		bad |= hi&0xf0 | lo&0xf0
		id[n] = hi<<4 | lo
	}
	s.failed = s.failed || bad != 0
	return id
}

// times reads the end of a record.
func (s *scanner) times() (event, occurred, received time.Time) {
	s.literal(`,"event_time":"`)
	event = s.time()
	s.literal(`","occurred_at":"`)
	occurred = s.time()
	s.literal(`","received_at":"`)
	received = s.time()
	s.literal(`"}`)
	return event, occurred, received
}

func (s *scanner) time() time.Time {
	if len(s.b)-s.i < 24 {
		s.failed = true
		return time.Time{}
	}
	t, ok := parseFixedTime(s.b[s.i : s.i+24])
	s.i += 24
	s.failed = s.failed || !ok
	return t
}

// parseFixedTime reads the form that appendTime writes, and no other.
func parseFixedTime(b []byte) (time.Time, bool) {
	if len(b) != 24 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[19] != '.' || b[23] != 'Z' {
		return time.Time{}, false
	}
	year, month, day := 100*two(b, 0)+two(b, 2), two(b, 5), two(b, 8)
	hour, minute, sec, milli := two(b, 11), two(b, 14), two(b, 17), 10*two(b, 20)+int(b[22]-'0')
	// Where a byte is no digit a figure is far too great.
	if year > 9999 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || sec > 59 || milli > 999 || b[22]-'0' > 9 {
		return time.Time{}, false
	}
	// The days since 1970 in years that begin with March, so that a leap day is
	// the last of its year. time.Date gives the same at five times the price.
	y, m := year, month-3
	if month < 3 {
		y, m = year-1, month+9
	}
	days := 365*y + floor(y, 4) - floor(y, 100) + floor(y, 400) + (153*m+2)/5 + day - 1 - 719468
	ms := (int64(days)*24+int64(hour))*3_600_000 + int64(minute)*60_000 + int64(sec)*1000 + int64(milli)
	return time.UnixMilli(ms).UTC(), true
}

// two is the number that two digits at i give, or one above 9999.
func two(b []byte, i int) int {
	hi, lo := b[i]-'0', b[i+1]-'0'
	if hi > 9 || lo > 9 {
		return 10_000
	}
	return int(hi)*10 + int(lo)
}

// floor is y/n rounded down; y is -1 in the first months of the year 0.
func floor(y, n int) int {
	if y < 0 {
		return -1
	}
	return y / n
}

func daysIn(year, month int) int {
	if month == 2 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + (month+month/8)%2
}
