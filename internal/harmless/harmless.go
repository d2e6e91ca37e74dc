// Package harmless makes text that somebody else wrote fit to be shown: the
// names and e-mails of a customer's Halo, what a stranger put into a request.
//
// It promises that what comes out stands on one line, moves no cursor, colours
// nothing, reads in the order in which it is written, and hides nothing: in a
// table, a log or a page it can only be looked at. What keeps it true is that a
// character is kept because it is visible, and every other one is replaced by a
// visible one, never removed: two texts that differ by an invisible character
// still look different.
package harmless

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mark stands for a character that must not be shown.
const Mark = '\uFFFD'

// Text returns s with a space for each kind of blank and of line break, and
// [Mark] for every other character that is not seen: control characters and so
// escape sequences, marks of direction, zero-width characters, and what is not
// UTF-8.
func Text(s string) string {
	if Is(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\v' || r == '\f' || r == '\r' || unicode.IsSpace(r):
			return ' '
		case unseen(r):
			return Mark
		}
		return r
	}, s)
}

// Is reports whether s can be shown as it is. The empty string can.
func Is(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !is(r) {
			return false
		}
	}
	return true
}

// hidden are the characters for which nothing is drawn, or something that they
// do not mean. The last ones are letters and marks by their category, and blank
// all the same: the fillers of Hangul, Braille without a dot and their like.
var hidden = []*unicode.RangeTable{
	unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Variation_Selector, unicode.Noncharacter_Code_Point,
	rangetable(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
}

func rangetable(runes ...uint16) *unicode.RangeTable {
	t := new(unicode.RangeTable)
	for _, r := range runes {
		t.R16 = append(t.R16, unicode.Range16{Lo: r, Hi: r, Stride: 1})
	}
	return t
}

func unseen(r rune) bool { return (r < ' ' || r >= 0x7F) && unicode.In(r, hidden...) }

// Pattern is [Is] for one character as a regular expression: a class in which
// the characters stand as they are, since no two dialects agree on how to write
// them otherwise. It knows the first plane of Unicode only, in which a character
// is one unit in every language.
func Pattern() string {
	var b strings.Builder
	b.WriteString("[^")
	const end = 0x10000
	for lo := rune(0); lo < end; lo++ {
		if is(lo) {
			continue
		}
		hi := lo
		for hi+1 < end && !is(hi+1) {
			hi++
		}
		b.WriteRune(lo)
		if hi > lo {
			b.WriteByte('-')
			b.WriteRune(hi)
		}
		lo = hi
	}
	b.WriteByte(']')
	return b.String()
}

// is is Is for one rune. Surrogates are let pass: no text of ours has one.
func is(r rune) bool {
	return r == ' ' || r >= 0xD800 && r <= 0xDFFF || !unicode.IsSpace(r) && !unseen(r)
}
