package console_test

import (
	"encoding/csv"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/console/consoletest"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

const mapping = "/console/northwind/agents"

// agent is one as the API has him now.
func (v *visitor) agent(id schemas.AgentID) control.Agent {
	for _, a := range v.api.Tenants["northwind"].Agents {
		if a.ID == id {
			return a
		}
	}
	v.t.Fatalf("no agent %d", id)
	return control.Agent{}
}

func TestAcceptingSuggestions(t *testing.T) {
	v := signedIn(t, consoletest.Mapper)
	v.post(mapping, "accept", "11:u-1001", "back", "state=suggested").leads(t, mapping+"?did=map&n=1&state=suggested")
	if a := v.agent(11); a.State != control.Matched || *a.UserID != "u-1001" {
		t.Errorf("agent 11: %+v", a)
	}
	a := v.post(mapping, "do", "accept-all")
	a.leads(t, mapping+"?did=map&n=14")
	// What is only likely waits for a person.
	v.get(a.Header.Get("Location")).shows(t, 200, "14 agents mapped. Their tickets appear from now on.", "94 of 119 agents mapped", "Suggested <span>5</span>")
	v.post(mapping, "do", "accept", "agent", "31", "agent", "10", "agent", "999").leads(t, mapping+"?did=map&n=1")
}

func TestMappingOneByHand(t *testing.T) {
	v := signedIn(t, consoletest.Mapper)
	v.post(mapping+"/13", "do", "map", "who", " AMARA.osei@northwind.example ").leads(t, mapping+"/13?did=map&n=1")
	if a := v.agent(13); *a.UserID != "u-1000" {
		t.Errorf("mapped to %s", *a.UserID)
	}
	v.get(mapping+"/13?did=map&n=1").shows(t, 200, "Mapped. Tickets appear from now on.", "Mapped to amara.osei@northwind.example")
	a := v.post(mapping+"/13", "do", "map", "who", "chloe")
	a.shows(t, 422, "Nobody in WorkSights has this e-mail or user id.", "Did you mean", "chloe.pritchard@northwind.example", `value="chloe"`)
	sound(t, a)
	v.post(mapping+"/13", "do", "map", "who", "").shows(t, 422, "Enter an e-mail or a user id.")
	v.post(mapping+"/13", "do", "map", "user", "nobody").shows(t, 404, "has no such user")
	v.post(mapping+"/13", "do", "ignored").leads(t, mapping+"/13?did=ignore&n=1")
	if a := v.agent(13); a.State != control.Ignored {
		t.Errorf("state %s", a.State)
	}
	v.post(mapping+"/13", "do", "automatic").leads(t, mapping+"/13?did=automatic&n=1")
	v.post(mapping+"/13", "do", "dance").shows(t, 404)
}

func TestMappingManyAgents(t *testing.T) {
	v := signedIn(t, consoletest.Mapper)
	a := v.post(mapping, "do", "map", "agent", "11", "agent", "13", "back", "q=x")
	a.shows(t, 200, `data-page="many"`, "Map 2 agents", `value="ben.moreau@northwind.example"`, `name="who-13"`)
	sound(t, a)
	a = v.post(mapping, "do", "map", "sure", "1", "agent", "11", "agent", "13", "who-11", "u-1001", "who-13", "nobody")
	a.shows(t, 422, "1 row needs another look", `href="#who-13"`, `value="nobody"`)
	if v.agent(11).State == control.Matched {
		t.Error("half of it was done")
	}
	v.post(mapping, "do", "map", "sure", "1", "agent", "11", "agent", "13", "who-11", "u-1001", "who-13", "", "back", "q=x").leads(t, mapping+"?did=map&n=1&q=x")
	v.post(mapping, "do", "map").leads(t, mapping)
}

func TestWhatEndsMappingsAsksWithTheirNumber(t *testing.T) {
	v := signedIn(t, consoletest.Mapper)
	a := v.post(mapping, "do", "ignored", "agent", "10", "agent", "11", "agent", "12", "back", "state=matched")
	a.shows(t, 200, "Ignore 3 agents?", "2 are mapped now.", "End 2 mappings", `name="sure"`)
	sound(t, a)
	if v.agent(10).State != control.Matched {
		t.Fatal("it was done before it was asked")
	}
	v.post(mapping, "do", "ignored", "sure", "1", "agent", "10", "agent", "11", "agent", "12", "back", "state=matched").leads(t, mapping+"?did=ignore&n=3&state=matched")
	// Nothing ends where nobody is mapped: nothing is asked.
	v.post(mapping, "do", "ignored", "agent", "13").leads(t, mapping+"?did=ignore&n=1")
	v.post(mapping, "do", "automatic", "agent", "10", "agent", "13").leads(t, mapping+"?did=automatic&n=2")
}

func TestFiltersCountAndStayInTheAddress(t *testing.T) {
	v := signedIn(t, consoletest.Reader)
	a := v.get(mapping + "?q=BEN&state=matched")
	a.shows(t, 200, `value="BEN"`, `aria-current="true">Matched <span>`, "?q=BEN&amp;state=unmatched")
	rows := regexp.MustCompile(`class="name" href="[^"]+">([^<]+)`).FindAllStringSubmatch(a.text, -1)
	if len(rows) == 0 {
		t.Fatal("nobody is called Ben: this proves nothing")
	}
	for _, r := range rows {
		if !strings.Contains(strings.ToLower(r[1]), "ben") {
			t.Errorf("%s is shown", r[1])
		}
	}
}

func TestMoreThanFiveHundredAreSentInParts(t *testing.T) {
	v := signedIn(t, consoletest.Operator)
	pairs := []string{"do", "automatic"}
	for i := range 1203 {
		pairs = append(pairs, "agent", fmt.Sprint(10+i))
	}
	v.post("/console/crowd/agents", pairs...).leads(t, "/console/crowd/agents?did=automatic&n=1203")
	puts := 0
	for _, r := range v.api.Requests {
		if strings.HasPrefix(r, "PUT") {
			puts++
		}
	}
	if puts != 3 {
		t.Errorf("%d requests, want 3 of at most 500", puts)
	}
}

// TestTwoThousandAgents holds the page to its size and to its time. The fake
// answers in the same time, so what is measured is more than the page's.
func TestTwoThousandAgents(t *testing.T) {
	v := signedIn(t, consoletest.Operator)
	best := time.Hour
	var a answer
	for range 5 {
		begun := time.Now()
		a = v.get("/console/crowd/agents")
		best = min(best, time.Since(begun))
	}
	a.shows(t, 200, "1 to 200 of 2,000", "Next")
	v.get("/console/crowd/agents?page=10").shows(t, 200, "1,801 to 2,000 of 2,000", "Previous")
	v.get("/console/crowd/agents?page=99").shows(t, 200, "1,801 to 2,000 of 2,000")
	t.Logf("%d bytes, %s", len(a.text), best)
	if len(a.text) > 300_000 {
		t.Errorf("the page has %d bytes, at most 300,000", len(a.text))
	}
	if best > 200*time.Millisecond {
		t.Errorf("the page took %s, at most 200 ms", best)
	}
}

func TestTheListAsAFileAndBack(t *testing.T) {
	v := signedIn(t, consoletest.Mapper)
	a := v.get(mapping + "?format=csv")
	if got := a.Header.Get("Content-Disposition"); got != `attachment; filename="northwind-agents-2026-11-30.csv"` {
		t.Errorf("Content-Disposition: %s", got)
	}
	rows, err := csv.NewReader(strings.NewReader(a.text)).ReadAll()
	if err != nil || len(rows) != 120 || strings.Join(rows[0], ",") != "agent_id,name,email,state,user_id,user_email,why,since" {
		t.Fatalf("%d rows, %v: %v", len(rows), rows[0], err)
	}
	v.upload(mapping+"/import", a.text).shows(t, 200, "Nothing would change.")

	a = v.upload(mapping+"/import", "\uFEFFagent_id,user_id,user_email,state\n11,u-1001,,unmatched\n13,,amara.osei@northwind.example,\n10,,,matched\n12,u-1002,,ignored\n")
	a.shows(t, 200, "4 agents change", "2 mappings end", "Nothing has changed yet", "chloe.pritchard@northwind.example")
	sound(t, a)
	file := regexp.MustCompile(`(?s)<textarea name="csv"[^>]*>(.*)</textarea>`).FindStringSubmatch(a.text)
	v.post(mapping+"/import", "csv", html.UnescapeString(file[1]), "sure", "1").leads(t, mapping+"?did=import&n=4")
	for id, want := range map[schemas.AgentID]string{10: control.Unmatched, 11: control.Matched, 12: control.Ignored, 13: control.Matched} {
		if got := v.agent(id).State; got != want {
			t.Errorf("agent %d is %s, want %s", id, got, want)
		}
	}
}

func TestAFileThatIsWrong(t *testing.T) {
	v := signedIn(t, consoletest.Mapper)
	for file, want := range map[string]string{
		"":                                         "Choose a file.",
		"name,email\nx,y\n":                        "agent_id among them",
		"agent_id;user_id\n1;2\n":                  "separated by semicolons",
		"agent_id,user_id\n7,u-1000\n":             "Halo lists no agent &#34;7&#34;",
		"agent_id,user_id\n11,nobody\n":            "there is no user &#34;nobody&#34;",
		"agent_id,user_email\n11,no@x\n":           "no user has the e-mail",
		"agent_id,user_id\n11,\"u-1001\nx\n":       "cannot be read",
		"agent_id,user_id\n11,u-1001\n11,u-1000\n": "twice",
	} {
		a := v.upload(mapping+"/import", file)
		if !strings.Contains(a.text, want) {
			t.Errorf("%q: the page lacks %q:\n%s", file, want, a.main())
		}
		a.hides(t, `name="sure"`)
	}
	if v.agent(11).State == control.Matched {
		t.Error("a wrong file changed something")
	}
}

func TestAFileIsNoProgram(t *testing.T) {
	v := signedIn(t, consoletest.Operator)
	for _, r := range must(csv.NewReader(strings.NewReader(v.get("/console/hostile/agents?format=csv").text)).ReadAll()) {
		for _, cell := range r {
			if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
				t.Errorf("a spreadsheet would run %q", cell)
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
