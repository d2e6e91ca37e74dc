package schemas

import (
	"encoding/json"
	"strconv"
	"time"
)

// writer appends the members of one flat JSON object, in the order of the
// calls. It is the other half of reader.
type writer struct{ b []byte }

func (w *writer) name(name string) {
	if len(w.b) > 0 && w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) string(name, v string) {
	w.name(name)
	w.b = appendString(w.b, v)
}

func (w *writer) uint(name string, v uint64) {
	w.name(name)
	w.b = strconv.AppendUint(w.b, v, 10)
}

func (w *writer) int(name string, v int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, v, 10)
}

func (w *writer) time(name string, v time.Time) {
	w.name(name)
	w.b = appendTime(w.b, v)
}

func (w *writer) id(name string, v ID) {
	w.name(name)
	w.b = append(w.b, '"')
	w.b = v.append(w.b)
	w.b = append(w.b, '"')
}

// appendString quotes s. Ours are ids and words of a closed list; what needs
// an escape after all, a user id of the customer's, takes the general way.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic("schemas: a string that cannot be quoted: " + err.Error()) // encoding/json quotes every string
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
