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

const (
	// pageSize is the most rows that Halo gives a page (seen on live tenants).
	pageSize = 50

	// maxPages ends a list that never does: 20,000 agents.
	maxPages = 400
)

// Agents lists all agents: enabled, disabled and API agents. The rows "nobody"
// (0) and "Unassigned" (1) are left out.
//
// An empty list is an error, [RoleCannotSeeAgents], like a refusal: a tenant
// has agents, so it means that the application's role does not show them, and
// never that all of them are gone.
func (c *Client) Agents(ctx context.Context) ([]Agent, error) {
	k := call{name: "agents", refused: HaloError, denied: RoleCannotSeeAgents, absent: RoleCannotSeeAgents}
	var agents []Agent
	seen := make(map[schemas.AgentID]bool)
	for page, read := 1, 0; page <= maxPages; page++ {
		rows, total, err := c.list(ctx, k, "Agent", "agents", url.Values{
			"includeenabled":   {"true"},
			"includedisabled":  {"true"},
			"includeapiagents": {"true"},
			"pageinate":        {"true"}, // the vendor's spelling
			"page_size":        {strconv.Itoa(pageSize)},
			"page_no":          {strconv.Itoa(page)},
		})
		if err != nil {
			return nil, err
		}
		news := false
		for _, row := range rows {
			a, ok := readAgent(row)
			if !ok || seen[a.ID] {
				continue
			}
			news, seen[a.ID] = true, true
			if a.ID > 1 {
				agents = append(agents, a)
			}
		}
		read += len(rows)
		if lastPage(len(rows), read, total, news) {
			if len(agents) == 0 {
				return nil, c.noted(k.name, 0, describe(RoleCannotSeeAgents, c.base.Host, http.StatusOK, "", nil))
			}
			return agents, nil
		}
	}
	return nil, describe(HaloError, c.base.Host, http.StatusOK, c.base.Host+" lists agents without an end.", nil)
}

// lastPage says whether a page of n rows ends the list, after read rows in all.
//
// A page that brings no new agent is the same page again, from an instance that
// ignores paging. A page longer than asked for comes from such an instance too,
// and is the whole list. A short page is the last, unless record_count says
// that rows are still to come: then the instance has a smaller cap than ours.
func lastPage(n, read, total int, news bool) bool {
	switch {
	case !news, n > pageSize:
		return true
	case n == pageSize:
		return false
	default:
		return read >= total
	}
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
