package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// perPage is how many agents one page shows: with 200 rows it stays below 300 kB
// and is drawn at once; a tenant of the usual size fits on one.
const perPage = 200

// suggested is the filter for agents of whom somebody is suggested.
const suggested = "suggested"

// agentsView is the page of all agents.
type agentsView struct {
	Agents      control.AgentCounts
	Tabs        []tab
	State, Q    string
	Rows        []agentRow
	Found       int // rows that the filter finds, on all pages
	From, To    int
	Prev, Next  string
	Suggestions int    // that can be accepted at once
	Unsure      int    // suggestions that need a look
	NoUserFor   int    // unmatched agents for whom nobody is suggested
	Meter       []part // of all agents
	NoUsers     bool   // WorkSights has given no directory yet
	Back        string // this page's query, for the way back
	Failed      []string
}

// agentRow is an agent with whom he is mapped to.
type agentRow struct {
	control.Agent
	User, Why string
	Best      *control.Suggestion
	Path      string
}

// part is a share of a bar, in percent.
type part struct {
	Class        string
	From, Length string
}

// agents shows the list, one agent, the import, or the list as CSV.
func (v *visit) agents() error {
	switch {
	case len(v.rest) == 0 && v.field("format") == "csv":
		return v.agentsCSV()
	case len(v.rest) == 0:
		return v.agentList(http.StatusOK)
	case len(v.rest) == 1 && v.rest[0] == "import":
		if !v.MayMap() {
			return errScope
		}
		return v.show(http.StatusOK, "import", "Import mappings", importView{})
	case len(v.rest) == 1:
		return v.agent(http.StatusOK, agentView{})
	}
	return errNowhere
}

func (v *visit) agentList(status int) error {
	var conn control.Connection
	if err := v.get("/connection", nil, &conn); err != nil {
		return err
	}
	p, err := v.sound()
	if err != nil {
		return err
	}
	view := agentsView{Agents: conn.Agents, State: v.field("state"), Q: v.field("q"), NoUsers: len(p.userIDs) == 0, Back: v.r.URL.RawQuery}
	view.Agents = control.AgentCounts{}
	best := bestSuggestions(p)
	view.Suggestions = len(best)
	counts := map[string]int{}
	var rows []agentRow
	needle := strings.ToLower(view.Q)
	for _, a := range p.sorted() {
		view.Agents.Total++
		switch a.State {
		case control.Matched:
			view.Agents.Matched++
		case control.Unmatched:
			view.Agents.Unmatched++
			if len(a.Suggestions) == 0 {
				view.NoUserFor++
			} else {
				view.Unsure++
			}
		default:
			view.Agents.Ignored++
		}
		row := v.agentRow(a, p)
		if needle != "" && !strings.Contains(strings.ToLower(a.Name+"\n"+a.Email+"\n"+fmt.Sprint(a.ID)+"\n"+row.User), needle) {
			continue
		}
		counts[""]++
		counts[a.State]++
		if len(a.Suggestions) > 0 {
			counts[suggested]++
		}
		if view.State == "" || view.State == a.State || view.State == suggested && len(a.Suggestions) > 0 {
			rows = append(rows, row)
		}
	}
	view.Unsure -= view.Suggestions
	for _, f := range [][2]string{{"", "All"}, {control.Unmatched, "Unmatched"}, {suggested, "Suggested"}, {control.Matched, "Matched"}, {control.Ignored, "Ignored"}} {
		view.Tabs = append(view.Tabs, tab{f[1], counts[f[0]], v.URL("state", f[0]), view.State == f[0]})
	}
	view.Meter = meter(view.Agents.Total, []int{view.Agents.Matched, view.Agents.Unmatched, view.Agents.Ignored}, []string{"good", "warn", "info"})
	view.page(v, rows)
	v.Notice, view.Failed = v.outcome()
	title := fmt.Sprintf("%s of %s mapped", count(view.Agents.Matched), things(view.Agents.Total, "agent", "agents"))
	if view.Agents.Total == 0 {
		title = "No agents yet"
	}
	return v.show(status, "agents", title, view)
}

// page cuts the rows to one page.
func (view *agentsView) page(v *visit, rows []agentRow) {
	n, _ := strconv.Atoi(v.field("page"))
	last := max(0, (len(rows)-1)/perPage)
	n = min(max(n, 1)-1, last)
	view.Found = len(rows)
	view.Rows = rows[min(n*perPage, len(rows)):min((n+1)*perPage, len(rows))]
	view.From, view.To = n*perPage+1, n*perPage+len(view.Rows)
	if n > 0 {
		view.Prev = v.URL("page", strconv.Itoa(n))
	}
	if n < last {
		view.Next = v.URL("page", strconv.Itoa(n+2))
	}
}

// sound is people for pages that are about them: without a connection they have
// nothing to show.
func (v *visit) sound() (people, error) {
	p := people{agents: map[schemas.AgentID]control.Agent{}, emails: map[schemas.UserID]string{}, byUser: map[schemas.UserID]control.Agent{}}
	var agents control.Agents
	if err := v.get("/agents", nil, &agents); err != nil {
		return p, err
	}
	var users control.Users
	if err := v.get("/users", nil, &users); err != nil {
		return p, err
	}
	p.fill(agents.Agents, users.Users)
	return p, nil
}

// sorted are the agents by name, of those of a name by id.
func (p people) sorted() []control.Agent { return p.order }

// byName sorts agents. The names are folded once and not at each comparison.
func byName(agents []control.Agent) []control.Agent {
	type named struct {
		name  string
		agent control.Agent
	}
	all := make([]named, len(agents))
	for i, a := range agents {
		all[i] = named{strings.ToLower(a.Name), a}
	}
	slices.SortFunc(all, func(a, b named) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.agent.ID, b.agent.ID))
	})
	out := make([]control.Agent, len(all))
	for i := range all {
		out[i] = all[i].agent
	}
	return out
}

func (v *visit) agentRow(a control.Agent, p people) agentRow {
	row := agentRow{Agent: a, Why: agentReason(a), Path: v.path(fmt.Sprintf("agents/%d", a.ID))}
	if a.UserID != nil {
		row.User = p.address(*a.UserID)
	}
	if len(a.Suggestions) > 0 {
		row.Best = &a.Suggestions[0]
	}
	return row
}

// bestSuggestions are those that can be accepted without a look at each: the
// first of an unmatched agent, sure, and nobody else's first.
func bestSuggestions(p people) []control.Assignment {
	claims := map[schemas.UserID]int{}
	for _, a := range p.agents {
		if len(a.Suggestions) > 0 {
			claims[a.Suggestions[0].UserID]++
		}
	}
	var out []control.Assignment
	for _, a := range p.sorted() {
		if len(a.Suggestions) > 0 && a.Suggestions[0].Confidence == "high" && claims[a.Suggestions[0].UserID] == 1 {
			out = append(out, control.Assignment{Agent: a.ID, User: a.Suggestions[0].UserID})
		}
	}
	return out
}

// meter cuts a bar into parts, each a share of all.
func meter(all int, numbers []int, classes []string) []part {
	var parts []part
	at := 0.0
	for i, n := range numbers {
		if n == 0 || all == 0 {
			continue
		}
		length := 100 * float64(n) / float64(all)
		parts = append(parts, part{classes[i], share(at), share(length)})
		at += length
	}
	return parts
}

// share is a position in a chart.
func share(percent float64) string { return strconv.FormatFloat(percent, 'f', 2, 64) + "%" }

// outcome says on the page that follows what a change did.
func (v *visit) outcome() (notice string, failed []string) {
	did := v.r.URL.Query().Get("did")
	if did == "" {
		return "", nil
	}
	n, _ := strconv.Atoi(v.r.URL.Query().Get("n"))
	words := map[string]string{
		"map": "%s mapped. Their tickets appear from now on.", "ignore": "%s ignored.",
		"automatic": "%s matched by e-mail from now on.", "unmatched": "%s mapped to nobody.", "import": "%s changed by the file.",
	}[did]
	if words != "" && n > 0 {
		notice = fmt.Sprintf(words, things(n, "agent", "agents"))
	}
	for item := range strings.SplitSeq(v.r.URL.Query().Get("failed"), ".") {
		id, code, _ := strings.Cut(item, "-")
		if _, err := strconv.ParseUint(id, 10, 63); err == nil {
			failed = append(failed, "Agent "+id+": "+map[string]string{
				"unknown_user": "no such user in WorkSights.", "unknown_agent": "Halo does not list this agent.",
			}[code])
		}
	}
	return notice, failed
}

// assign sends assignments to the API, as many at a time as it takes, and
// returns how many were done and which were not.
func (v *visit) assign(all []control.Assignment) (done int, failed []string, err error) {
	for chunk := range slices.Chunk(all, 500) {
		var results control.BulkResults
		if err := v.do(http.MethodPut, "/agents/users", chunk, &results); err != nil {
			return done, failed, err
		}
		for _, r := range results.Results {
			if r.Error == nil {
				done++
			} else if len(failed) < 50 {
				failed = append(failed, fmt.Sprintf("%d-%s", r.Agent, r.Error.Code))
			}
		}
	}
	return done, failed, nil
}

// after goes back to the list that somebody came from, and says what was done.
func (v *visit) after(did string, n int, failed []string) {
	q, _ := url.ParseQuery(v.r.PostFormValue("back"))
	q.Del("failed")
	q.Set("did", did)
	q.Set("n", strconv.Itoa(n))
	if len(failed) > 0 {
		q.Set("failed", strings.Join(failed, "."))
	}
	v.redirect(v.path("agents") + "?" + q.Encode())
}
