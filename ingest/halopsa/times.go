package halopsa

import "time"

// The years in which a time is believed. Halo writes 1899-12-30 or 1900-01-01
// where a date is not set, and 1970 is what a zero counted from the Unix epoch
// looks like (the former seen on live tenants). 2299 is the last year that
// ClickHouse's DateTime64 can hold.
const (
	firstYear = 1971
	lastYear  = 2299
)

// parseTime reads an ISO 8601 time as Halo writes it: with any number of
// decimals, with Z, with an offset, or with no zone, which means UTC (seen on
// live tenants). The result is in UTC and truncated to milliseconds. ok is
// false where s is no time, or one outside of the believed years.
func parseTime(s []byte) (t time.Time, ok bool) {
	p := timeParser{s: s}
	year := p.number(4)
	p.expect('-')
	month := p.number(2)
	p.expect('-')
	day := p.number(2)
	hour, minute, second, milli, offset := 0, 0, 0, 0, 0
	if len(p.s) > 0 {
		if p.s[0] != ' ' && p.s[0] != 't' {
			p.expect('T')
		} else {
			p.s = p.s[1:]
		}
		hour = p.number(2)
		p.expect(':')
		minute = p.number(2)
		if p.accept(':') {
			second = p.number(2)
			if p.accept('.') {
				milli = p.millis()
			}
		}
		offset = p.offset()
	}
	if p.bad || len(p.s) > 0 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t = time.Date(year, time.Month(month), day, hour, minute, second, milli*int(time.Millisecond), time.UTC)
	if t.Day() != day || int(t.Month()) != month {
		return time.Time{}, false // Date takes 31 April for 1 May
	}
	t = t.Add(-time.Duration(offset) * time.Minute)
	if t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}, false
	}
	return t, true
}

// timeParser consumes s. Once bad, it stays so.
type timeParser struct {
	s   []byte
	bad bool
}

func (p *timeParser) accept(c byte) bool {
	if len(p.s) == 0 || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

func (p *timeParser) expect(c byte) {
	p.bad = !p.accept(c) || p.bad
}

// number reads exactly width digits.
func (p *timeParser) number(width int) (n int) {
	if len(p.s) < width {
		p.bad = true
		return 0
	}
	for _, c := range p.s[:width] {
		if c -= '0'; c > 9 {
			p.bad = true
			return 0
		}
		n = n*10 + int(c)
	}
	p.s = p.s[width:]
	return n
}

// millis reads decimals, of which the first three count.
func (p *timeParser) millis() (n int) {
	width := 0
	for ; len(p.s) > 0 && p.s[0]-'0' <= 9; p.s = p.s[1:] {
		if width < 3 {
			n = n*10 + int(p.s[0]-'0')
			width++
		}
	}
	for ; width < 3; width++ {
		n *= 10
	}
	return n
}

// offset reads a zone in minutes east of UTC: none, Z, +02, +0200 or +02:00.
func (p *timeParser) offset() int {
	sign := 1
	switch {
	case len(p.s) == 0 || p.accept('Z') || p.accept('z'):
		return 0
	case p.accept('-'):
		sign = -1
	default:
		p.expect('+')
	}
	hours, minutes := p.number(2), 0
	if p.accept(':') || len(p.s) > 0 {
		minutes = p.number(2)
	}
	p.bad = p.bad || hours > 23 || minutes > 59
	return sign * (hours*60 + minutes)
}
