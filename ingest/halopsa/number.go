package halopsa

import "math/bits"

// maxNumberText is the longest string that is read as a number: more than 64
// bits need, less than a GUID without hyphens has, which could be all digits.
const maxNumberText = 24

// whole reads the number t where its value is whole: 4242, 4242.0, 1e0,
// 42420e-1. It counts digits and never rounds, so that an id above 2^53 stays
// the id that it is. ok is false for fractions, above 64 bits, and where t is
// no number.
//
// Leading zeros are allowed, unlike in JSON: as a string, a ticket's number may
// come padded.
func whole(t []byte) (magnitude uint64, negative, ok bool) {
	i := 0
	if i < len(t) && t[i] == '-' {
		negative = true
		i++
	}
	// The value is magnitude × 10^(zeros-decimals+exponent): zeros are held back
	// until another digit follows them, so that 1000 and 1.000 are both a 1.
	digits, zeros, decimals, point := 0, 0, 0, false
	for ; i < len(t); i++ {
		if t[i] == '.' && !point && digits > 0 {
			point = true
			continue
		}
		c := t[i] - '0'
		if c > 9 {
			break
		}
		digits++
		if point {
			decimals++
		}
		if c == 0 {
			if magnitude > 0 {
				zeros++
			}
			continue
		}
		if magnitude, ok = shift(magnitude, zeros+1); !ok || magnitude+uint64(c) < magnitude {
			return 0, false, false
		}
		magnitude += uint64(c)
		zeros = 0
	}
	if digits == 0 {
		return 0, false, false
	}
	exponent := 0
	if i < len(t) && t[i]|0x20 == 'e' {
		if exponent, i = readExponent(t, i+1); i < 0 {
			return 0, false, false
		}
	}
	if i != len(t) {
		return 0, false, false
	}
	if magnitude == 0 {
		return 0, false, true
	}
	places := zeros - decimals + exponent
	if places < 0 {
		return 0, false, false
	}
	magnitude, ok = shift(magnitude, places)
	return magnitude, negative, ok
}

// readExponent reads digits and their sign. Beyond a thousand million it stops
// counting: no delivery has room for the zeros that would bring such a number
// back into range.
func readExponent(t []byte, i int) (exponent, next int) {
	sign := 1
	if i < len(t) && (t[i] == '+' || t[i] == '-') {
		if t[i] == '-' {
			sign = -1
		}
		i++
	}
	start := i
	for ; i < len(t) && t[i]-'0' <= 9; i++ {
		exponent = min(exponent*10+int(t[i]-'0'), 1e9)
	}
	if i == start {
		return 0, malformed
	}
	return sign * exponent, i
}

// shift multiplies by a power of ten.
func shift(m uint64, places int) (uint64, bool) {
	if m == 0 {
		return 0, true
	}
	for ; places > 0; places-- {
		hi, lo := bits.Mul64(m, 10)
		if hi != 0 {
			return 0, false
		}
		m = lo
	}
	return m, true
}
