package match_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/match"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// mapped makes the mappings of agents who are mapped to users; "-" is one whose
// only interval is closed.
func mapped(to map[schemas.AgentID]schemas.UserID) map[schemas.AgentID]schemas.Mapping {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := make(map[schemas.AgentID]schemas.Mapping)
	for agent, user := range to {
		m := schemas.Mapping{Tenant: "acme", Agent: agent}
		if user == "-" {
			all[agent] = m.Assign("u-was", at, "x").Close(at.Add(time.Hour))
			continue
		}
		all[agent] = m.Assign(user, at, "x")
	}
	return all
}

func TestWhoAnAgentIsAndWhyHeIsNobody(t *testing.T) {
	directory := []ledger.User{
		{ID: "u-plain", Email: "plain@desk.example"},
		{ID: "u-empty", Email: ""},
		{ID: "u-shared", Email: "shared@desk.example"},
		{ID: "u-one", Email: "ambiguous@desk.example"},
		{ID: "u-two", Email: "Ambiguous@desk.example"},
		{ID: "u-left", Email: "left@desk.example"},
		{ID: "u-robot", Email: "robot@desk.example"},
		{ID: "u-heir", Email: "heir@desk.example"},
		{ID: "u-twice", Email: "twice@desk.example"},
		{ID: "u-twice", Email: "TWICE@desk.example"},
		{ID: "u-twice", Email: "other@desk.example"},
		{ID: "u-hand", Email: "hand@desk.example"},
	}
	for _, test := range []struct {
		agent  ledger.Agent
		hand   string // "-" for nobody, "ignored", or a user
		was    schemas.UserID
		want   schemas.UserID
		state  string // where he is mapped to nobody
		reason string
	}{
		{agent: ledger.Agent{ID: 2, Email: " Plain@Desk.Example"}, want: "u-plain"},
		{agent: ledger.Agent{ID: 3}, state: "unmatched", reason: "no_email"},
		{agent: ledger.Agent{ID: 4, Email: "nobody@desk.example"}, state: "unmatched", reason: "no_user"},
		{agent: ledger.Agent{ID: 5, Email: "shared@desk.example"}, state: "unmatched", reason: "shared_email"},
		{agent: ledger.Agent{ID: 6, Email: "SHARED@desk.example"}, state: "unmatched", reason: "shared_email"},
		{agent: ledger.Agent{ID: 7, Email: "ambiguous@desk.example"}, state: "unmatched", reason: "ambiguous_email"},
		{agent: ledger.Agent{ID: 8, Email: "left@desk.example", Disabled: true}, state: "ignored", reason: "disabled"},
		{agent: ledger.Agent{ID: 9, Email: "robot@desk.example", API: true}, state: "ignored", reason: "api"},
		{agent: ledger.Agent{ID: 10, Email: "heir@desk.example", Disabled: true}, state: "ignored", reason: "disabled"}, // out before e-mails are compared
		{agent: ledger.Agent{ID: 11, Email: "heir@desk.example"}, want: "u-heir"},
		{agent: ledger.Agent{ID: 12, Email: "twice@desk.example"}, want: "u-twice"},
		{agent: ledger.Agent{ID: 13, Email: "hand@desk.example"}, hand: "-", was: "u-hand", state: "unmatched", reason: "by_hand"},
		{agent: ledger.Agent{ID: 14, Email: "x@desk.example"}, hand: "ignored", state: "ignored", reason: "by_hand"},
		{agent: ledger.Agent{ID: 15, API: true}, hand: "u-robot", want: "u-robot"},
		{agent: ledger.Agent{ID: 16, Disabled: true}, hand: "-", state: "unmatched", reason: "by_hand"},
		{agent: ledger.Agent{ID: 17, Email: "y@desk.example"}, hand: "u-who", was: "u-who", state: "unmatched", reason: "no_user"},
		{agent: ledger.Agent{ID: 18, Missing: true, Email: "z@desk.example"}, was: "u-left", want: "u-left"},
		{agent: ledger.Agent{ID: 19, Missing: true}, was: "u-who", state: "unmatched", reason: "no_email"},
		{agent: ledger.Agent{ID: 20}, was: "u-one", want: "u-one"}, // without an e-mail nothing is known
		{agent: ledger.Agent{ID: 22, Disabled: true}, was: "u-plain", state: "ignored", reason: "disabled"},
		{agent: ledger.Agent{ID: 21, Email: "else@desk.example"}, was: "u-two", state: "unmatched", reason: "no_user"},
	} {
		s := ledger.State{Users: directory, Hand: map[schemas.AgentID]schemas.UserID{}, Ignored: map[schemas.AgentID]bool{}}
		s.Agents = []ledger.Agent{test.agent, {ID: 500, Email: "shared@desk.example"}}
		was := make(map[schemas.AgentID]schemas.UserID)
		if test.was != "" {
			was[test.agent.ID] = test.was
		}
		switch id := test.agent.ID; test.hand {
		case "":
		case "-":
			s.Hand[id] = ""
		case "ignored":
			s.Hand[id], s.Ignored[id] = "", true
		default:
			s.Hand[id] = schemas.UserID(test.hand)
		}
		want := match.New(s, mapped(was)).Desired()
		if is := want[test.agent.ID]; is != test.want {
			t.Errorf("agent %d should be %q, not %q", test.agent.ID, test.want, is)
		}
		if test.want != "" {
			continue
		}
		if state, reason := match.New(s, nil).State(test.agent); state != test.state || reason != test.reason {
			t.Errorf("agent %d is %s, %s; want %s, %s", test.agent.ID, state, reason, test.state, test.reason)
		}
	}
}

func TestNothingEndsWhileNoDirectoryWasGiven(t *testing.T) {
	s := ledger.State{Agents: []ledger.Agent{{ID: 2, Email: "ada@x.example"}, {ID: 3}, {ID: 4, Email: "new@x.example"}}}
	was := map[schemas.AgentID]schemas.UserID{2: "u-ada", 3: "u-ben", 99: "u-in-no-list"}
	want := match.New(s, mapped(was)).Desired()
	if len(want) != 3 || want[2] != "u-ada" || want[3] != "u-ben" || want[99] != "u-in-no-list" {
		t.Errorf("wanted %v", want)
	}
	s.Users = []ledger.User{}
	if want := match.New(s, mapped(was)).Desired(); len(want) != 0 {
		t.Errorf("with an empty directory: %v", want)
	}
}

func TestALostRecordIsRescuedFromTheMappings(t *testing.T) {
	was := mapped(map[schemas.AgentID]schemas.UserID{2: "u-ada", 3: "-"})
	agents, hand := match.Rescued(was)
	if len(agents) != 1 || agents[0].ID != 2 || !agents[0].Missing || len(hand) != 2 || hand[2] != "u-ada" || hand[3] != "" {
		t.Errorf("%v, %v", agents, hand)
	}
}

func TestSuggestionsAreOfThoseWhoseAddressSpeaksForThem(t *testing.T) {
	users := []ledger.User{
		{ID: "u-1", Email: "j.doe@work.example"},
		{ID: "u-2", Email: "jane.doe@work.example"},
		{ID: "u-3", Email: "jdoe@work.example"},
		{ID: "u-4", Email: "jane@work.example"},
		{ID: "u-5", Email: "desk7@work.example"},
		{ID: "u-6", Email: "doe@work.example"},
		{ID: "u-7", Email: "taken.agent@work.example"},
		{ID: "u-8", Email: "same@x.example"},
		{ID: "u-9", Email: "Same@x.example"},
		{ID: "u-a", Email: "no-at-sign"},
		{ID: "u-b", Email: ""},
		{ID: "u-c", Email: "søren.ångström@work.example"},
	}
	was := map[schemas.AgentID]schemas.UserID{99: "u-7"}
	for _, test := range []struct {
		agent ledger.Agent
		want  string
	}{
		{ledger.Agent{ID: 2, Name: "Jane Q. Doe", Email: "desk7@halo.example"}, "u-5 high, u-2 high, u-1 medium"},
		{ledger.Agent{ID: 2, Name: "Jane Doe"}, "u-2 high, u-1 medium, u-3 medium"},
		{ledger.Agent{ID: 2, Name: "  JANE "}, "u-4 low"},
		{ledger.Agent{ID: 2, Name: "Taken Agent"}, ""},
		{ledger.Agent{ID: 2, Name: "X", Email: "same@x.example"}, "u-8 high, u-9 high"}, // ambiguous
		{ledger.Agent{ID: 2, Name: "Søren Ångström"}, "u-c high"},
		{ledger.Agent{ID: 2, Name: "", Email: "no-at-sign"}, ""},
		{ledger.Agent{ID: 2, Name: "...", Email: "@x.example"}, ""},
		{ledger.Agent{ID: 2, Name: "Jane Doe", Disabled: true}, ""},
	} {
		s := ledger.State{Users: users, Agents: []ledger.Agent{test.agent}}
		for range 3 { // same input, same order
			var is string
			for i, g := range match.New(s, mapped(was)).Agent(test.agent).Suggestions {
				if i > 0 {
					is += ", "
				}
				if is += string(g.UserID) + " " + g.Confidence; g.Because == "" || g.Email == "" {
					t.Errorf("%+v", g)
				}
			}
			if is != test.want {
				t.Errorf("%q, %q: suggested %q, want %q", test.agent.Name, test.agent.Email, is, test.want)
			}
		}
	}
	// Of two agents who share an address, each may be the user.
	s := ledger.State{Users: users[7:8], Agents: []ledger.Agent{{ID: 2, Email: "same@x.example"}, {ID: 3, Email: "same@x.example"}}}
	for _, a := range s.Agents {
		if got := match.New(s, nil).Agent(a); got.Reason != control.SharedEmail || len(got.Suggestions) != 1 {
			t.Errorf("%+v", got)
		}
	}
	s.Hand = map[schemas.AgentID]schemas.UserID{2: ""}
	if got := match.New(s, nil).Agent(s.Agents[0]); len(got.Suggestions) != 0 {
		t.Errorf("somebody said that he is nobody: %+v", got)
	}
}

func TestTheGuardCountsWhatEnds(t *testing.T) {
	for _, test := range []struct {
		ended, open int
		many        bool
	}{{5, 5, false}, {6, 6, true}, {6, 29, true}, {6, 30, false}, {6, 31, false}, {0, 0, false}, {200, 999, true}, {200, 1000, false}} {
		if is := match.TooMany(test.ended, test.open); is != test.many {
			t.Errorf("%d of %d: %v", test.ended, test.open, is)
		}
	}
}

func TestADirectoryIsChangedInPartAndWhole(t *testing.T) {
	now := []ledger.User{{ID: "u-1", Email: "a@x.example"}, {ID: "u-2", Email: "b@x.example"}}
	for name, test := range map[string]struct {
		change  control.UsersChange
		now     []ledger.User
		want    []ledger.User
		changed bool
	}{
		"set one, remove one": {
			control.UsersChange{Set: []control.User{{ID: "u-0", Email: "n@x.example"}, {ID: "u-2", Email: "c@x.example"}}, Remove: []schemas.UserID{"u-1", "u-9"}},
			now,
			[]ledger.User{{ID: "u-0", Email: "n@x.example"}, {ID: "u-2", Email: "c@x.example"}},
			true,
		},
		"nothing":                {control.UsersChange{}, now, now, false},
		"what there is":          {control.UsersChange{Set: []control.User{{ID: "u-1", Email: "a@x.example"}}}, now, now, false},
		"nothing of none":        {control.UsersChange{}, nil, nil, false},
		"whole":                  {control.UsersChange{Replace: true, Set: []control.User{{ID: "u-2", Email: "b@x.example"}, {ID: "u-1", Email: "a@x.example"}}}, now, now, false},
		"nobody":                 {control.UsersChange{Replace: true}, now, []ledger.User{}, true},
		"nobody, the first time": {control.UsersChange{Replace: true}, nil, []ledger.User{}, true},
	} {
		next, changed := match.Directory(test.now, test.change)
		if !slices.Equal(next, test.want) || changed != test.changed || (next == nil) != (test.want == nil) {
			t.Errorf("%s: %v, changed %v", name, next, changed)
		}
	}
}

// A page of agents is made while somebody waits for it.
func TestTwoThousandAgentsAndTwentyThousandUsersAreQuick(t *testing.T) {
	s := ledger.State{}
	for i := range 20_000 {
		s.Users = append(s.Users, ledger.User{ID: schemas.UserID(fmt.Sprintf("u-%d", i)), Email: fmt.Sprintf("first%d.last%d@x.example", i, i)})
	}
	for i := range 2_000 {
		s.Agents = append(s.Agents, ledger.Agent{ID: schemas.AgentID(i + 2), Name: fmt.Sprintf("First%d Last%d", i, i), Email: fmt.Sprintf("a%d@x.example", i)})
	}
	began := time.Now()
	m := match.New(s, nil)
	suggested := 0
	for _, a := range s.Agents {
		suggested += len(m.Agent(a).Suggestions)
	}
	want := m.Desired()
	if took := time.Since(began); took > 2*time.Second { // it takes 20 ms; the machine may be busy
		t.Errorf("took %v", took)
	}
	if suggested != 2_000 || len(want) != 0 {
		t.Errorf("%d suggestions, %d matched", suggested, len(want))
	}
}
