package halopsa

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/worksights/halo-connector/schemas"
)

// Agent is one of the tenant's agents, as far as mapping needs to know it.
type Agent struct {
	ID       schemas.AgentID // > 1
	Name     string
	Email    string // may be empty, and may be shared by several agents
	Disabled bool
	API      bool // a machine
}

// pageSize is the most rows that Halo gives a page (seen on live tenants).
const pageSize = 50

// Agents lists all agents: enabled, disabled and API agents. The rows "nobody"
// (0) and "Unassigned" (1) are left out.
//
// An empty list is an error, [RoleCannotSeeAgents], like a refusal: a tenant
// has agents, so it means that the application's role does not show them, and
// never that all of them are gone. Of a list that ends before it should the
// agents come with an error of cause [ListIncomplete].
func (c *Client) Agents(ctx context.Context) ([]Agent, error) {
	l := list{
		call:     call{name: "agents", refused: HaloError, denied: RoleCannotSeeAgents, absent: RoleCannotSeeAgents},
		resource: "Agent", member: "agents", key: rowID,
		query: url.Values{
			"includeenabled":   {"true"},
			"includedisabled":  {"true"},
			"includeapiagents": {"true"},
			"pageinate":        {"true"},
			"page_size":        {strconv.Itoa(pageSize)},
			"page_no":          {"1"},
		},
	}
	rows, err := c.list(ctx, l)
	if err != nil && CauseOf(err) != ListIncomplete {
		return nil, err
	}
	var agents []Agent
	for _, row := range rows {
		if a, ok := readAgent(row); ok && a.ID > 1 {
			agents = append(agents, a)
		}
	}
	if len(agents) == 0 {
		return nil, c.noted(l.name, 0, describe(RoleCannotSeeAgents, c.base.Host, http.StatusOK, "", nil))
	}
	return agents, err
}

// readAgent reads one row; ok is false where it has no usable id.
func readAgent(row json.RawMessage) (a Agent, ok bool) {
	var r struct {
		ID       *number `json:"id"`
		Name     text    `json:"name"`
		Email    text    `json:"email"`
		Disabled flag    `json:"isdisabled"`
		API      flag    `json:"isapiagent"`
	}
	if json.Unmarshal(row, &r) != nil || r.ID == nil || *r.ID < 0 {
		return Agent{}, false
	}
	return Agent{
		ID: schemas.AgentID(*r.ID), Name: strings.TrimSpace(string(r.Name)), Email: strings.TrimSpace(string(r.Email)),
		Disabled: bool(r.Disabled), API: bool(r.API),
	}, true
}
