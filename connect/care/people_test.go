//go:build synctests

package care_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func TestWhatWasDoneByHandSurvivesARefresh(t *testing.T) {
	inWorld(t, func(w *world) {
		sim := w.sims[0]
		for _, a := range []halotest.Agent{{ID: 2, Email: "ada@x.example"}, {ID: 3, Email: "ben@x.example"}, {ID: 4, Email: "robot@x.example", API: true}, {ID: 6, Email: "cat@x.example"}} {
			sim.AddAgent(a)
		}
		in := w.active()
		directory := []string{"u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-cat", "cat@x.example"}
		in.users("acme", directory...)
		in.connect("acme", 0)
		in.hand("acme", 2, "=unmatched")
		in.hand("acme", 3, "u-cat")
		in.hand("acme", 4, "u-ada")
		in.hand("acme", 6, "=ignored")
		byHand := map[schemas.AgentID]string{2: "unmatched", 3: "matched u-cat", 4: "matched u-ada", 6: "ignored"}
		in.standings("acme", byHand)
		sim.AddAgent(halotest.Agent{ID: 5, Email: "new@x.example"})
		for _, again := range []func(){
			func() { in.refresh("acme") },
			func() { in.users("acme", append(directory, "u-new", "new@x.example")...) },
			func() { in.reconnect("acme") },
			func() { w.change(func(h *halotest.Webhook) { h.Disabled = true }); in.connect("acme", 0) },
			func() { in.stop(); in = w.active() },
		} {
			again()
			in.standings("acme", byHand)
		}
		in.standings("acme", map[schemas.AgentID]string{5: "matched u-new"})
		for what, agent := range map[string]schemas.AgentID{"unknown_agent": 99, "unknown_agent ": 1, "unknown_user": 2} {
			if r := in.hand("acme", agent, "u-who"); r.Error == nil || r.Error.Status != 404 || r.Error.Code != what[:len(r.Error.Code)] {
				t.Errorf("agent %d: %+v", agent, r.Error)
			}
		}
		in.standings("acme", byHand)
	}, halotest.Config{})
}

func TestAWordOfTheHandSaysWhyAndIsTakenBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Name: "Ada Example", Email: "ada@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 3, Email: "left@x.example", Disabled: true})
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example")
		in.connect("acme", 0)
		first, _ := in.agent("acme", 2)
		said := len(w.changes("acme"))
		for _, step := range []struct{ say, state, reason, by, change string }{
			{"u-ada", "matched", "", "hand", "operator map 2 u-ada"}, // whom he has: no new interval
			{"=automatic", "matched", "", "email", "operator automatic 2"},
			{"=unmatched", "unmatched", "by_hand", "", "operator unmap 2 u-ada"},
			{"=unmatched", "unmatched", "by_hand", "", ""},
			{"=ignored", "ignored", "by_hand", "", "operator ignore 2"},
			{"u-ben", "matched", "", "hand", "operator map 2 u-ben"},
			{"=automatic", "matched", "", "email", "operator automatic 2 u-ada"},
			{"=automatic", "matched", "", "email", ""},
		} {
			r := in.hand("acme", 2, step.say)
			a, _ := in.agent("acme", 2)
			if r.Error != nil || r.State != step.state || a.State != step.state || a.Reason != step.reason || a.MatchedBy != step.by || len(a.Suggestions) != 0 {
				t.Errorf("%s: %+v, shown as %+v", step.say, r, a)
			}
			if step.say == "u-ada" && !a.Since.Equal(*first.Since) {
				t.Errorf("since %v, before that %v", a.Since, first.Since)
			}
			now := w.changes("acme")
			var want []string
			if step.change != "" {
				want = []string{step.change}
			}
			if !slices.Equal(now[said:], want) {
				t.Errorf("%s is said as %q, want %q", step.say, now[said:], want)
			}
			said = len(now)
		}
		history, err := in.History(context.Background(), "acme", 2)
		var users []schemas.UserID
		for _, iv := range history {
			users = append(users, iv.UserID)
			if iv.By != operator {
				t.Errorf("begun by %q", iv.By)
			}
		}
		if want := []schemas.UserID{"u-ada", "u-ben", "u-ada"}; err != nil || !slices.Equal(users, want) || history[0].Until != nil {
			t.Errorf("the history is %+v, %v", history, err)
		}
		if h, err := in.History(context.Background(), "acme", 3); err != nil || h == nil || len(h) != 0 {
			t.Errorf("of one never mapped: %v, %v", h, err)
		}
		_, err = in.History(context.Background(), "acme", 99)
		w.refused(err, 404, "unknown_agent")
		if a, _ := in.agent("acme", 3); a.State != "ignored" || a.Reason != "disabled" {
			t.Errorf("%+v", a)
		}
		in.hand("acme", 3, "u-ben") // one who is disabled may be mapped by hand
		in.standings("acme", map[schemas.AgentID]string{3: "matched u-ben"})
	}, halotest.Config{})
}

func TestManyAtOnceBeginAtOneInstantAndABadOneFailsNoOther(t *testing.T) {
	inWorld(t, func(w *world) {
		var all []control.Assignment
		for id := range schemas.AgentID(50) {
			w.sims[0].AddAgent(halotest.Agent{ID: id + 2})
			all = append(all, control.Assignment{Agent: id + 2, User: "u-ada"})
		}
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example")
		in.connect("acme", 0)
		all[7].User, all[9].Agent = "u-who", 999
		results, err := in.Assign(context.Background(), "acme", operator, all)
		if err != nil || len(results) != len(all) {
			t.Fatalf("%d results, %v", len(results), err)
		}
		from := make(map[time.Time]bool)
		for i, r := range results {
			switch bad := i == 7 || i == 9; {
			case r.Agent != all[i].Agent:
				t.Errorf("result %d is agent %d's", i, r.Agent)
			case bad && (r.Error == nil || r.UserID != nil):
				t.Errorf("result %d: %+v", i, r)
			case !bad && (r.Error != nil || r.State != "matched" || *r.UserID != "u-ada"):
				t.Errorf("result %d: %+v", i, r)
			case !bad:
				from[w.mappings("acme")[r.Agent].Intervals[0].From] = true
			}
		}
		if len(from) != 1 {
			t.Errorf("they begin at %d instants", len(from))
		}
	}, halotest.Config{})
}

func TestTheDirectoryIsGuardedAgainstEndingManyMappings(t *testing.T) {
	inWorld(t, func(w *world) {
		var users []string
		for id := range 20 {
			email := fmt.Sprintf("a%d@x.example", id)
			w.sims[0].AddAgent(halotest.Agent{ID: schemas.AgentID(id + 2), Email: email})
			users = append(users, fmt.Sprintf("u-%02d", id), email)
		}
		in := w.active()
		in.users("acme", users...)
		in.connect("acme", 0)
		ctx := context.Background()
		change := func(c control.UsersChange) (int, error) {
			_, ended, err := in.ChangeUsers(ctx, "acme", operator, c)
			return ended, err
		}
		said := len(w.changes("acme"))
		for _, ends := range []int{-1, 19, 0} {
			_, err := change(control.UsersChange{Replace: true, Ends: ends})
			w.refused(err, 409, "would_end_mappings")
			if r := new(control.Refusal); !errors.As(err, &r) || r.Ends != 20 {
				t.Errorf("it says %+v", r)
			}
		}
		if a, _ := in.agent("acme", 2); a.State != "matched" || len(w.changes("acme")) != said {
			t.Errorf("refused, and agent 2 is %s", a.State)
		}
		// Five are below the guard, whatever is said.
		ended, err := change(control.UsersChange{Remove: []schemas.UserID{"u-00", "u-01", "u-02", "u-03", "u-04", "u-nobody"}, Ends: 17})
		if err != nil || ended != 5 {
			t.Errorf("ended %d, %v", ended, err)
		}
		// A change of nothing leaves no word.
		said = len(w.changes("acme"))
		if ended, err := change(control.UsersChange{Ends: -1}); err != nil || ended != 0 || len(w.changes("acme")) != said {
			t.Errorf("a change of nothing: ended %d, %v", ended, err)
		}
		if ended, err := change(control.UsersChange{Replace: true, Ends: 15}); err != nil || ended != 15 {
			t.Errorf("said rightly: ended %d, %v", ended, err)
		}
		stale := errors.New("stale")
		if _, err := change(control.UsersChange{Replace: true, Check: func(now []control.User) error {
			if len(now) != 0 {
				t.Errorf("the directory is %v", now)
			}
			return stale
		}}); !errors.Is(err, stale) {
			t.Errorf("got %v", err)
		}
	}, halotest.Config{})
}

// Whoever marries has another address in one of the two systems first.
func TestAChangedEmailInTheDirectoryEndsNoMapping(t *testing.T) {
	inWorld(t, func(w *world) {
		for id, name := range map[schemas.AgentID]string{2: "ada", 3: "ben", 4: "cat", 5: "dan"} {
			w.sims[0].AddAgent(halotest.Agent{ID: id, Email: name + "@x.example"})
		}
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-cat", "cat@x.example")
		in.connect("acme", 0)
		first := w.mappings("acme")
		for what, directory := range map[string][]string{
			"another":        {"u-ada", "new@x.example", "u-ben", "ben@x.example", "u-cat", "cat@x.example"},
			"none":           {"u-ada", "", "u-ben", "", "u-cat", ""},
			"each other's":   {"u-ada", "ben@x.example", "u-ben", "ada@x.example", "u-cat", "cat@x.example"},
			"somebody too":   {"u-ada", "ada@x.example", "u-ben", "ada@x.example", "u-cat", "cat@x.example", "u-new", "cat@x.example"},
			"as at the time": {"u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-cat", "cat@x.example"},
		} {
			ended := in.users("acme", directory...)
			in.refresh("acme")
			in.stop()
			in = w.active()
			for id, was := range first {
				if a, _ := in.agent("acme", id); a.MatchedBy != "email" || !slices.Equal(w.mappings("acme")[id].Intervals, was.Intervals) {
					t.Errorf("%s: agent %d is %+v", what, id, a)
				}
			}
			if ended != 0 {
				t.Errorf("%s: %d ended", what, ended)
			}
		}
		// Who waits is matched, who left the directory ends, and whom a hand gives back
		// to matching is matched.
		in.users("acme", "u-ada", "new@x.example", "u-dan", "dan@x.example", "u-cat", "else@x.example")
		in.standings("acme", map[schemas.AgentID]string{2: "matched u-ada", 3: "unmatched", 4: "matched u-cat", 5: "matched u-dan"})
		in.hand("acme", 4, "=unmatched")
		in.hand("acme", 4, "=automatic")
		in.standings("acme", map[schemas.AgentID]string{4: "unmatched"})
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
		in.hand("acme", 4, "u-hand")
		if ended := in.users("acme", "u-ben", "ben@x.example"); ended != 2 {
			t.Errorf("%d ended", ended)
		}
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

func TestAListThatIsEmptyRefusedOrShortRemovesNobody(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*halotest.Sim)
		state string
		code  string
	}{
		"empty":   {func(s *halotest.Sim) { s.HideAgents(true) }, "degraded", "role_cannot_see_agents"},
		"refused": {func(s *halotest.Sim) { s.DenyAgents(true) }, "degraded", "role_cannot_see_agents"},
		"short": {func(s *halotest.Sim) {
			s.Inject("Agent", -1, halotest.Answer(200, "application/json", `{"record_count":2,"agents":[{"id":3,"name":"Ben","email":"ben@x.example"}]}`))
		}, "active", "list_incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				sim := w.sims[0]
				sim.AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
				test.spoil(sim)
				in := w.active()
				in.users("acme", "u-ada", "ada@x.example")
				if c := in.connect("acme", 0); c.State != test.state || !slices.Equal(codes(c), []string{test.code}) {
					t.Errorf("connected as %+v", c)
				}
				mend := func() { sim.HideAgents(false); sim.DenyAgents(false); sim.Heal() }
				mend()
				if c := in.refresh("acme"); c.State != "active" || c.Agents.Matched != 1 || len(c.Problems) != 0 {
					t.Errorf("after it was mended: %+v", c)
				}
				test.spoil(sim)
				if c := in.refresh("acme"); c.State != test.state || c.Agents.Matched != 1 || !slices.Equal(codes(c), []string{test.code}) {
					t.Errorf("after it was spoilt: %+v", c)
				}
				if m := w.mappings("acme")[2]; len(m.Intervals) != 1 || !m.Intervals[0].Until.IsZero() {
					t.Errorf("mapped %+v", m.Intervals)
				}
				if a, _ := in.agent("acme", 2); a.Missing {
					t.Error("a list that is not whole makes him missing")
				}
			}, halotest.Config{})
		})
	}
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
		in.refresh("acme")
		in.standings("acme", map[schemas.AgentID]string{2: "ignored", 3: "matched u-ben", 4: "unmatched", 500: "matched u-new"})
		// Who is not in a list any more keeps his mapping: it says nothing.
		sim.ChangeAgent(500, func(a *halotest.Agent) { a.ID = 501; a.Email = "" })
		in.refresh("acme")
		in.standings("acme", map[schemas.AgentID]string{500: "matched u-new", 501: "unmatched"})
		if a, _ := in.agent("acme", 500); !a.Missing {
			t.Error("nothing says that Halo lists him no more")
		}
	}, halotest.Config{})
}
