package boundary

import (
	"maps"
	"slices"
	"strings"
)

// rooms are the parts of connect: what of this module each may import beside
// schemas. What a room does not name it does not know: lead nothing of Halo, match
// nothing but values, and Kafka is known where tenants are kept and where one is
// elected, and nowhere else.
var rooms = map[string][]string{
	"connect/lead":   {"internal/kafka"},
	"connect/ledger": {"connect/vault", "internal/kafka", "internal/metric", "internal/table"},
	"connect/match":  {"connect/ledger", "internal/control"},
	"connect/care":   {"connect/halopsa", "connect/ledger", "connect/match", "internal/control", "internal/metric"},
	"connect/api":    {"connect/access", "connect/halopsa", "connect/vault", "internal/control", "internal/harmless", "internal/metric"},
}

// kafkaClient begins the imports of Kafka's client.
const kafkaClient = "github.com/twmb/franz-go/"

// checkRooms returns a sentence for each file of a room that imports more than it
// may. Tests may import what they like.
func checkRooms(files []File, blame func(File, string, ...any)) {
	for _, f := range files {
		may, room := rooms[f.Package]
		if !room || f.test() {
			continue
		}
		for _, imported := range f.Imports {
			target, ours := strings.CutPrefix(imported, own)
			switch {
			case ours && target != "schemas" && !slices.Contains(may, target):
				blame(f, "imports %s: the room may know %s", target, strings.Join(append([]string{"schemas"}, may...), ", "))
			case !ours && strings.HasPrefix(target, kafkaClient) && !slices.Contains(may, "internal/kafka"):
				blame(f, "imports %s: Kafka is for %s", target, strings.Join(slices.DeleteFunc(slices.Sorted(maps.Keys(rooms)), func(r string) bool {
					return !slices.Contains(rooms[r], "internal/kafka")
				}), " and "))
			}
		}
	}
}
