package halotest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/worksights/halo-connector/schemas"
)

// Agent is one of the tenant's agents. Row 1, "Unassigned", is always there.
type Agent struct {
	ID       schemas.AgentID
	Name     string
	Email    string
	Disabled bool
	API      bool
}

// AddAgent adds an agent and returns its id: a.ID, or the next free one where
// that is 0.
func (s *Sim) AddAgent(a Agent) schemas.AgentID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.ID == 0 {
		a.ID = 2
		for _, b := range s.agents {
			a.ID = max(a.ID, b.ID+1)
		}
	}
	s.agents = append(s.agents, a)
	return a.ID
}

// ChangeAgent lets edit change the agent's row, such as Disabled.
func (s *Sim) ChangeAgent(id schemas.AgentID, edit func(*Agent)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.agents {
		if s.agents[i].ID == id {
			edit(&s.agents[i])
		}
	}
}

// DisableAgent switches an agent off.
func (s *Sim) DisableAgent(id schemas.AgentID) {
	s.ChangeAgent(id, func(a *Agent) { a.Disabled = true })
}

// Agents lists the agents as they are.
func (s *Sim) Agents() []Agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.agents)
}

// HideAgents makes the list of agents empty, which is how one wrong role
// shows.
func (s *Sim) HideAgents(hidden bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agentsHidden = hidden
}

// DenyAgents makes the list of agents answer 403, which is how another wrong
// role shows. Like every permission it is baked into tokens: those issued
// before keep what they had.
func (s *Sim) DenyAgents(denied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agentsDenied = denied
}

func (s *Sim) listAgents(w http.ResponseWriter, r *http.Request, t token) {
	if !t.seeAgents {
		complain(w, http.StatusForbidden, "You do not have permission to view agents.")
		return
	}
	query := r.URL.Query()
	s.mu.Lock()
	rows := []any{s.agentRow(Agent{ID: 1, Name: "Unassigned"})}
	for _, a := range s.agents {
		switch {
		case a.API && query.Get("includeapiagents") != "true":
		case a.Disabled && query.Get("includedisabled") != "true":
		case !a.Disabled && query.Get("includeenabled") == "false":
		default:
			rows = append(rows, s.agentRow(a))
		}
	}
	if s.agentsHidden {
		rows = []any{}
	}
	s.mu.Unlock()

	s.replyList(w, query, "agents", rows)
}

// agentRow is a row with the fields that surround the few which matter.
func (s *Sim) agentRow(a Agent) map[string]any {
	return map[string]any{
		"id": s.number(int64(a.ID)), "name": a.Name, "email": a.Email,
		"isdisabled": a.Disabled, "isapiagent": a.API,
		"initials": initials(a.Name), "team": "Service Desk", "jobtitle": "Service Desk Analyst",
		"phonenumber": "", "colour": "#2bd3c6", "is_chat_agent": false, "use": "agent",
		"onlinestatus": 0, "workday_id": 1, "key": fmt.Sprintf("agent-%d", a.ID),
	}
}

// replyList answers with a list, or the page of it that was asked for, in the
// tenant's shape.
func (s *Sim) replyList(w http.ResponseWriter, query url.Values, member string, rows []any) {
	total := len(rows)
	switch n, err := strconv.Atoi(query.Get("count")); {
	case s.cfg.IgnorePaging:
	case query.Get("pageinate") == "true":
		size, _ := strconv.Atoi(query.Get("page_size"))
		if size < 1 || size > s.cfg.PageCap {
			size = s.cfg.PageCap
		}
		page, _ := strconv.Atoi(query.Get("page_no"))
		from := min(max(page-1, 0)*size, total)
		rows = rows[from:min(from+size, total)]
	default:
		if err == nil && n < len(rows) {
			rows = rows[:max(n, 0)]
		}
		if s.cfg.ListCap > 0 {
			rows = rows[:min(len(rows), s.cfg.ListCap)]
		}
	}
	if rows == nil {
		rows = []any{}
	}
	if s.cfg.Objects {
		reply(w, http.StatusOK, map[string]any{"record_count": total + s.cfg.Overcount, member: rows})
		return
	}
	reply(w, http.StatusOK, rows)
}

// number is a numeric id as this tenant writes it.
func (s *Sim) number(n int64) any {
	if s.cfg.StringIDs {
		return strconv.FormatInt(n, 10)
	}
	return n
}
