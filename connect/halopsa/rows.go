package halopsa

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// readRows finds the rows of a list: the answer itself where it is an array,
// else the array under member (lower case; names are compared without case),
// else the answer itself where it is one row, which has an id, else the only
// array in it. Nothing and null are no rows. total is record_count, 0 where the
// answer has none.
func readRows(body []byte, member string) (rows []json.RawMessage, total int, ok bool) {
	if len(body) == 0 || string(body) == "null" {
		return nil, 0, true
	}
	if isArray(body) {
		return rows, 0, json.Unmarshal(body, &rows) == nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return nil, 0, false
	}
	fields := make(map[string]json.RawMessage, len(object))
	var arrays []json.RawMessage
	for name, value := range object {
		fields[strings.ToLower(name)] = value
		if isArray(value) {
			arrays = append(arrays, value)
		}
	}
	list, one := fields[member], fields["id"] != nil
	switch {
	case isArray(list):
	case one:
		return []json.RawMessage{body}, 0, true
	case len(arrays) == 1:
		list = arrays[0]
	default:
		return nil, 0, len(object) == 0
	}
	var count number
	_ = count.UnmarshalJSON(fields["record_count"]) // never fails
	return rows, int(count), json.Unmarshal(list, &rows) == nil
}

func isArray(b []byte) bool { return len(b) > 0 && b[0] == '[' }

// The types below read a field in whatever form it comes. What cannot be read
// is the zero value: one odd field never costs a row, nor one row the list.

// number reads 57, 57.0 and "57".
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	*n = 0
	s := strings.TrimSpace(strings.Trim(string(b), `"`))
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		*n = number(i)
	} else if f, err := strconv.ParseFloat(s, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		*n = number(f)
	}
	return nil
}

// text reads "57" and 57.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
	} else if _, err := strconv.ParseFloat(string(b), 64); err == nil {
		*t = text(b)
	}
	return nil
}

// flag reads true, "true", 1 and "1".
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	s := strings.ToLower(strings.Trim(string(b), `"`))
	*f = s == "true" || s == "1"
	return nil
}

// span reads a number of seconds: 3600, "3600", 3599.5, 1e4.
type span time.Duration

func (d *span) UnmarshalJSON(b []byte) error {
	*d = 0
	s := strings.TrimSpace(strings.Trim(string(b), `"`))
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > 0 { // not NaN
		*d = span(min(f, longestLife.Seconds()) * float64(time.Second))
	}
	return nil
}

// date reads the dates of REST bodies: UTC without a zone suffix, up to seven
// fractional digits (seen on live tenants); a suffix is honoured. The vendor's
// "never", 1899-12-30 or 1900-01-01, is the zero time, like any year before
// 1971.
type date time.Time

func (d *date) UnmarshalJSON(b []byte) error {
	*d = date{}
	s := strings.Trim(string(b), `"`)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1971 {
			*d = date(t.UTC())
			break
		}
	}
	return nil
}
