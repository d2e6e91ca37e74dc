// Package match says which WorkSights user each Halo agent is.
//
// It promises that the same facts give the same answer, in the same order: it
// takes values and returns values, and knows no clock, no Kafka and no Halo. And
// that nothing ends by what is not known: an agent whom the last list lacks, or
// gave without an e-mail, keeps whom he is mapped to, and so does everybody while
// no directory of users was given.
package match

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// A Matcher compares the agents of one tenant with its users.
type Matcher struct {
	state    ledger.State
	mappings map[schemas.AgentID]schemas.Mapping

	users  map[string]schemas.UserID // by e-mail; "" where two users have it
	known  map[schemas.UserID]bool
	agents map[string]int // how many take part with an e-mail

	guess *guesses // made with the first suggestion
}

// New prepares to match the state's agents, who are mapped as mappings say.
func New(s ledger.State, mappings map[schemas.AgentID]schemas.Mapping) *Matcher {
	m := &Matcher{
		state: s, mappings: mappings,
		users:  make(map[string]schemas.UserID, len(s.Users)),
		known:  make(map[schemas.UserID]bool, len(s.Users)),
		agents: make(map[string]int, len(s.Agents)),
	}
	for _, u := range s.Users {
		m.known[u.ID] = true
		e := address(u.Email)
		if e == "" {
			continue
		}
		if other, taken := m.users[e]; taken && other != u.ID {
			m.users[e] = ""
			continue
		}
		m.users[e] = u.ID
	}
	for _, a := range s.Agents {
		if !a.Disabled && !a.API && !a.Missing {
			m.agents[address(a.Email)]++
		}
	}
	return m
}

// Of is New for a tenant as it is.
func Of(s *ledger.Snapshot) *Matcher { return New(s.State, s.Mappings) }

// Desired says whom each agent should be mapped to; agents that should be mapped
// to nobody are not in it.
//
//   - What was said by hand holds, as long as the directory has the user.
//   - Disabled and API agents are out before e-mails are compared.
//   - Else an agent is matched to the one user with his e-mail, without regard to
//     case, provided that he is the one agent with it. Two of either: nobody.
//   - An agent who is kept has whom he has: see Kept.
//   - Nobody is mapped to a user who is not in the directory.
//   - Where nothing is known nothing changes.
func (m *Matcher) Desired() map[schemas.AgentID]schemas.UserID {
	want := make(map[schemas.AgentID]schemas.UserID, len(m.state.Agents))
	listed := make(map[schemas.AgentID]bool, len(m.state.Agents))
	for _, a := range m.state.Agents {
		listed[a.ID] = true
		if user := m.desired(a); user != "" {
			want[a.ID] = user
		}
	}
	// Of an agent who is in no list nothing is known but his mapping.
	for id := range m.mappings {
		if user, mapped := m.mapped(id); mapped && !listed[id] && m.may(user) {
			want[id] = user
		}
	}
	return want
}

func (m *Matcher) desired(a ledger.Agent) schemas.UserID {
	now, mapped := m.mapped(a.ID)
	by, byHand := m.state.Hand[a.ID]
	switch {
	case byHand:
		if m.may(by) {
			return by
		}
	case a.Disabled || a.API:
	case m.state.Users == nil || a.Missing || address(a.Email) == "":
		if mapped && m.may(now) {
			return now
		}
	case mapped && m.state.Kept[a.ID] == now && m.may(now):
		return now
	default:
		return m.user(a)
	}
	return ""
}

// Kept are the agents whose users are in the directory and are not those whom their
// e-mails say. A change of the directory ends the mappings of those who are taken out
// of it, and no others.
func Kept(s ledger.State, mappings map[schemas.AgentID]schemas.Mapping) map[schemas.AgentID]schemas.UserID {
	kept := make(map[schemas.AgentID]schemas.UserID)
	m := New(s, mappings)
	for _, a := range s.Agents {
		_, byHand := s.Hand[a.ID]
		if now, mapped := m.mapped(a.ID); mapped && m.may(now) && !byHand && !a.Disabled && !a.API && m.user(a) != now {
			kept[a.ID] = now
		}
	}
	return kept
}

// may says whether somebody may be mapped to the user. Without a directory there
// is nothing that a user could be missing from: then he is taken at his word.
func (m *Matcher) may(user schemas.UserID) bool {
	return user != "" && (m.state.Users == nil || m.known[user])
}

// user is the one user with the agent's e-mail; "" where there is none, or more
// than one of either.
func (m *Matcher) user(a ledger.Agent) schemas.UserID {
	e := address(a.Email)
	if e == "" || m.agents[e] != 1 {
		return ""
	}
	return m.users[e]
}

func (m *Matcher) mapped(agent schemas.AgentID) (schemas.UserID, bool) {
	cur, ok := m.mappings[agent].Current()
	return cur.User, ok
}

// State says how an agent stands, and why where he is mapped to nobody.
func (m *Matcher) State(a ledger.Agent) (state, reason string) {
	if _, mapped := m.mapped(a.ID); mapped {
		return control.Matched, ""
	}
	by, byHand := m.state.Hand[a.ID]
	switch e := address(a.Email); {
	case byHand && by == "" && m.state.Ignored[a.ID]:
		return control.Ignored, control.ByHand
	case byHand && by == "":
		return control.Unmatched, control.ByHand
	case a.Disabled:
		return control.Ignored, control.Disabled
	case a.API:
		return control.Ignored, control.APIAgent
	case byHand: // to a user who left the directory
		return control.Unmatched, control.NoUser
	case e == "":
		return control.Unmatched, control.NoEmail
	case m.agents[e] > 1:
		return control.Unmatched, control.SharedEmail
	default:
		if user, there := m.users[e]; there && user == "" {
			return control.Unmatched, control.AmbiguousEmail
		}
		return control.Unmatched, control.NoUser
	}
}

// Agent is the agent as the API shows him.
func (m *Matcher) Agent(a ledger.Agent) control.Agent {
	out := control.Agent{ID: a.ID, Name: a.Name, Email: a.Email, Missing: a.Missing}
	out.State, out.Reason = m.State(a)
	if cur, mapped := m.mappings[a.ID].Current(); mapped {
		from := cur.From
		out.UserID, out.Since, out.MatchedBy = &cur.User, &from, "email"
		if by, byHand := m.state.Hand[a.ID]; byHand && by == cur.User {
			out.MatchedBy = "hand"
		}
	}
	if out.State == control.Unmatched && out.Reason != control.ByHand {
		out.Suggestions = m.suggest(a)
	}
	return out
}

// Count counts the agents by their states.
func (m *Matcher) Count() control.AgentCounts {
	var n control.AgentCounts
	for _, a := range m.state.Agents {
		n.Total++
		switch state, _ := m.State(a); state {
		case control.Matched:
			n.Matched++
		case control.Unmatched:
			n.Unmatched++
		default:
			n.Ignored++
		}
	}
	return n
}

// Changes are the mappings that differ from want, as they are when they change at
// the instant at by the hand of by, in the order of the agents. Those of agents
// that want does not name are closed.
func Changes(s *ledger.Snapshot, want map[schemas.AgentID]schemas.UserID, at time.Time, by string) []schemas.Mapping {
	var out []schemas.Mapping
	for agent, m := range s.Mappings {
		if _, open := m.Current(); open && want[agent] == "" {
			out = append(out, m.Close(at))
		}
	}
	for agent, user := range want {
		m, ok := s.Mappings[agent]
		if !ok {
			m = schemas.Mapping{Tenant: s.Tenant, Agent: agent}
		}
		if cur, open := m.Current(); user != "" && (!open || cur.User != user) {
			out = append(out, m.Assign(user, at, by))
		}
	}
	slices.SortFunc(out, func(a, b schemas.Mapping) int { return cmp.Compare(a.Agent, b.Agent) })
	return out
}

// Ended counts the open intervals of the snapshot that changes end.
func Ended(s *ledger.Snapshot, changes []schemas.Mapping) int {
	n := 0
	for _, m := range changes {
		if _, open := s.Mapped(m.Agent); open {
			n++
		}
	}
	return n
}

// Listed are the agents of a new list, and of the old one those that are mapped
// and not in it. A list that is not whole makes nobody missing, and loses nobody.
func Listed(s *ledger.Snapshot, list []ledger.Agent, whole bool) []ledger.Agent {
	agents := make([]ledger.Agent, 0, len(list))
	seen := make(map[schemas.AgentID]bool, len(list))
	for _, a := range list {
		if a.ID.Person() && !seen[a.ID] {
			seen[a.ID] = true
			agents = append(agents, a)
		}
	}
	for _, a := range s.Agents {
		if seen[a.ID] {
			continue
		}
		if _, mapped := s.Mapped(a.ID); whole && !mapped {
			continue
		}
		a.Missing = a.Missing || whole
		agents = append(agents, a)
	}
	slices.SortFunc(agents, func(a, b ledger.Agent) int { return cmp.Compare(a.ID, b.ID) })
	return agents
}

// Recognised are the decisions by hand that hold in another Halo than the one for
// which they were made: of those whom it gives the same id, name and e-mail. It
// may be the same Halo under another name, and none of its answers tells: authinfo
// names a tenant for hosted ones only (halo-facts 2).
func Recognised(s ledger.State, list []ledger.Agent) map[schemas.AgentID]schemas.UserID {
	hand := make(map[schemas.AgentID]schemas.UserID)
	for _, a := range list {
		was, known := s.Agent(a.ID)
		user, byHand := s.Hand[a.ID]
		if known && byHand && address(a.Email) != "" && address(a.Email) == address(was.Email) && a.Name == was.Name {
			hand[a.ID] = user
		}
	}
	return hand
}

// Rescued is what the mappings still tell of a tenant whose record is lost: who
// is mapped stays mapped until the directory says otherwise, and who was unmapped
// stays so until somebody gives him back to matching. Nobody knows any more what
// of it was done by hand, so all of it is taken for that.
func Rescued(mappings map[schemas.AgentID]schemas.Mapping) (agents []ledger.Agent, hand map[schemas.AgentID]schemas.UserID) {
	hand = make(map[schemas.AgentID]schemas.UserID, len(mappings))
	for _, id := range slices.Sorted(maps.Keys(mappings)) {
		cur, open := mappings[id].Current()
		hand[id] = cur.User
		if open {
			agents = append(agents, ledger.Agent{ID: id, Missing: true})
		}
	}
	return agents, hand
}

// address is an e-mail as it is compared.
func address(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
