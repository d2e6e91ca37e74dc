package console_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/console/consoletest"
)

// states are every page in every state, with the template that draws it and
// words that only this state has.
var states = []struct {
	path, page string
	status     int
	words      []string
	fail       string // what of the API does not answer
}{
	{"/console/", "tenants", 200, []string{"8 tenants", "Degraded", "Webhook disabled", "Needs attention <span>5</span>"}, ""},
	{"/console/?state=disconnected", "tenants", 200, []string{">tailspin<"}, ""},
	{"/console/?q=zzz", "tenants", 200, []string{"No tenant fits “zzz”", "Show all"}, ""},
	{"/console/", "failed", 503, []string{"Try again", "The timeline cannot be read now."}, "/tenants"},
	{"/console/northwind/connection", "connection", 200, []string{"Connected, with one thing to do", "312 had no user when they came", "Map agents", "Refresh Connection", "Last delivery"}, ""},
	{"/console/quiet/connection", "connection", 200, []string{"Connected, and all is well", "None arrived", "Nothing changed, and nothing had to be repaired"}, ""},
	{"/console/contoso/connection", "connection", 200, []string{"Connected, with 3 things to do", "not active", `value="reconnect"`, "See refused deliveries", "Nothing to do."}, ""},
	{"/console/fabrikam/connection", "connection", 200, []string{"The stored credentials cannot be opened", "Enter credentials", "Disconnect…"}, ""},
	{"/console/tailspin/connection", "connection", 200, []string{"HaloPSA is disconnected", "Connect HaloPSA"}, ""},
	{"/console/northwind/connection", "connection", 200, []string{"Cannot be read now"}, "/summary"},
	{"/console/northwind/connection", "connection", 200, []string{"They cannot be read right now"}, "/changes"},
	{"/console/fresh/connection", "unconnected", 200, []string{"HaloPSA is not connected", "There is no backfill"}, ""},
	{"/console/northwind/connection/disconnect", "ask", 200, []string{"Disconnect northwind.halopsa.com?", "79 mapped agents"}, ""},
	{"/console/fresh/connect", "connect", 200, []string{"admin:webhooks", "Client secret"}, ""},
	{"/console/northwind/connect", "connect", 200, []string{"Enter new credentials", "https://northwind.halopsa.com"}, ""},
	{"/console/fabrikam/connect", "connect", 200, []string{"Replace the stored credentials"}, ""},
	{"/console/northwind/agents", "agents", 200, []string{"79 of 119 agents mapped", "Accept 15 sure suggestions", "Unmatched <span>25</span>", "No user with this e-mail"}, ""},
	{"/console/northwind/agents?state=suggested&q=ben", "agents", 200, []string{"same name"}, ""},
	{"/console/northwind/agents?q=zzz", "agents", 200, []string{"No agent fits “zzz”"}, ""},
	{"/console/quiet/agents?state=unmatched", "agents", 200, []string{"every agent is mapped or ignored"}, ""},
	{"/console/wingtip/agents", "agents", 200, []string{"No agents yet", "Refresh Connection"}, ""},
	{"/console/contoso/agents", "agents", 200, []string{"WorkSights has sent no users"}, ""},
	{"/console/fabrikam/agents", "sealed", 200, []string{"Their encryption key is not here"}, ""},
	{"/console/tailspin/agents", "unconnected", 200, []string{"HaloPSA is not connected"}, ""},
	{"/console/northwind/agents", "failed", 503, []string{"another instance takes over"}, "standby/agents"},
	{"/console/northwind/agents/12", "agent", 200, []string{"Mapped to chloe.pritchard@northwind.example", "An erased user", "End the mapping"}, ""},
	{"/console/northwind/agents/11", "agent", 200, []string{"Who is this in WorkSights?", "same name", "never mapped"}, ""},
	{"/console/northwind/agents/12", "agent", 200, []string{"It cannot be read right now"}, "/history"},
	{"/console/northwind/agents/999999", "told", 404, []string{"There is no such page"}, ""},
	{"/console/northwind/agents/import", "import", 200, []string{"CSV file"}, ""},
	{"/console/northwind/timeline", "people", 200, []string{"Choose whose day", "Amara Osei", "Search users"}, ""},
	{"/console/northwind/timeline?q=amara+osei", "people", 200, []string{"Amara Osei", "Search users"}, ""},
	{"/console/northwind/timeline?q=zzz", "people", 200, []string{"Nobody fits “zzz”", "Show all"}, ""},
	{"/console/wingtip/timeline", "people", 200, []string{"No agent is mapped"}, ""},
	{"/console/northwind/timeline?user=u-1000", "timeline", 200, []string{"Monday 30 November 2026", "26 activities", "weight 0.25", "https://northwind.halopsa.com/ticket?id=", "by a rule in Halo"}, ""},
	{"/console/northwind/timeline?user=u-1002", "timeline", 200, []string{"420 activities"}, ""},
	{"/console/northwind/timeline?user=u-1000&day=2026-11-29", "timeline", 200, []string{"Nothing happened on Sunday 29 November 2026"}, ""},
	{"/console/quiet/timeline?user=u-1000&kind=status_changed", "timeline", 200, []string{"Nothing of this kind"}, ""},
	{"/console/fabrikam/timeline?user=u-1000", "timeline", 200, []string{"26 activities"}, ""},
	{"/console/northwind/timeline?user=u-1000", "failed", 503, []string{"The timeline cannot be read now"}, "/timeline"},
	{"/console/northwind/activity", "activity", 200, []string{"By day and kind", "When work happens", "91.7 %", "Agent had no WorkSights user", "Agents whose events had no user"}, ""},
	{"/console/northwind/activity?range=7&zone=Asia/Tokyo", "activity", 200, []string{"25 November to 1 December 2026, Asia/Tokyo"}, ""},
	{"/console/quiet/activity", "activity", 200, []string{"No event arrived in these days"}, ""},
	{"/console/northwind/activity", "failed", 503, []string{"Try again"}, "/summary"},
	{"/console/northwind/missing", "missing", 200, []string{"Agents are not appearing in the user mapping step", "Agents in Halo", "No ticket found in it"}, ""},
	{"/console/quiet/missing", "missing", 200, []string{"None in the last seven days"}, ""},
	{"/console/northwind/missing?ticket=%231042", "missing", 200, []string{"2 events of ticket 1042: 1 not shown, 1 on timelines", "2 times; it counts once"}, ""},
	{"/console/northwind/missing?ticket=7", "missing", 200, []string{"Nothing of ticket 7 arrived"}, ""},
	{"/console/northwind/missing?ticket=abc", "missing", 200, []string{"A ticket’s number has digits only"}, ""},
	{"/console/northwind/missing", "missing", 200, []string{"They cannot be read right now"}, "/deliveries"},
	{"/console/tailspin/missing", "unconnected", 200, nil, ""},
	{"/console/northwind/changes", "changes", 200, []string{"Mapped Chloe Pritchard to chloe.pritchard@northwind.example", "Repaired: Webhook disabled", "Reconnect failed", "By people <span>4</span>"}, ""},
	{"/console/northwind/changes?by=connector", "changes", 200, []string{"State became Degraded"}, ""},
	{"/console/quiet/changes", "changes", 200, []string{"Nothing has changed yet"}, ""},
	{"/console/quiet/changes?from=2026-11-01", "changes", 200, []string{"Nothing changed since then"}, ""},
	{"/console/quiet/changes?by=zzz", "changes", 200, []string{"Nothing has changed yet"}, ""},
	{"/console/tailspin/changes?by=zzz", "changes", 200, []string{"No change fits this filter"}, ""},
	{"/console/northwind/nowhere", "told", 404, []string{"There is no such page"}, ""},
	{"/console/NORTHWIND/connection", "told", 404, nil, ""},
	{"/console/northwind/connection/more", "told", 404, nil, ""},
	{"/console//northwind/connection", "told", 404, nil, ""},
	{"/console/link/used", "gone", 410, []string{"This link has been used or has ended"}, ""},
}

// drawn are the templates that other tests execute: what follows a form, and a
// connect under way.
var drawn = map[string]string{
	"sign-in": "TestSignIn", "opening": "TestALinkOpensOnce", "progress": "TestAConnectShowsItsSteps", "many": "TestMappingManyAgents",
}

func TestEveryPageInEveryState(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range states {
		t.Run(s.page+" "+s.path+" "+s.fail, func(t *testing.T) {
			v := signedIn(t, consoletest.Operator)
			if s.fail != "" {
				how, standby := consoletest.Unavailable, strings.HasPrefix(s.fail, "standby")
				if standby {
					how = consoletest.Standby
				}
				v.api.Do(func() { v.api.Fail[strings.TrimPrefix(s.fail, "standby")] = how })
			}
			a := v.get(s.path)
			a.shows(t, s.status, append(s.words, `data-page="`+s.page+`"`)...)
			sound(t, a)
			seen[s.page] = true
		})
	}
	entries, err := os.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".html")
		if !seen[name] && drawn[name] == "" && name != "base" && name != "parts" {
			t.Errorf("no state executes the template %s", e.Name())
		}
	}
}

// sound fails for what no page may have.
func sound(t *testing.T, a answer) {
	t.Helper()
	if n := strings.Count(a.text, "<h1"); n != 1 {
		t.Errorf("%d headings of the first rank", n)
	}
	for name, pattern := range map[string]string{
		"a style attribute":            ` style=`,
		"a handler":                    ` on[a-z]+=`,
		"script in the page":           `<script(?: type="module")?>`,
		"something of another origin":  `(?:src|action)="(?:https?:)?//`,
		"a template's failure":         `ZgotmplZ|<no value>|%!`,
		"a script's address in a link": `href="javascript:`,
	} {
		text := a.text
		if name == "a handler" { // what is quoted is a value, whatever it says
			text = regexp.MustCompile(`"[^"]*"|>[^<]*<`).ReplaceAllString(text, "")
		}
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("the page has %s: %s", name, found)
		}
	}
	for header, want := range map[string]string{
		"Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
			"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
	} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

func TestWhatOthersWroteCanNeitherActNorMislead(t *testing.T) {
	v := signedIn(t, consoletest.Operator)
	for _, path := range []string{"connection", "agents", "agents/11", "agents/10", "timeline", "timeline?user=u-1000", "activity", "missing", "missing?ticket=1042", "changes"} {
		a := v.get("/console/hostile/" + path)
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
		sound(t, a)
		a.hides(t, "<script>alert", "<img src=x", "<i>evil", "<b>bold", "\u202E", "\u200B", "\u2066", "\u0007")
	}
	if a := v.get("/console/hostile/agents"); !strings.Contains(a.text, "&lt;script&gt;alert(1)&lt;/script&gt;\uFFFDgnp.exe\uFFFD\uFFFD") {
		t.Error("the hostile name is not shown at all: this proves nothing")
	}
}
