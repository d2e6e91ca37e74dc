package match

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// mostSuggestions is how many users are offered for an agent: more would be a
// list to search in.
const mostSuggestions = 3

// guesses finds users by the part of their e-mail before the "@".
type guesses struct {
	local map[string][]ledger.User
	taken map[schemas.UserID]schemas.AgentID // whom the user's agent is
}

func (m *Matcher) guesses() *guesses {
	if m.guess == nil {
		g := &guesses{local: make(map[string][]ledger.User, len(m.state.Users)), taken: make(map[schemas.UserID]schemas.AgentID)}
		for _, u := range m.state.Users {
			if l := local(u.Email); l != "" {
				g.local[l] = append(g.local[l], u)
			}
		}
		for id := range m.mappings {
			if user, mapped := m.mapped(id); mapped {
				g.taken[user] = id
			}
		}
		m.guess = g
	}
	return m.guess
}

// suggest says who an agent may be: users whose e-mail begins as his does, or is
// made of his name in one of the usual ways. The first two ways are the ones
// that are seldom wrong. A user who has another agent is nobody's suggestion.
func (m *Matcher) suggest(a ledger.Agent) []control.Suggestion {
	type guess struct {
		control.Suggestion
		rank int
	}
	var all []guess
	g := m.guesses()
	met := make(map[schemas.UserID]bool)
	try := func(rank int, name, confidence, because string) {
		for _, u := range g.local[name] {
			if other, taken := g.taken[u.ID]; met[u.ID] || taken && other != a.ID {
				continue
			}
			met[u.ID] = true
			s := control.Suggestion{UserID: u.ID, Email: u.Email, Confidence: confidence, Because: because}
			r := rank
			if rank == 1 && address(u.Email) == address(a.Email) {
				r, s.Because = 0, "has the same e-mail"
			}
			all = append(all, guess{s, r})
		}
	}
	if own := local(a.Email); own != "" {
		try(1, own, "high", "has an e-mail that begins with the same "+own)
	}
	if first, last, ok := names(a.Name); ok && last != "" {
		initial := string([]rune(first)[:1])
		try(2, first+"."+last, "high", "has an e-mail made of the agent's first and last name")
		try(3, initial+"."+last, "medium", "has an e-mail made of the agent's initial and last name")
		try(4, initial+last, "medium", "has an e-mail made of the agent's initial and last name")
		try(5, first, "low", "has an e-mail made of the agent's first name")
	} else if ok {
		try(5, first, "low", "has an e-mail made of the agent's name")
	}
	slices.SortStableFunc(all, func(a, b guess) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.UserID, b.UserID))
	})
	var out []control.Suggestion
	for _, s := range all[:min(len(all), mostSuggestions)] {
		out = append(out, s.Suggestion)
	}
	return out
}

// local is what stands before the "@" of an e-mail, as it is compared.
func local(email string) string {
	l, _, found := strings.Cut(address(email), "@")
	if !found {
		return ""
	}
	return l
}

// names are an agent's first and last name in small letters; last is empty where
// he has one name only.
func names(name string) (first, last string, ok bool) {
	var parts []string
	for part := range strings.FieldsSeq(strings.ToLower(name)) {
		part = strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' {
				return r
			}
			return -1
		}, part)
		if part != "" {
			parts = append(parts, part)
		}
	}
	switch len(parts) {
	case 0:
		return "", "", false
	case 1:
		return parts[0], "", true
	}
	return parts[0], parts[len(parts)-1], true
}
