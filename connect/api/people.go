package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// etag is a strong one, of the directory and nothing else: equal content, equal
// tag.
func etag(users []control.User) string {
	sum := sha256.New()
	_ = json.NewEncoder(sum).Encode(orNone(users)) // a digest takes everything
	return `"` + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16]) + `"`
}

var errChanged = control.Refuse(http.StatusPreconditionFailed, "changed", "The user directory has changed since; get it again.")

// ifMatch refuses a change of another directory than the caller has seen.
func ifMatch(header string) func([]control.User) error {
	return func(now []control.User) error {
		if header == "" {
			return nil
		}
		is := etag(now)
		for tag := range strings.SplitSeq(header, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || tag == is {
				return nil
			}
		}
		return errChanged
	}
}

type (
	usersAnswer struct {
		ETag string `header:"ETag" doc:"Of the directory; goes into If-Match" example:"\"u1dA3k0Xh2ZzV9cGQq4p8w\""`
		Body control.Users
	}
	usersChangedAnswer struct {
		ETag string `header:"ETag" doc:"Of the directory as it is now" example:"\"u1dA3k0Xh2ZzV9cGQq4p8w\""`
		Body control.UsersChanged
	}
	InUsersChange struct {
		InTenant
		IfMatch string `header:"If-Match" doc:"The ETag of GET: change the directory only while it is that one; * always fits"`
		Ends    maybe  `query:"ends" minimum:"0" maximum:"1000000000" doc:"How many mappings the change will end: needed where it ends more than 5 of them and more than a fifth"`
	}
)

// changeUsers carries out a change of the directory.
func (a *API) changeUsers(ctx context.Context, c *call, in InUsersChange, change control.UsersChange) (*usersChangedAnswer, error) {
	seen := make(map[schemas.UserID]bool, len(change.Set))
	for i, u := range change.Set {
		switch fault := checkEntry(u); {
		case fault != "":
			return nil, invalid("Entry %d: %s.", i, fault)
		case seen[u.ID]:
			return nil, invalid("Entry %d: the user is there twice.", i)
		}
		seen[u.ID] = true
	}
	for i, id := range change.Remove {
		if seen[id] {
			return nil, invalid("remove, entry %d: the user is in set too.", i)
		}
	}
	change.Ends, change.Check = -1, ifMatch(in.IfMatch)
	if in.Ends.Set {
		change.Ends = int(in.Ends.Value)
	}
	now, ended, err := a.cfg.Tenants.ChangeUsers(ctx, c.tenant, c.grant.Name, change)
	return &usersChangedAnswer{etag(now), control.UsersChanged{Users: len(now), Ended: ended}}, err
}

var directoryRefuses = refusing(sealed, map[int]string{
	http.StatusConflict: "would_end_mappings: it would end more than 5 mappings and more than a fifth of them; error.ends is how many, " +
		"and ?ends= with that number does it",
	http.StatusPreconditionFailed: "changed: the directory is not the one of If-Match",
})

func userRoutes(a *API) {
	add(a, route{
		method: "GET", path: tenantPath + "/users", id: "getUsers", scope: access.Read,
		summary: "The tenant's WorkSights user directory", says: "Users, by user_id", refuses: sealed,
	}, func(ctx context.Context, c *call, _ *InTenant) (*usersAnswer, error) {
		users, err := a.cfg.Tenants.Users(ctx, c.tenant)
		return &usersAnswer{etag(users), control.Users{Users: orNone(users)}}, err
	})
	add(a, route{
		method: "PUT", path: tenantPath + "/users", id: "putUsers", scope: access.Map, change: "users",
		summary: "Replace the tenant's WorkSights user directory",
		about:   "Used to match agents by e-mail, which is done before the answer. Mappings to users who are not in it end now.",
		says:    "Taken", refuses: directoryRefuses,
	}, func(ctx context.Context, c *call, in *struct {
		InUsersChange
		Body []control.User
	},
	) (*usersChangedAnswer, error) {
		return a.changeUsers(ctx, c, in.InUsersChange, control.UsersChange{Replace: true, Set: in.Body})
	})
	add(a, route{
		method: "PATCH", path: tenantPath + "/users", id: "patchUsers", scope: access.Map, change: "users",
		summary: "Add some users, change their e-mails, remove some",
		about:   "Removing a user whom nobody knows is nothing. A changed e-mail ends no mapping.",
		says:    "Taken", refuses: directoryRefuses,
	}, func(ctx context.Context, c *call, in *struct {
		InUsersChange
		Body control.UsersPatch
	},
	) (*usersChangedAnswer, error) {
		return a.changeUsers(ctx, c, in.InUsersChange, control.UsersChange{Set: in.Body.Set, Remove: in.Body.Remove})
	})
}

// assignment is the body of PUT /agents/{agent}/user, and with an agent an item
// of PUT /agents/users.
type assignment struct {
	Agent *agentRef       `json:"agent_id"`
	User  json.RawMessage `json:"user_id"`
	Set   json.RawMessage `json:"set"`
}

// of reads an assignment of the agent.
func (in assignment) of(agent schemas.AgentID) (control.Assignment, *control.Refusal) {
	out := control.Assignment{Agent: agent}
	switch {
	case (in.User == nil) == (in.Set == nil):
		return out, invalid("Say either user_id or set.")
	case in.User != nil:
		if json.Unmarshal(in.User, &out.User) != nil || bytes.Equal(in.User, []byte("null")) {
			return out, invalid("user_id is a text.")
		}
		if fault := checkUser(out.User); fault != "" {
			return out, invalid("%s.", fault)
		}
	default:
		words := []string{control.SetUnmatched, control.SetIgnored, control.SetAutomatic}
		if json.Unmarshal(in.Set, &out.Set) != nil || !slices.Contains(words, out.Set) {
			return out, invalid("set is unmatched, ignored or automatic.")
		}
	}
	return out, nil
}

// agentAssignment is an assignment to the agent in the path.
type agentAssignment struct{ assignment }

// Schema says it all: exactly one of the two.
func (agentAssignment) Schema(huma.Registry) *huma.Schema { return assignmentSchema(true) }

// bulkItem is an assignment to an agent of its own.
type bulkItem struct{ assignment }

// Schema is loose: what is wrong with an item is said in its result.
func (bulkItem) Schema(huma.Registry) *huma.Schema { return assignmentSchema(false) }

func agentRoutes(a *API) {
	add(a, route{
		method: "GET", path: tenantPath + "/agents", id: "getAgents", scope: access.Read,
		summary: "The tenant's agents and whom they are mapped to",
		about:   "By id. q looks into the name, the e-mail, the agent's id and the user's.",
		says:    "Agents", refuses: refusing(notConnected, sealed),
		links: map[string]*huma.Link{
			"history": {OperationID: "getAgentHistory", Parameters: map[string]any{"tenant": "$request.path.tenant", "agent": "$response.body#/agents/0/agent_id"}},
			"map":     {OperationID: "mapAgent", Parameters: map[string]any{"tenant": "$request.path.tenant", "agent": "$response.body#/agents/0/agent_id"}},
		},
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		State string `query:"state" enum:"matched,unmatched,ignored"`
		InSome
	},
	) (*answer[control.Agents], error) {
		after := uint64(0)
		if in.Cursor != "" {
			var err error
			if after, err = strconv.ParseUint(in.Cursor, 10, 53); err != nil {
				return nil, control.ErrCursor
			}
		}
		agents, err := a.cfg.Tenants.Agents(ctx, c.tenant)
		if err != nil {
			return nil, err
		}
		agents, next := some(in.InSome, agents, func(g control.Agent) bool {
			user := ""
			if g.UserID != nil {
				user = string(*g.UserID)
			}
			return (in.State == "" || g.State == in.State) && contains(in.Query, g.Name, g.Email, strconv.FormatUint(uint64(g.ID), 10), user)
		}, func(g control.Agent) string { return strconv.FormatUint(uint64(g.ID), 10) },
			func(g control.Agent, _ string) bool { return uint64(g.ID) > after })
		return &answer[control.Agents]{control.Agents{Agents: agents, Next: next}}, nil
	})
	add(a, route{
		method: "PUT", path: tenantPath + "/agents/users", id: "mapAgents", scope: access.Map, change: "map",
		summary: "Map, unmap, ignore, or give back to matching, many agents at once",
		about:   "Each assignment is done or refused by itself, and has its result in the order in which it was sent. All that are done begin at one instant.",
		says:    "What became of each", refuses: refusing(notConnected, sealed),
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		Body []bulkItem `maxItems:"500"`
	},
	) (*answer[control.BulkResults], error) {
		results, err := a.assignAll(ctx, c, in.Body)
		return &answer[control.BulkResults]{control.BulkResults{Results: results}}, err
	})
	add(a, route{
		method: "PUT", path: tenantPath + "/agents/{agent}/user", id: "mapAgent", scope: access.Map, change: "map",
		summary: "Map an agent to a user, from now on; or unmap, ignore, or give him back to matching",
		about:   "There is no backfill: events that arrived before stay as they were judged.",
		says:    "The agent", refuses: refusing(sealed, map[int]string{http.StatusNotFound: "not_connected, unknown_agent or unknown_user"}),
	}, func(ctx context.Context, c *call, in *struct {
		InAgent
		Body agentAssignment
	},
	) (*answer[control.Agent], error) {
		want, refused := in.Body.of(in.agent())
		if refused != nil {
			return nil, refused
		}
		if err := a.assignOne(ctx, c, want); err != nil {
			return nil, err
		}
		agents, err := a.cfg.Tenants.Agents(ctx, c.tenant)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(agents, func(g control.Agent) bool { return g.ID == want.Agent })
		if i < 0 {
			return nil, control.ErrUnknownAgent
		}
		return &answer[control.Agent]{agents[i]}, nil
	})
	add(a, route{
		method: "DELETE", path: tenantPath + "/agents/{agent}/user", id: "unmapAgent", scope: access.Map, change: "unmap",
		summary: "Unmap an agent, from now on; he stays so until somebody says otherwise",
		status:  http.StatusNoContent, says: "He is mapped to nobody",
		refuses: refusing(sealed, map[int]string{http.StatusNotFound: "not_connected or unknown_agent"}),
	}, func(ctx context.Context, c *call, in *InAgent) (*none, error) {
		return &none{}, a.assignOne(ctx, c, control.Assignment{Agent: in.agent(), Set: control.SetUnmatched})
	})
	add(a, route{
		method: "GET", path: tenantPath + "/agents/{agent}/history", id: "getAgentHistory", scope: access.Read,
		summary: "Whom an agent was mapped to, and since when",
		says:    "Intervals, newest first", refuses: map[int]string{http.StatusNotFound: "not_connected or unknown_agent"},
	}, func(ctx context.Context, c *call, in *InAgent) (*answer[control.History], error) {
		intervals, err := a.cfg.Tenants.History(ctx, c.tenant, in.agent())
		return &answer[control.History]{control.History{Intervals: orNone(intervals)}}, err
	})
}

// assignOne carries out one assignment and fails where it was refused.
func (a *API) assignOne(ctx context.Context, c *call, want control.Assignment) error {
	results, err := a.cfg.Tenants.Assign(ctx, c.tenant, c.grant.Name, []control.Assignment{want})
	if err == nil && results[0].Error != nil {
		return results[0].Error
	}
	return err
}

// assignAll carries out those assignments that say what can be, and puts what
// is wrong with the others in their places.
func (a *API) assignAll(ctx context.Context, c *call, items []bulkItem) ([]control.Assigned, error) {
	results := make([]control.Assigned, len(items))
	seen := make(map[schemas.AgentID]bool, len(items))
	var wants []control.Assignment
	var places []int
	for i, item := range items {
		if item.Agent == nil {
			return nil, invalid("Entry %d: agent_id is missing.", i)
		}
		agent := schemas.AgentID(*item.Agent)
		if seen[agent] {
			return nil, invalid("Entry %d: the agent is there twice.", i)
		}
		seen[agent] = true
		results[i].Agent = agent
		want, refused := item.of(agent)
		if refused != nil {
			results[i].Error = refused
			continue
		}
		wants, places = append(wants, want), append(places, i)
	}
	done, err := a.cfg.Tenants.Assign(ctx, c.tenant, c.grant.Name, wants)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		results[place] = done[i]
	}
	return results, a.standing(ctx, c, results)
}

// standing fills in how the agents stand whose assignments were not passed on.
func (a *API) standing(ctx context.Context, c *call, results []control.Assigned) error {
	if !slices.ContainsFunc(results, func(r control.Assigned) bool { return r.State == "" }) {
		return nil
	}
	agents, err := a.cfg.Tenants.Agents(ctx, c.tenant)
	if err != nil {
		return err
	}
	known := make(map[schemas.AgentID]control.Agent, len(agents))
	for _, g := range agents {
		known[g.ID] = g
	}
	for i, r := range results {
		if g, ok := known[r.Agent]; ok && r.State == "" {
			results[i].State, results[i].UserID = g.State, g.UserID
		}
	}
	return nil
}
