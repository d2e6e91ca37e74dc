package halopsa

import (
	"strings"

	"github.com/worksights/halo-connector/schemas"
)

// foldName brings an event's display name into the form by which names are
// compared: lower case, without spaces and underscores, and without the scope
// that Halo's own names end in, which is whatever follows " - ".
//
// Halo's table of events has names such as "$#request Status Changed  - All",
// two spaces and all, and deliveries were seen with "ticket status changed"
// (both seen on live tenants).
func foldName(name []byte, buf *[maxText]byte) []byte {
	blank := func(i int) bool { return name[i] <= ' ' || name[i] == '_' }
	n := 0
	for i := range name {
		if blank(i) {
			// An empty scope has lost its last blank: ids and names are trimmed.
			if i+1 < len(name) && name[i+1] == '-' && (i+2 == len(name) || blank(i+2)) {
				break
			}
			continue
		}
		buf[n] = lower(name[i]) // name may lie in buf: n never overtakes i
		n++
	}
	return buf[:n]
}

// kindOf tells the kind by a folded name. A tenant may call a ticket and an
// agent otherwise, and Halo's own table has placeholders for its words.
func kindOf(name string) schemas.Kind {
	rest, isNew := strings.CutPrefix(name, "new")
	rest, ok := cutAny(rest, "ticket", "request", "incident", "case", "$#request")
	switch {
	case !ok:
		return ""
	case rest == "logged":
		return schemas.TicketLogged
	case isNew:
		return ""
	case rest == "statuschanged":
		return schemas.StatusChanged
	}
	switch who, _ := strings.CutPrefix(rest, "updatedby"); {
	case who == rest:
	case isAny(who, "agent", "technician", "$#technician"):
		return schemas.UpdatedByAgent
	case isAny(who, "user", "enduser", "customer"):
		return schemas.UpdatedByUser
	}
	return ""
}

func cutAny(s string, words ...string) (rest string, ok bool) {
	for _, w := range words {
		if rest, ok = strings.CutPrefix(s, w); ok {
			return rest, true
		}
	}
	return s, false
}

func isAny(s string, words ...string) bool {
	rest, ok := cutAny(s, words...)
	return ok && rest == ""
}
