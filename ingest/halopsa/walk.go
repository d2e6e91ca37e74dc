package halopsa

import (
	"bytes"
	"slices"
)

// span is where a token stands in the body. A body is bounded far below the
// 2 GiB that 32 bits reach; Decode refuses what is not.
type span struct{ from, to int32 }

// object is what was remembered of one object: of each member on the
// allow-list that is neither null nor empty, where its value stands.
type object struct {
	has fields
	at  [numValues]span
}

// any reports whether one of the members in s is there.
func (o *object) any(s fields) bool { return o.has&s != 0 }

// walker reads a delivery once, from its first byte to its last.
type walker struct {
	b       []byte
	objects [numRoles]object // of the item at hand
	items   []item
	buf     [maxText]byte // see text

	// The members of a lone outer object that are arrays: one of them may hold
	// the delivery's items. An object that is only a wrapper has few.
	arrays    [16]array
	numArrays int

	surplus int // items beyond maxItems, which were stepped over
}

type array struct{ name, value span }

// maxItems is how many items a delivery may have. Each becomes a record, and all
// of a delivery's records are on their way to Kafka at once: with the sixty
// thousand for which a body has room, one connection would fill the producer and
// leave nothing to the others.
const maxItems = 2000

// delivery steps over the whole body and collects its items. It returns the
// body's end, malformed or tooDeep.
//
// A lone object that turns out to be no envelope is followed by a second look
// at its arrays: that it is none is known only at its end, and the shape is
// rare.
func (w *walker) delivery() int {
	i := skipSpace(w.b, 0)
	start := i
	switch {
	case i < len(w.b) && w.b[i] == '{':
		var outer item
		if i = w.item(i, 1, &outer); i < 0 {
			return i
		}
		byElement := outer.byAction && w.actionIsElement()
		if outer.standsAlone() && !byElement || !w.batch(&outer) || byElement && w.actionsOf(&outer) {
			w.items = append(w.items[:0], outer)
		}
	case i < len(w.b) && w.b[i] == '[':
		if i = w.list(i, 1); i < 0 {
			return i
		}
	default:
		if i = skipScalar(w.b, i); i < 0 {
			return i
		}
	}
	end := i
	if i = skipSpace(w.b, i); i < len(w.b) {
		return malformed
	}
	if !slices.ContainsFunc(w.items, item.hasEnvelope) {
		w.items = append(w.items[:0], item{at: span{int32(start), int32(end)}})
	}
	return i
}

// list collects an item from each element of the array at i. depth counts the
// array itself too.
func (w *walker) list(i, depth int) int {
	return w.elements(i, func(i int) int {
		if len(w.items) == maxItems {
			w.surplus++
			return skipValue(w.b, i, depth)
		}
		w.items = append(w.items, item{})
		return w.item(i, depth+1, &w.items[len(w.items)-1])
	})
}

// elements hands the position of each element of the array at i to step, which
// returns that of the element's end.
func (w *walker) elements(i int, step func(i int) int) int {
	i = skipSpace(w.b, i+1)
	if i < len(w.b) && w.b[i] == ']' {
		return i + 1
	}
	for {
		if i = step(i); i < 0 {
			return i
		}
		if i = skipSpace(w.b, i); i >= len(w.b) {
			return malformed
		}
		switch w.b[i] {
		case ',':
			i = skipSpace(w.b, i+1)
		case ']':
			return i + 1
		default:
			return malformed
		}
	}
}

// item reads the value at i as an envelope. What is no object leaves an item
// with nothing but its place. depth counts the item itself too.
func (w *walker) item(i, depth int, it *item) int {
	start := i
	if i < len(w.b) && w.b[i] == '{' {
		for r := range w.objects {
			w.objects[r].has = 0
		}
		if i = w.object(i, depth, rEnvelope); i < 0 {
			return i
		}
		w.read(it)
	} else if i = skipValue(w.b, i, depth-1); i < 0 {
		return i
	}
	it.at = span{int32(start), int32(i)}
	return i
}

// batch makes items of the elements of those arrays that hold an envelope, and
// reports whether there were any. What the object around them says once for
// all, and an item leaves out, the item takes from there.
func (w *walker) batch(outer *item) bool {
	for _, a := range w.arrays[:w.numArrays] {
		first, surplus := len(w.items), w.surplus
		w.list(int(a.value.from), 2)
		added := w.items[first:]
		if !slices.ContainsFunc(added, func(it item) bool { return it.marked }) {
			w.items, w.surplus = w.items[:first], surplus
			continue
		}
		for k := range added {
			added[k].inherit(outer)
		}
	}
	return len(w.items) > 0
}

// actionIsElement reports whether the action of the lone object at hand is an
// element of one of its arrays.
func (w *walker) actionIsElement() bool {
	action, _ := w.action()
	return slices.ContainsFunc(w.arrays[:w.numArrays], func(a array) bool {
		for _, f := range [...]field{fTicketID, fTicketid} {
			if s := action.span(f); a.value.from < s.from && s.to < a.value.to {
				return true
			}
		}
		return false
	})
}

// actionsOf reports whether the batch's items are no envelopes but the actions
// of outer, which has no other word for its ticket: none of them says itself
// what happened, and none is of another ticket.
func (w *walker) actionsOf(outer *item) bool {
	return !slices.ContainsFunc(w.items, func(it item) bool {
		return it.escmsg != (span{}) || it.event != outer.event || it.notification != outer.notification ||
			it.ticket > 0 && it.ticket != outer.ticket
	})
}

// object reads the members of the object at i that its place allows, and steps
// over the others. depth counts the object itself too.
func (w *walker) object(i, depth int, r role) int {
	b := w.b
	o := &w.objects[r]
	allowed := r.allowed()
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		name := i
		f, value := w.name(i)
		if value < 0 {
			return value
		}
		if value >= len(b) {
			return malformed
		}
		if f == other {
			i = skipValue(b, value, depth)
		} else if allowed&(1<<f) != 0 {
			i = w.value(value, depth, o, f)
		} else if c, ok := r.child(f); ok {
			i = w.child(value, depth, c)
		} else {
			i = skipValue(b, value, depth)
		}
		if i < 0 {
			return i
		}
		if depth == 1 && (b[value] == '[' || w.numArrays > 0) {
			w.noteArray(name, value, i)
		}
		if i = skipSpace(b, i); i >= len(b) {
			return malformed
		}
		switch b[i] {
		case ',':
			i = skipSpace(b, i+1)
		case '}':
			return i + 1
		default:
			return malformed
		}
	}
}

// name looks up the member's name at i and returns the position of its value.
func (w *walker) name(i int) (field, int) {
	if i >= len(w.b) || w.b[i] != '"' {
		return other, malformed
	}
	end := plain(w.b, i+1)
	if end >= len(w.b) {
		return other, malformed
	}
	if w.b[end] == '"' {
		return lookup(w.b[i+1 : end]), skipColon(w.b, end+1)
	}
	if end = skipString(w.b, end); end < 0 {
		return other, end
	}
	return lookup(text(w.b[i:end], &w.buf)), skipColon(w.b, end)
}

// value remembers where the value of member f stands, unless there is nothing
// to be read of it.
func (w *walker) value(i, depth int, o *object, f field) int {
	end := skipValue(w.b, i, depth)
	if end < 0 {
		return end
	}
	o.has &^= 1 << f
	switch w.b[i] {
	case '{', '[', 'n':
	case '"':
		if end == i+len(`""`) {
			break
		}
		fallthrough
	default:
		o.has |= 1 << f
		o.at[f] = span{int32(i), int32(end)}
	}
	return end
}

// child reads the object at i into its place; of a list of actions, the first.
func (w *walker) child(i, depth int, r role) int {
	w.objects[r].has = 0
	if r == rTicket {
		for c := rTicketAction; c < numRoles; c++ {
			w.objects[c].has = 0 // of an earlier ticket in the same object
		}
	}
	switch {
	case w.b[i] == '{':
		return w.object(i, depth+1, r)
	case w.b[i] == '[' && r.listed():
		first := true
		return w.elements(i, func(i int) int {
			isFirst := first
			first = false
			if isFirst && i < len(w.b) && w.b[i] == '{' {
				return w.object(i, depth+2, r)
			}
			return skipValue(w.b, i, depth+1)
		})
	default:
		return skipValue(w.b, i, depth)
	}
}

// noteArray keeps an array of the outermost object in mind, and forgets an
// earlier one of the same name, whatever the later member is.
func (w *walker) noteArray(name, value, end int) {
	a := array{
		name:  span{int32(name), int32(skipString(w.b, name+1))},
		value: span{int32(value), int32(end)},
	}
	kept := w.arrays[:0]
	for _, earlier := range w.arrays[:w.numArrays] {
		if !bytes.EqualFold(w.token(earlier.name), w.token(a.name)) {
			kept = append(kept, earlier)
		}
	}
	w.numArrays = len(kept)
	if w.b[value] == '[' && w.numArrays < len(w.arrays) {
		w.arrays[w.numArrays] = a
		w.numArrays++
	}
}

func (w *walker) token(s span) []byte { return w.b[s.from:s.to] }
