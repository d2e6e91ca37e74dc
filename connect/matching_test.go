//go:build synctests

package connect_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// standings wants each agent to stand as is said.
func (in *instance) standings(tenant string, want map[schemas.AgentID]string) {
	in.w.Helper()
	for id, standing := range want {
		if is := in.standing(tenant, id); is != standing {
			in.w.Errorf("agent %d is %q, want %q", id, is, standing)
		}
	}
}

func TestAgentsAreMatchedByAnEMailThatIsOneAgentsAndOneUsers(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, a := range []halotest.Agent{
			{ID: 2, Email: " Plain@Desk.Example"},
			{ID: 3, Email: ""},
			{ID: 4, Email: "nobody@desk.example"},
			{ID: 5, Email: "shared@desk.example"},
			{ID: 6, Email: "SHARED@desk.example"},
			{ID: 7, Email: "ambiguous@desk.example"},
			{ID: 8, Email: "left@desk.example", Disabled: true},
			{ID: 9, Email: "robot@desk.example", API: true},
			{ID: 10, Email: "heir@desk.example", Disabled: true}, // out before e-mails are compared
			{ID: 11, Email: "heir@desk.example"},
			{ID: 12, Email: "twice@desk.example"},
			{ID: 13, Email: "plain@desk.example", API: true}, // a person's address in a machine
		} {
			w.sims[0].AddAgent(a)
		}
		in := w.active()
		in.users("acme", "u-plain", "plain@desk.example", "u-empty", "", "u-shared", "shared@desk.example",
			"u-one", "ambiguous@desk.example", "u-two", "Ambiguous@desk.example", "u-left", "left@desk.example",
			"u-robot", "robot@desk.example", "u-heir", "heir@desk.example",
			// One user may have several addresses, and one of them twice.
			"u-twice", "twice@desk.example", "u-twice", "TWICE@desk.example", "u-twice", "other@desk.example")
		c := in.connect("acme", 0)
		in.standings("acme", map[schemas.AgentID]string{
			1: "absent", 2: "matched u-plain", 3: "unmatched", 4: "unmatched", 5: "unmatched", 6: "unmatched", 7: "unmatched",
			8: "ignored", 9: "ignored", 10: "ignored", 11: "matched u-heir", 12: "matched u-twice", 13: "ignored",
		})
		if n := c.Agents; n.Total != 12 || n.Matched != 3 || n.Unmatched != 5 || n.Ignored != 4 {
			t.Errorf("counted %+v", n)
		}
		if len(w.mappings("acme")) != 3 {
			t.Errorf("mapped %v", w.mappings("acme"))
		}
		if a := in.agents("acme"); a[2].Since == nil || a[3].Since != nil {
			t.Errorf("since %v and %v", a[2].Since, a[3].Since)
		}
	}, halotest.Config{})
}

func TestWhatWasDoneByHandSurvivesARefresh(t *testing.T) {
	inWorld(t, func(w *world) {
		sim := w.sims[0]
		for _, a := range []halotest.Agent{{ID: 2, Email: "ada@x.example"}, {ID: 3, Email: "ben@x.example"}, {ID: 4, Email: "robot@x.example", API: true}} {
			sim.AddAgent(a)
		}
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-cat", "")
		in.connect("acme", 0)
		in.want(http.StatusNoContent, "DELETE", at("acme", "/agents/2/user"), "", nil)
		in.want(http.StatusOK, "PUT", at("acme", "/agents/3/user"), `{"user_id":"u-cat"}`, nil)
		in.want(http.StatusOK, "PUT", at("acme", "/agents/4/user"), `{"user_id":"u-ada"}`, nil)
		byHand := map[schemas.AgentID]string{2: "unmatched", 3: "matched u-cat", 4: "matched u-ada"}
		in.standings("acme", byHand)
		sim.AddAgent(halotest.Agent{ID: 5, Email: "new@x.example"})
		for _, again := range []func(){
			func() { in.want(http.StatusOK, "POST", at("acme", "/connection/refresh"), "", nil) },
			func() {
				in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-cat", "", "u-new", "new@x.example")
			},
			func() { in.want(http.StatusOK, "POST", at("acme", "/connection/reconnect"), "", nil) },
			func() { in.connect("acme", 0) },
			func() { in.stop(); in = w.active() },
		} {
			again()
			in.standings("acme", byHand)
		}
		in.standings("acme", map[schemas.AgentID]string{5: "matched u-new"})

		in.refused(http.StatusNotFound, "agent_not_found", "PUT", at("acme", "/agents/99/user"), `{"user_id":"u-ada"}`)
		in.refused(http.StatusNotFound, "agent_not_found", "PUT", at("acme", "/agents/1/user"), `{"user_id":"u-ada"}`)
		in.refused(http.StatusNotFound, "agent_not_found", "DELETE", at("acme", "/agents/0/user"), "")
		in.refused(http.StatusUnprocessableEntity, "unknown_user", "PUT", at("acme", "/agents/2/user"), `{"user_id":"u-who"}`)
		in.standings("acme", byHand)
	}, halotest.Config{})
}

func TestAUserWhoLeavesTheDirectoryIsUnmappedNow(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 3, Email: "ben@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 4, Email: "by-hand@x.example"})
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-hand", "")
		in.connect("acme", 0)
		in.want(http.StatusOK, "PUT", at("acme", "/agents/4/user"), `{"user_id":"u-hand"}`, nil)
		in.users("acme", "u-ben", "ben@x.example")
		answered := time.Now()
		in.standings("acme", map[schemas.AgentID]string{2: "unmatched", 3: "matched u-ben", 4: "unmatched"})
		for _, agent := range []schemas.AgentID{2, 4} {
			if user, ok := w.mappings("acme")[agent].At(answered); ok {
				t.Errorf("agent %d is still %s's", agent, user)
			}
		}
		in.users("acme") // nobody at all
		in.standings("acme", map[schemas.AgentID]string{3: "unmatched"})
		// Who comes back is matched again, and mapped by hand again.
		in.users("acme", "u-ada", "ada@x.example", "u-hand", "")
		in.standings("acme", map[schemas.AgentID]string{2: "matched u-ada", 4: "matched u-hand"})
	}, halotest.Config{})
}

func TestAListThatIsEmptyOrRefusedRemovesNobody(t *testing.T) {
	for name, spoil := range map[string]func(*halotest.Sim){
		"empty":   func(s *halotest.Sim) { s.HideAgents(true) },
		"refused": func(s *halotest.Sim) { s.DenyAgents(true) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				sim := w.sims[0]
				sim.AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
				spoil(sim)
				in := w.active()
				in.users("acme", "u-ada", "ada@x.example")
				c := in.connect("acme", 0)
				if c.State != "degraded" || len(c.Problems) != 1 || c.Problems[0].Code != "role_cannot_see_agents" || c.Agents.Total != 0 ||
					c.Problems[0].Message != "The credentials are good, but Halo shows them no agents." {
					t.Errorf("connected as %+v", c)
				}
				sim.HideAgents(false)
				sim.DenyAgents(false)
				in.want(http.StatusOK, "POST", at("acme", "/connection/refresh"), "", &c)
				if c.State != "active" || c.Agents.Matched != 1 {
					t.Errorf("after the role was mended: %+v", c)
				}
				spoil(sim)
				in.want(http.StatusOK, "POST", at("acme", "/connection/refresh"), "", &c)
				if c.State != "degraded" || c.Agents.Matched != 1 {
					t.Errorf("after the role was spoilt: %+v", c)
				}
				if m := w.mappings("acme")[2]; len(m.Intervals) != 1 || !m.Intervals[0].Until.IsZero() {
					t.Errorf("mapped %+v", m.Intervals)
				}
			}, halotest.Config{})
		})
	}
}

func TestAnAgentOfAnotherHaloInheritsNobodysUser(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 3, Email: "ben@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 4, Email: "cat@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 5, Email: "dan@x.example"})
		w.sims[1].AddAgent(halotest.Agent{ID: 2, Email: ""}) // somebody else
		w.sims[1].AddAgent(halotest.Agent{ID: 3, Email: "stranger@x.example"})
		w.sims[1].AddAgent(halotest.Agent{ID: 4, Email: "cat@x.example"})
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-cat", "cat@x.example", "u-dan", "dan@x.example", "u-hand", "")
		in.connect("acme", 0)
		in.want(http.StatusOK, "PUT", at("acme", "/agents/3/user"), `{"user_id":"u-hand"}`, nil)
		in.standings("acme", map[schemas.AgentID]string{2: "matched u-ada", 3: "matched u-hand"})
		c := in.connect("acme", 1)
		if c.TenantURL != w.urls[1] || len(w.live(0)) != 0 || w.sims[0].Notifications() != 0 || len(w.live(1)) != 1 {
			t.Errorf("moved to %s, %d webhooks there and %d left", c.TenantURL, len(w.live(1)), len(w.live(0)))
		}
		moved := map[schemas.AgentID]string{2: "unmatched", 3: "unmatched", 4: "matched u-cat", 5: "absent"}
		in.standings("acme", moved)
		now := time.Now()
		for _, agent := range []schemas.AgentID{2, 3, 5} {
			if user, ok := w.mappings("acme")[agent].At(now); ok {
				t.Errorf("agent %d is %s's", agent, user)
			}
		}
		in.stop()
		w.active().standings("acme", moved)
	}, halotest.Config{}, halotest.Config{})
}

func TestARefreshTellsNewFromGoneAndChanged(t *testing.T) {
	inWorld(t, func(w *world) {
		sim := w.sims[0]
		for id := range schemas.AgentID(120) { // three pages
			sim.AddAgent(halotest.Agent{ID: id + 2, Name: "Agent", Email: string('a'+rune(id%26)) + time.Duration(id).String() + "@x.example"})
		}
		sim.ChangeAgent(2, func(a *halotest.Agent) { a.Email = "ada@x.example" })
		sim.ChangeAgent(3, func(a *halotest.Agent) { a.Email = "ben@x.example" })
		sim.ChangeAgent(4, func(a *halotest.Agent) { a.Email = "cat@x.example" })
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-cat", "cat@x.example", "u-new", "new@x.example")
		if c := in.connect("acme", 0); c.Agents.Total != 120 || c.Agents.Matched != 3 {
			w.Fatalf("%+v", c.Agents)
		}
		sim.DisableAgent(2)
		sim.ChangeAgent(3, func(a *halotest.Agent) { a.Email = "" })               // keeps whom it is mapped to
		sim.ChangeAgent(4, func(a *halotest.Agent) { a.Email = "else@x.example" }) // another person now
		sim.AddAgent(halotest.Agent{ID: 500, Email: "new@x.example"})
		in.want(http.StatusOK, "POST", at("acme", "/connection/refresh"), "", nil)
		in.standings("acme", map[schemas.AgentID]string{2: "ignored", 3: "matched u-ben", 4: "unmatched", 500: "matched u-new"})
		// Who is not in a list any more keeps his mapping: it says nothing.
		sim.ChangeAgent(500, func(a *halotest.Agent) { a.ID = 501; a.Email = "" })
		in.want(http.StatusOK, "POST", at("acme", "/connection/refresh"), "", nil)
		in.standings("acme", map[schemas.AgentID]string{500: "matched u-new", 501: "unmatched"})
	}, halotest.Config{}, halotest.Config{})
}
