package console

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// missingView is the page that finds out why something is missing.
type missingView struct {
	Questions  []questionView
	Ticket     string      // as it was typed
	Bad        string      // why it is no ticket's number
	Events     []eventView // those that are not shown come first
	Hidden     int         // of them
	Shown      int
	More       bool // there are more events of the ticket than are shown
	Searched   bool
	Deliveries []deliveryView
	Unread     bool // the deliveries cannot be read now
}

// questionView is a question of the customers' guide with its answer.
type questionView struct {
	control.Question
	Title  string
	Facts  []fact
	Button *button
}

type fact struct{ Name, Value string }

// eventView is an event of a ticket and what became of it.
type eventView struct {
	control.Event
	Why      []string
	Arrivals int
	Agent    string
	User     string
	Unread   bool

	AgentPath string // where Halo lists him
}

type deliveryView struct {
	control.Delivery
	Words, Fields string
}

// shownEvents bounds the explanations that one page asks for.
const shownEvents = 20

func (v *visit) missing() error {
	if len(v.rest) > 0 {
		return errNowhere
	}
	view := missingView{Ticket: strings.TrimPrefix(v.field("ticket"), "#")}
	if view.Ticket != "" {
		if err := v.lookUp(&view); err != nil {
			return err
		}
	}
	// Each is asked of another source; the page is as slow as the slowest.
	var diagnosis control.Diagnosis
	var deliveries control.Deliveries
	var wait sync.WaitGroup
	var failed error
	wait.Go(func() { failed = v.get("/diagnosis", nil, &diagnosis) })
	wait.Go(func() { view.Unread = v.get("/deliveries", url.Values{"limit": {"50"}}, &deliveries) != nil })
	wait.Wait()
	if failed != nil {
		return failed
	}
	for _, q := range diagnosis.Questions {
		view.Questions = append(view.Questions, v.questionView(q))
	}
	for _, d := range deliveries.Deliveries {
		view.Deliveries = append(view.Deliveries, deliveryView{d, deliveryWords(d.Result), strings.Join(d.Fields, ", ")})
	}
	return v.show(http.StatusOK, "missing", "Missing something?", view)
}

// lookUp explains what arrived of a ticket.
func (v *visit) lookUp(view *missingView) error {
	n, err := strconv.ParseUint(view.Ticket, 10, 63)
	if err != nil || n == 0 {
		view.Bad = "A ticket’s number has digits only, such as 1042."
		return nil
	}
	var events control.Events
	if err := v.get("/events", url.Values{"ticket": {view.Ticket}, "limit": {"100"}}, &events); err != nil {
		return err
	}
	view.Searched = true
	view.More = events.Next != "" || len(events.Events) > shownEvents
	people, err := v.people()
	if err != nil {
		return err
	}
	for _, e := range events.Events[:min(len(events.Events), shownEvents)] {
		row := eventView{Event: e, User: people.user(e.User), Agent: people.agent(e.Agent)}
		var why control.Explanation
		if err := v.get("/events/"+url.PathEscape(e.ID), nil, &why); err != nil {
			row.Unread = true
		}
		for _, sentence := range why.Why {
			row.Why = append(row.Why, people.named(sentence))
		}
		row.Arrivals = why.Arrivals
		if a, listed := people.agents[e.Agent]; listed {
			row.AgentPath = v.agentRow(a, people).Path
		}
		if view.Shown++; e.Outcome != control.OutcomeActivity {
			view.Shown--
			view.Hidden++
		}
		view.Events = append(view.Events, row)
	}
	slices.SortStableFunc(view.Events, func(a, b eventView) int { return cmp.Compare(b.Outcome, a.Outcome) })
	return nil
}

func (v *visit) questionView(q control.Question) questionView {
	view := questionView{Question: q}
	conn := button{Words: "Refresh Connection", Path: v.path("connection"), Do: "refresh"}
	switch q.ID {
	case control.AgentsMissing:
		view.Title = "Agents are not appearing in the user mapping step"
		if n, _ := q.Facts["unmatched"].(float64); n > 0 {
			view.Button = &button{Words: "Map agents", Path: v.path("agents", "state", control.Unmatched)}
		} else if v.MayMap() {
			view.Button = &conn
		}
	case control.ActivityMissing:
		view.Title = "Ticket activity is not appearing on the timeline"
		if _, some := q.Facts["unmapped_agents"]; some {
			view.Button = &button{Words: "Map agents", Path: v.path("agents", "state", control.Unmatched)}
		}
	case control.NoEvents:
		view.Title = "The connection shows as active but no events are coming through"
		if on, known := q.Facts["webhook_active"].(bool); known && !on && v.MayManage() {
			view.Button = &button{Words: "Reconnect", Path: v.path("connection"), Do: "reconnect"}
		}
	default:
		view.Title = sentence(q.ID)
	}
	for name, value := range q.Facts {
		if text := v.factValue(name, value); text != "" {
			view.Facts = append(view.Facts, fact{factName(name), text})
		}
	}
	slices.SortFunc(view.Facts, func(a, b fact) int { return cmp.Compare(a.Name, b.Name) })
	return view
}

func deliveryWords(result string) string {
	switch result {
	case "malformed":
		return "Not JSON"
	case "too_large":
		return "Too large"
	case "rate_limited":
		return "Too many at once"
	case "unavailable":
		return "Could not be kept at that moment"
	case "unauthorized":
		return "Wrong secret"
	case "undecodable":
		return "No ticket found in it"
	}
	return sentence(result)
}

// people are a tenant's agents and users by id, for their names.
type people struct {
	agents  map[schemas.AgentID]control.Agent
	emails  map[schemas.UserID]string
	byUser  map[schemas.UserID]control.Agent
	userIDs []schemas.UserID
	order   []control.Agent // by name
}

// people reads both lists. A tenant without a connection has no agents.
func (v *visit) people() (people, error) {
	p := people{agents: map[schemas.AgentID]control.Agent{}, emails: map[schemas.UserID]string{}, byUser: map[schemas.UserID]control.Agent{}}
	var agents control.Agents
	if err := v.get("/agents", nil, &agents); err != nil && !isCode(err, "not_connected", "sealed") {
		return p, err
	}
	var users control.Users
	if err := v.get("/users", nil, &users); err != nil && !isCode(err, "not_connected", "sealed") {
		return p, err
	}
	p.fill(agents.Agents, users.Users)
	return p, nil
}

func (p *people) fill(agents []control.Agent, users []control.User) {
	p.order = byName(agents)
	for _, a := range agents {
		p.agents[a.ID] = a
		if a.UserID != nil {
			p.byUser[*a.UserID] = a
		}
	}
	for _, u := range users {
		p.emails[u.ID] = u.Email
		p.userIDs = append(p.userIDs, u.ID)
	}
}

// user is a user as he is named: by the agent who is he, else by e-mail.
func (p people) user(id schemas.UserID) string {
	if a, ok := p.byUser[id]; ok && a.Name != "" {
		return a.Name
	}
	return p.address(id)
}

var idInText = regexp.MustCompile(`\b([Aa]gent|user) ([^\s,.]+)`)

// named is a sentence of the API with names beside the ids that it gives.
func (p people) named(sentence string) string {
	return idInText.ReplaceAllStringFunc(sentence, func(said string) string {
		what, id, _ := strings.Cut(said, " ")
		if n, err := strconv.ParseUint(id, 10, 63); err == nil && strings.EqualFold(what, "agent") {
			if a, ok := p.agents[schemas.AgentID(n)]; ok && a.Name != "" {
				return a.Name
			}
		}
		if e := p.emails[schemas.UserID(id)]; e != "" && what == "user" {
			return e
		}
		return said
	})
}

// address is a user's e-mail, or his id where there is none.
func (p people) address(id schemas.UserID) string {
	if e := p.emails[id]; e != "" {
		return e
	}
	return string(id)
}

func (p people) agent(id schemas.AgentID) string {
	if id == 0 {
		return ""
	}
	if a, ok := p.agents[id]; ok && a.Name != "" {
		return a.Name
	}
	return "agent " + strconv.FormatUint(uint64(id), 10)
}
