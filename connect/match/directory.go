package match

import (
	"cmp"
	"slices"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// Directory is the directory after a change, ordered by user; nil where none was
// given before or now. changed is false where it is what it was.
func Directory(now []ledger.User, c control.UsersChange) (next []ledger.User, changed bool) {
	if !c.Replace {
		next = slices.Clone(now)
	} else {
		next = []ledger.User{}
	}
	set := make(map[schemas.UserID]bool, len(c.Set)+len(c.Remove))
	for _, u := range c.Set {
		set[u.ID] = true
	}
	for _, id := range c.Remove {
		set[id] = true
	}
	if len(set) > 0 {
		next = slices.DeleteFunc(next, func(u ledger.User) bool { return set[u.ID] })
	}
	for _, u := range c.Set {
		next = append(next, ledger.User{ID: u.ID, Email: u.Email})
	}
	slices.SortStableFunc(next, func(a, b ledger.User) int { return cmp.Compare(a.ID, b.ID) })
	return next, (now == nil) != (next == nil) || !slices.Equal(sorted(now), next)
}

// sorted is the directory by user: an older one may have been kept as it came.
func sorted(users []ledger.User) []ledger.User {
	users = slices.Clone(users)
	slices.SortStableFunc(users, func(a, b ledger.User) int { return cmp.Compare(a.ID, b.ID) })
	return users
}

// Users is the directory as the API shows it.
func Users(users []ledger.User) []control.User {
	out := make([]control.User, len(users))
	for i, u := range sorted(users) {
		out[i] = control.User{ID: u.ID, Email: u.Email}
	}
	return out
}

// TooMany says whether a change of the directory ends so many of the open
// mappings that somebody has to say their number: more than five, and more than
// a fifth. A file that lost half its lines looks like one from which people left.
func TooMany(ended, open int) bool { return ended > 5 && ended*5 > open }

// Open counts the tenant's open mappings.
func Open(s *ledger.Snapshot) int {
	n := 0
	for id := range s.Mappings {
		if _, open := s.Mapped(id); open {
			n++
		}
	}
	return n
}
