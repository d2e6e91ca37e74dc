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
		if r != ' ' && (unicode.IsSpace(r) || unseen(r)) {
			return false
		}
	}
	return true
}

// unseen reports whether nothing is drawn for a rune, or something that it does
// not mean.
func unseen(r rune) bool {
	if r >= ' ' && r < 0x7F {
		return false
	}
	// Letters by their category, and blank all the same: the fillers of Hangul,
	// and Braille without a dot.
	switch r {
	case 0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800, 0x034F, 0x17B4, 0x17B5:
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Variation_Selector, unicode.Noncharacter_Code_Point)
}
