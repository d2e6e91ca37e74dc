package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// agentView is the page of one agent.
type agentView struct {
	agentRow
	Users     []string // to choose from, where they are few enough
	Intervals []intervalView
	Typed     string
	Error     string
	Near      []control.User // who may have been meant
	NextPath  string         // the next unmatched agent
	Unread    bool           // the history cannot be read now
	Many      int
}

type intervalView struct {
	control.Interval
	User string
}

// fewUsers is how many a browser's list of choices is good for.
const fewUsers = 500

// agent shows one agent: whom he is mapped to, who he may be, and since when.
func (v *visit) agent(status int, view agentView) error {
	id, err := strconv.ParseUint(v.rest[0], 10, 63)
	if err != nil {
		return errNowhere
	}
	p, err := v.sound()
	if err != nil {
		return err
	}
	a, known := p.agents[schemas.AgentID(id)]
	if !known {
		return errNowhere
	}
	view.agentRow = v.agentRow(a, p)
	view.Many = len(p.userIDs)
	if len(p.userIDs) <= fewUsers {
		for _, id := range p.userIDs {
			view.Users = append(view.Users, p.address(id))
		}
		slices.Sort(view.Users)
	}
	for _, other := range p.sorted() {
		if other.State == control.Unmatched && other.ID != a.ID {
			view.NextPath = v.path(fmt.Sprintf("agents/%d", other.ID))
			if strings.ToLower(other.Name) >= strings.ToLower(a.Name) {
				break
			}
		}
	}
	var history control.History
	if err := v.get(fmt.Sprintf("/agents/%d/history", a.ID), nil, &history); err != nil {
		view.Unread = true
	}
	for _, iv := range history.Intervals {
		row := intervalView{iv, p.address(iv.UserID)}
		if iv.UserID == "" {
			row.User = "An erased user"
		}
		view.Intervals = append(view.Intervals, row)
	}
	if v.Notice, _ = v.outcome(); v.Notice != "" {
		v.Notice = map[string]string{
			"map": "Mapped. Tickets appear from now on.", "ignore": "Ignored.", "automatic": "Matched by e-mail from now on.", "unmatched": "Mapped to nobody.",
		}[v.field("did")]
	}
	title := a.Name
	if title == "" {
		title = fmt.Sprintf("Agent %d", a.ID)
	}
	return v.show(status, "agent", title, view)
}

// changeAgents does what a form of the mapping pages asks for.
func (v *visit) changeAgents() error {
	if !v.MayMap() {
		return errScope
	}
	v.limit(4 << 20)
	switch {
	case len(v.rest) == 1 && v.rest[0] == "import":
		return v.importCSV()
	case len(v.rest) == 1:
		return v.changeAgent()
	case len(v.rest) > 1:
		return errNowhere
	}
	if err := v.r.ParseForm(); err != nil {
		return control.Refuse(http.StatusBadRequest, "invalid", "The form could not be read.")
	}
	form := v.r.PostForm
	if one := form.Get("accept"); one != "" { // the button in a row
		id, user, _ := strings.Cut(one, ":")
		n, err := strconv.ParseUint(id, 10, 63)
		if err != nil {
			return errNowhere
		}
		return v.apply("map", []control.Assignment{{Agent: schemas.AgentID(n), User: schemas.UserID(user)}})
	}
	p, err := v.sound()
	if err != nil {
		return err
	}
	chosen := p.chosen(form["agent"])
	switch do := form.Get("do"); do {
	case "accept-all":
		return v.apply("map", bestSuggestions(p))
	case "accept":
		var all []control.Assignment
		for _, a := range chosen {
			if len(a.Suggestions) > 0 {
				all = append(all, control.Assignment{Agent: a.ID, User: a.Suggestions[0].UserID})
			}
		}
		return v.apply("map", all)
	case "map":
		return v.mapMany(chosen, p)
	case control.SetAutomatic, control.SetIgnored, control.SetUnmatched:
		return v.setMany(do, chosen)
	}
	return errNowhere
}

// chosen are the agents of the boxes that were ticked.
func (p people) chosen(ids []string) []control.Agent {
	var out []control.Agent
	for _, s := range ids {
		if id, err := strconv.ParseUint(s, 10, 63); err == nil {
			if a, known := p.agents[schemas.AgentID(id)]; known {
				out = append(out, a)
			}
		}
	}
	return out
}

// apply sends the assignments and goes back to the list.
func (v *visit) apply(did string, all []control.Assignment) error {
	done, failed, err := v.assign(all)
	if err != nil {
		return err
	}
	v.after(did, done, failed)
	return nil
}

// did is the word of the page that follows.
func did(set string) string {
	if set == control.SetIgnored {
		return "ignore"
	}
	return set
}

// setMany ignores agents, ends their mappings, or lets them be matched again. It asks first
// where mappings end, with their number.
func (v *visit) setMany(set string, chosen []control.Agent) error {
	ends, all := 0, make([]control.Assignment, 0, len(chosen))
	fields := []fieldValue{{"back", v.r.PostFormValue("back")}}
	for _, a := range chosen {
		if a.State == control.Matched && set != control.SetAutomatic {
			ends++
		}
		all = append(all, control.Assignment{Agent: a.ID, Set: set})
		fields = append(fields, fieldValue{"agent", fmt.Sprint(a.ID)})
	}
	if ends == 0 || v.r.PostFormValue("sure") != "" {
		return v.apply(did(set), all)
	}
	verb := map[string]string{control.SetIgnored: "Ignore", control.SetUnmatched: "Map to nobody:"}[set]
	return v.show(http.StatusOK, "ask", fmt.Sprintf("%s %s?", verb, things(len(chosen), "agent", "agents")), question{
		Words:  fmt.Sprintf("%s mapped now. Their tickets stop appearing on timelines at once; what is there stays.", are(ends)),
		Action: v.path("agents"), Do: set, Yes: fmt.Sprintf("End %s", things(ends, "mapping", "mappings")), Back: v.path("agents") + query(v.r.PostFormValue("back")), Fields: fields,
	})
}

func are(n int) string {
	if n == 1 {
		return "1 is"
	}
	return count(n) + " are"
}

func query(s string) string {
	if s == "" {
		return ""
	}
	return "?" + s
}

// changeAgent maps one agent, or says that he is nobody's.
func (v *visit) changeAgent() error {
	id, err := strconv.ParseUint(v.rest[0], 10, 63)
	if err != nil {
		return errNowhere
	}
	a := control.Assignment{Agent: schemas.AgentID(id)}
	back := fmt.Sprintf("agents/%d", id)
	switch do := v.r.PostFormValue("do"); do {
	case control.SetAutomatic, control.SetIgnored, control.SetUnmatched:
		a.Set = do
	case "map":
		a.User = schemas.UserID(v.r.PostFormValue("user"))
		if a.User == "" {
			p, err := v.sound()
			if err != nil {
				return err
			}
			typed := strings.TrimSpace(v.r.PostFormValue("who"))
			found, near := p.find(typed)
			if found == "" {
				view := agentView{Typed: typed, Near: near, Error: "Nobody in WorkSights has this e-mail or user id. Whoever is not in WorkSights yet has to be added there first."}
				if typed == "" {
					view.Error = "Enter an e-mail or a user id."
				}
				return v.agent(http.StatusUnprocessableEntity, view)
			}
			a.User = found
		}
	default:
		return errNowhere
	}
	did := did(a.Set)
	if a.User != "" {
		did = "map"
	}
	body := map[string]string{"user_id": string(a.User)}
	if a.Set != "" {
		body = map[string]string{"set": a.Set}
	}
	if err := v.do(http.MethodPut, fmt.Sprintf("/agents/%d/user", id), body, nil); err != nil {
		return err
	}
	v.redirect(v.path(back, "did", did, "n", "1"))
	return nil
}

// find is the user who was typed, by e-mail or id; else who may have been meant.
func (p people) find(typed string) (schemas.UserID, []control.User) {
	want := strings.ToLower(typed)
	if want == "" {
		return "", nil
	}
	if _, known := p.emails[schemas.UserID(typed)]; known {
		return schemas.UserID(typed), nil
	}
	var same, near []control.User
	for _, id := range p.userIDs {
		email := strings.ToLower(p.emails[id])
		switch {
		case email == want:
			same = append(same, control.User{ID: id, Email: p.emails[id]})
		case len(near) < 5 && (strings.Contains(email, want) || strings.Contains(strings.ToLower(string(id)), want)):
			near = append(near, control.User{ID: id, Email: p.emails[id]})
		}
	}
	if len(same) == 1 {
		return same[0].ID, nil
	}
	return "", append(same, near...)
}

// manyView maps several agents, each to a user of his own.
type manyView struct {
	Rows  []manyRow
	Users []string
	Back  string
	Wrong int
}

type manyRow struct {
	agentRow
	Typed, Error string
}

// mapMany shows a row for each agent, and maps them once each has a user.
func (v *visit) mapMany(chosen []control.Agent, p people) error {
	view := manyView{Back: v.r.PostFormValue("back")}
	send := v.r.PostFormValue("sure") != ""
	var all []control.Assignment
	for _, a := range chosen {
		row := manyRow{agentRow: v.agentRow(a, p), Typed: strings.TrimSpace(v.r.PostFormValue(fmt.Sprintf("who-%d", a.ID)))}
		switch {
		case !send && a.UserID != nil:
			row.Typed = p.address(*a.UserID)
		case !send && row.Best != nil:
			row.Typed = p.address(row.Best.UserID)
		case send && row.Typed != "":
			user, _ := p.find(row.Typed)
			if user == "" {
				row.Error = "Nobody in WorkSights has this e-mail or user id."
				view.Wrong++
			}
			all = append(all, control.Assignment{Agent: a.ID, User: user})
		}
		view.Rows = append(view.Rows, row)
	}
	if send && view.Wrong == 0 {
		return v.apply("map", all)
	}
	if len(view.Rows) == 0 {
		v.redirect(v.path("agents") + query(view.Back))
		return nil
	}
	if len(p.userIDs) <= fewUsers {
		for _, id := range p.userIDs {
			view.Users = append(view.Users, p.address(id))
		}
		slices.Sort(view.Users)
	}
	status := http.StatusOK
	if view.Wrong > 0 {
		status = http.StatusUnprocessableEntity
	}
	return v.show(status, "many", fmt.Sprintf("Map %s", things(len(view.Rows), "agent", "agents")), view)
}
