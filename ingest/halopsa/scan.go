package halopsa

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deep a delivery may nest. Real ones stay under ten; the limit
// is for readers further on that recurse, and for the bit stack below.
const maxDepth = 1000

// The functions of this file take the position of a value's first byte and
// return that of the first byte after it, or one of these.
const (
	malformed = -1 // not JSON
	tooDeep   = -2 // more than maxDepth containers within one another
)

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue steps over the value at i. depth is the number of containers that
// are open around it.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return malformed
	}
	switch b[i] {
	case '"':
		return skipString(b, i+1)
	case '{', '[':
		return skipContainer(b, i, depth)
	default:
		return skipScalar(b, i)
	}
}

func skipScalar(b []byte, i int) int {
	if i >= len(b) {
		return malformed
	}
	switch b[i] {
	case '"':
		return skipString(b, i+1)
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	default:
		return skipNumber(b, i)
	}
}

// skipContainer steps over an object or array without recursion: a bit per
// open container says which of the two it is, so that a hostile delivery costs
// no stack.
func skipContainer(b []byte, i, depth int) int {
	var objects [maxDepth/64 + 1]uint64
	level := 0 // containers opened here and not yet closed
	for {
		// At the first byte of a value.
		if i >= len(b) {
			return malformed
		}
		switch c := b[i]; c {
		case '{', '[':
			if level++; depth+level > maxDepth {
				return tooDeep
			}
			i = skipSpace(b, i+1)
			if c == '{' {
				objects[level>>6] |= 1 << (level & 63)
				if i < len(b) && b[i] == '}' {
					break
				}
				if i = skipName(b, i); i < 0 {
					return i
				}
				continue
			}
			objects[level>>6] &^= 1 << (level & 63)
			if i < len(b) && b[i] == ']' {
				break
			}
			continue
		default:
			if i = skipScalar(b, i); i < 0 {
				return i
			}
		}
		// After a value, or at the end of an empty container.
		for {
			i = skipSpace(b, i)
			if i >= len(b) {
				return malformed
			}
			object := objects[level>>6]&(1<<(level&63)) != 0
			if b[i] == ',' {
				i = skipSpace(b, i+1)
				if object {
					if i = skipName(b, i); i < 0 {
						return i
					}
				}
				break
			}
			if b[i] != ']' && b[i] != '}' || object != (b[i] == '}') {
				return malformed
			}
			i++
			if level--; level == 0 {
				return i
			}
		}
	}
}

// skipName steps over a member's name and colon, to the first byte of its
// value.
func skipName(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return malformed
	}
	if i = skipString(b, i+1); i < 0 {
		return i
	}
	return skipColon(b, i)
}

func skipColon(b []byte, i int) int {
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != ':' {
		return malformed
	}
	return skipSpace(b, i+1)
}

// skipString steps over a string from the byte after its opening quote. Nine
// tenths of a delivery are strings, so it looks at eight bytes at a time.
//
// Bytes above 0x7f pass, in whatever order: invalid UTF-8 is let through, as
// encoding/json does, since none of it is kept.
func skipString(b []byte, i int) int {
	for i < len(b) {
		if i+8 <= len(b) {
			found := special(binary.LittleEndian.Uint64(b[i:]))
			if found == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(found) >> 3
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = skipEscape(b, i); i < 0 {
				return i
			}
		case c < ' ':
			return malformed // a bare control character
		default:
			i++ // one of the last seven
		}
	}
	return malformed
}

// plain returns the position of the first byte from i on that cannot stand for
// itself within a string: a quote, a backslash or a control character.
func plain(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		if found := special(binary.LittleEndian.Uint64(b[i:])); found != 0 {
			return i + bits.TrailingZeros64(found)>>3
		}
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	return i
}

// special marks in the top bit of each byte whether it is a quote, a backslash or
// a control character. The lowest mark is right; those above it may be wrong.
func special(w uint64) uint64 {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	// Subtracting from every byte at once sets its top bit where it was below the
	// subtrahend. A borrow can set a wrong bit in a byte above a right one only,
	// and the lowest is the one that counts. The top bits of bytes above 0x7f are
	// cleared at the end, for all three.
	quote := w ^ '"'*ones
	slash := w ^ '\\'*ones
	return ((quote - ones) | (slash - ones) | (w - ' '*ones)) &^ w & highs
}

// skipEscape steps over the escape whose backslash is at i. A surrogate without
// its other half is JSON.
func skipEscape(b []byte, i int) int {
	const (
		below64 = 1<<'"' | 1<<'/'
		above   = 1<<('\\'-64) | 1<<('b'-64) | 1<<('f'-64) | 1<<('n'-64) | 1<<('r'-64) | 1<<('t'-64)
	)
	if i+1 >= len(b) {
		return malformed
	}
	c, simple := b[i+1], uint64(below64)
	if c >= 64 {
		simple = above
	}
	if c < 128 && simple>>(c&63)&1 != 0 {
		return i + 2
	}
	if c == 'u' {
		if _, ok := hex4(b, i+2); ok {
			return i + 6
		}
	}
	return malformed
}

// hex4 reads the four hexadecimal digits at i.
func hex4(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func skipLiteral(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return malformed
	}
	return i + len(word)
}

// skipNumber steps over a number in JSON's grammar: no sign but a minus, no
// leading zeros, digits on both sides of a point.
func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	digits := i
	if i = skipDigits(b, i); i == digits || b[digits] == '0' && i > digits+1 {
		return malformed
	}
	if i < len(b) && b[i] == '.' {
		digits = i + 1
		if i = skipDigits(b, digits); i == digits {
			return malformed
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		digits = i
		if i = skipDigits(b, i); i == digits {
			return malformed
		}
	}
	return i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}
