package connect

import (
	"strings"

	"github.com/worksights/halo-connector/schemas"
)

// desired says whom each agent should be mapped to, from what is known of the
// tenant; agents that should be mapped to nobody are not in it.
//
//   - What was mapped or unmapped by hand stays so.
//   - Disabled and API agents are out before e-mails are compared.
//   - Else an agent is matched to the one user with its e-mail, without regard
//     to case, provided that it is the one agent with it. Two of either: nobody.
//   - Nobody is mapped to a user who is not in the directory.
//   - Where nothing is known nothing changes: an agent that the last list
//     lacks, or gave without an e-mail, keeps whom it is mapped to.
//
// current says whom an agent is mapped to now.
func desired(s state, current func(schemas.AgentID) (schemas.UserID, bool)) map[schemas.AgentID]schemas.UserID {
	if !s.known() {
		return nil
	}
	m := newMatcher(s)
	want := make(map[schemas.AgentID]schemas.UserID)
	for _, a := range s.Agents {
		now, mapped := current(a.ID)
		by, byHand := s.Hand[a.ID]
		switch {
		case byHand:
			// Without a directory there is nothing that a user could be missing
			// from: then a mapping by hand is taken at its word.
			if by != "" && (s.Users == nil || s.user(by)) {
				want[a.ID] = by
			}
		case a.Disabled || a.API:
		case a.Missing || email(a.Email) == "":
			if mapped && (s.Users == nil || s.user(now)) {
				want[a.ID] = now
			}
		default:
			if user := m.user(a); user != "" {
				want[a.ID] = user
			}
		}
	}
	return want
}

// matcher compares e-mails.
type matcher struct {
	state
	users  map[string]schemas.UserID // by e-mail; "" where two users have it
	agents map[string]int            // how many take part with an e-mail
}

func newMatcher(s state) matcher {
	m := matcher{s, make(map[string]schemas.UserID, len(s.Users)), make(map[string]int, len(s.Agents))}
	for _, u := range s.Users {
		e := email(u.Email)
		if other, taken := m.users[e]; taken && other != u.ID {
			m.users[e] = ""
			continue
		}
		m.users[e] = u.ID
	}
	for _, a := range s.Agents {
		if !a.Disabled && !a.API && !a.Missing {
			m.agents[email(a.Email)]++
		}
	}
	return m
}

// user is the one user with the agent's e-mail; "" where there is none, or
// more than one of either.
func (m matcher) user(a Agent) schemas.UserID {
	e := email(a.Email)
	if e == "" || m.agents[e] != 1 {
		return ""
	}
	return m.users[e]
}

// unmatchedReasons are the codes that why returns, and how they are said after
// a number of agents.
var unmatchedReasons = []struct{ code, words string }{
	{"unmapped_by_hand", "unmapped by hand"},
	{"user_gone", "mapped by hand to a user who is no longer in the directory"},
	{"no_email", "without an e-mail in Halo"},
	{"shared_email", "sharing an e-mail with another agent"},
	{"ambiguous_user", "whose e-mail belongs to several WorkSights users"},
	{"no_user", "whose e-mail no WorkSights user has"},
}

// why says why an agent who takes part is matched to nobody.
func (m matcher) why(a Agent) string {
	e := email(a.Email)
	by, byHand := m.Hand[a.ID]
	user, known := m.users[e]
	switch {
	case byHand && by == "":
		return "unmapped_by_hand"
	case byHand:
		return "user_gone"
	case e == "":
		return "no_email"
	case m.agents[e] > 1:
		return "shared_email"
	case known && user == "":
		return "ambiguous_user"
	}
	return "no_user"
}

// email is an address as it is compared.
func email(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// The states of an agent.
const (
	Matched   = "matched"   // mapped to a user
	Unmatched = "unmatched" // not mapped; its events are skipped as unmapped
	Ignored   = "ignored"   // disabled, or a machine; not mapped
)

// agentState says how an agent stands, mapped being whether it has an open
// mapping.
func agentState(a Agent, mapped bool) string {
	switch {
	case mapped:
		return Matched
	case a.Disabled || a.API:
		return Ignored
	}
	return Unmatched
}

// changes are the mappings that differ from want, as they should be from the
// instant at on. Those of agents that want does not name are closed.
func changes(now map[schemas.AgentID]schemas.Mapping, want map[schemas.AgentID]schemas.UserID, tenant schemas.Tenant, at instant) []schemas.Mapping {
	var out []schemas.Mapping
	for agent, m := range now {
		if _, open := m.Current(); open {
			if _, wanted := want[agent]; !wanted {
				out = append(out, m.Close(at.from))
			}
		}
	}
	for agent, user := range want {
		m, ok := now[agent]
		if !ok {
			m = schemas.Mapping{Tenant: tenant, Agent: agent}
		}
		if cur, open := m.Current(); !open || cur.User != user {
			out = append(out, m.Assign(user, at.from, ""))
		}
	}
	return out
}
