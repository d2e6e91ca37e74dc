package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrMalformed says that bytes which should be a record of ours are not one,
// and never will be: the caller quarantines them. Errors that wrap it name the
// member at fault and never quote its value.
var ErrMalformed = errors.New("malformed record")

// reader walks the members of one flat JSON object: the form of the three
// records that pass once per event.
//
// encoding/json spends 3 µs on an Event, most of it on reflection and on three
// times; at that price reading costs more than everything else that the
// processor and the sink do. The reader knows only what our own writers write
// well (a flat object of strings, integers and one float) and hands anything
// less usual, an escaped string or an unknown nested member, to encoding/json.
type reader struct {
	b   []byte
	i   int
	err error
}

// members calls member for each member of the object in b, with its name and
// its value's bytes as they stand. A failure inside is reported by r.fail.
func (r *reader) members(member func(name, value []byte)) error {
	r.space()
	if !r.eat('{') {
		return r.end("want an object")
	}
	r.space()
	if !r.eat('}') {
		for r.err == nil {
			name := r.token()
			if r.err == nil && name[0] != '"' {
				r.fail("a member name")
			}
			r.space()
			if r.err == nil && !r.eat(':') {
				r.fail("a member without value")
			}
			r.space()
			value := r.token()
			if r.err != nil {
				break
			}
			member(text(name), value)
			r.space()
			if r.eat(',') {
				r.space()
				continue
			}
			if !r.eat('}') {
				r.fail("an object without end")
			}
			break
		}
	}
	r.space()
	if r.err == nil && r.i != len(r.b) {
		return r.end("bytes after the object")
	}
	return r.err
}

func (r *reader) end(what string) error {
	r.fail(what)
	return r.err
}

// fail keeps the first failure. What is our own words, never the record's.
func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s at byte %d", ErrMalformed, what, r.i)
	}
}

func (r *reader) space() {
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return
		}
	}
}

func (r *reader) eat(c byte) bool {
	if r.i < len(r.b) && r.b[r.i] == c {
		r.i++
		return true
	}
	return false
}

// token returns the bytes of the next value and passes it. Strings keep their
// quotes.
func (r *reader) token() []byte {
	start := r.i
	if r.i >= len(r.b) {
		r.fail("unexpected end")
		return nil
	}
	switch c := r.b[r.i]; {
	case c == '"':
		for r.i++; r.i < len(r.b); r.i++ {
			switch c := r.b[r.i]; {
			case c == '"':
				r.i++
				return r.b[start:r.i]
			case c == '\\' || c < 0x20:
				r.i = start
				return r.general()
			}
		}
		r.fail("a string without end")
		return nil
	case c == '-' || c >= '0' && c <= '9':
		for r.i < len(r.b) && number(r.b[r.i]) {
			r.i++
		}
		// 007 and -+1 are no JSON, but no writer of ours writes them and no
		// value of ours depends on refusing them.
		return r.b[start:r.i]
	default:
		return r.general()
	}
}

func number(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

// general passes a value of any form with encoding/json.
func (r *reader) general() []byte {
	start := r.i
	d := json.NewDecoder(bytes.NewReader(r.b[r.i:]))
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		r.fail("a value that is not JSON")
		return nil
	}
	r.i += int(d.InputOffset())
	return r.b[start:r.i]
}

// text gives what a string token says, or nil where it is no string. Without
// escapes, which is how we write every string that we keep, it is a part of
// the record and copies nothing.
func text(token []byte) []byte {
	if len(token) < 2 || token[0] != '"' {
		return nil
	}
	inner := token[1 : len(token)-1]
	for _, c := range inner {
		if c == '\\' {
			var s string
			if json.Unmarshal(token, &s) != nil {
				return nil
			}
			return []byte(s)
		}
	}
	return inner
}

func (r *reader) string(name string, token []byte) string {
	if len(token) == 0 || token[0] != '"' {
		r.fail(name + " is no string")
		return ""
	}
	// What is no UTF-8 is replaced on the way in, as encoding/json does, so that
	// a record written again is the record that was read.
	return strings.ToValidUTF8(string(text(token)), "\uFFFD")
}

// enum reads a string that must be empty or in set. A word that a later
// version added is malformed here: to guess would judge an event wrongly.
func enum[T ~string](r *reader, name string, token []byte, set []T) T {
	s := text(token)
	if s == nil {
		r.fail(name + " is no string")
		return ""
	}
	v := oneOf(s, set)
	if v == "" && len(s) != 0 {
		r.fail(name + " is none of the known words")
	}
	return v
}

func (r *reader) uint(name string, token []byte) uint64 {
	var v uint64
	if len(token) == 0 || len(token) > 20 {
		r.fail(name + " is no whole number")
		return 0
	}
	for _, c := range token {
		if c < '0' || c > '9' || v > (1<<64-1)/10 || v*10 > 1<<64-1-uint64(c-'0') {
			r.fail(name + " is no whole number")
			return 0
		}
		v = v*10 + uint64(c-'0')
	}
	return v
}

func (r *reader) int32(name string, token []byte) int32 {
	v, err := strconv.ParseInt(string(token), 10, 32)
	if err != nil {
		r.fail(name + " is no 32-bit number")
	}
	return int32(v)
}

func (r *reader) float32(name string, token []byte) float32 {
	v, err := strconv.ParseFloat(string(token), 32)
	if err != nil {
		r.fail(name + " is no number")
	}
	return float32(v)
}

func (r *reader) time(name string, token []byte) time.Time {
	t, ok := parseTime(text(token))
	if !ok {
		r.fail(name + " is no time")
	}
	return t
}

func (r *reader) id(name string, token []byte) ID {
	id, ok := parseID(text(token))
	if !ok {
		r.fail(name + " is no UUID")
	}
	return id
}

func (r *reader) tenant(token []byte) Tenant {
	s := text(token)
	if !validTenant(s) {
		r.fail("tenant is no tenant id")
		return ""
	}
	return Tenant(s)
}
