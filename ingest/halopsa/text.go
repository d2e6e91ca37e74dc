package halopsa

import (
	"bytes"
	"unicode/utf8"
)

// maxText bounds what is read as an id or as a name: a GUID has 36 characters,
// the longest event name that was seen has forty. What is longer is no id, and
// counts as absent. It is also all the room that escapes are resolved in.
const maxText = 256

// text gives the content of a string token, or the token itself where it is a
// number, without surrounding spaces. The result is a part of token, or of buf
// where escapes had to be resolved. It is empty where there is nothing of use.
func text(token []byte, buf *[maxText]byte) []byte {
	if len(token) > 0 && token[0] == '"' {
		token = token[1 : len(token)-1]
		for i, c := range token {
			if i >= maxText*6 {
				return nil // every byte as \u00xx, and still too long
			}
			if c == '\\' {
				token = unescape(token, i, buf)
				break
			}
		}
	}
	for len(token) > 0 && token[0] <= ' ' {
		token = token[1:]
	}
	for len(token) > 0 && token[len(token)-1] <= ' ' {
		token = token[:len(token)-1]
	}
	if len(token) > maxText {
		return nil
	}
	return token
}

// unescape resolves the escapes in the inside of a valid string, the first of
// which is at i. It returns nil where the result does not fit.
func unescape(s []byte, i int, buf *[maxText]byte) []byte {
	if i > maxText {
		return nil
	}
	n := copy(buf[:], s[:i])
	for i < len(s) {
		if n+utf8.UTFMax > maxText {
			return nil
		}
		if s[i] != '\\' {
			buf[n] = s[i]
			n, i = n+1, i+1
			continue
		}
		c := s[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			// The halves of a surrogate pair become two replacement characters:
			// nothing that is read here has a character outside the first plane.
			r, _ := hex4(s, i)
			i += 4
			n += utf8.EncodeRune(buf[n:], r)
			continue
		}
		buf[n] = c
		n++
	}
	return buf[:n]
}

// lower is c in lower case, where it is an ASCII letter.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// equalFold compares without regard to the case of ASCII letters.
func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

// isID reports whether t can be an opaque id. A display text has blanks in it, and
// a GUID of zeros would make all events one if it were taken for an identity.
func isID(t []byte) bool {
	return !noGUID(t) && !bytes.ContainsFunc(t, func(r rune) bool { return r <= ' ' })
}

// noGUID reports whether t is how .NET programs say "none": a GUID of zeros, in
// braces or not, or a zero.
func noGUID(t []byte) bool {
	return len(bytes.Trim(t, "0-{}")) == 0
}

// unbraced is t without the braces around it.
func unbraced[T ~string | ~[]byte](t T) T {
	if n := len(t); n > 2 && t[0] == '{' && t[n-1] == '}' {
		return t[1 : n-1]
	}
	return t
}
