package schemas

// Plain reports whether a record holds nothing but what a record of ours may hold,
// whoever wrote it: a flat object of numbers, truth values, ids, times, and words of
// lower-case letters. No sentence, name, address or number of a telephone is one.
//
// It is asked of records that are not, byte by byte, what this version writes. A
// newer version writes members that an older one does not know; those are no
// content, and nobody is to be called for them.
func Plain(b []byte) bool {
	plain := true
	r := reader{b: b}
	err := r.members(func(name, value []byte) {
		plain = plain && plainWord(name) && (plainValue(value) || string(name) == "tenant" && validTenant(string(text(value))))
	})
	return err == nil && plain
}

func plainValue(v []byte) bool {
	switch v[0] {
	case '{', '[':
		return false
	case '"':
		v = v[1 : len(v)-1]
	default:
		return true // a number, true, false or null
	}
	if len(v) == 0 || plainWord(v) {
		return true
	}
	if _, err := ParseConnectionID(string(v)); err == nil {
		return true
	}
	if _, ok := parseID(v); ok {
		return true
	}
	_, ok := parseTime(v)
	return ok
}

// plainWord reports whether b is a word as our enumerations and members have them.
func plainWord(b []byte) bool {
	const longest = 40
	for _, c := range b {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= longest
}
