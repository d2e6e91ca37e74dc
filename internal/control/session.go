package control

import (
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// The scopes of a token. Each covers those before it.
const (
	ScopeRead   = "read"   // look
	ScopeMap    = "map"    // say who the agents are
	ScopeManage = "manage" // connect, disconnect, erase
)

// LinkRequest is the body of POST /console-link.
type LinkRequest struct {
	Path   string   `json:"path,omitempty" nullable:"true" maxLength:"2000" pattern:"^/console/([a-z0-9_-]+(/[a-z0-9_-]+)*/?)?(\\?[A-Za-z0-9_.~%&=:+-]*)?$" patternDescription:"a path under /console/" example:"/console/acme/agents" doc:"The page that it opens, under /console/; the tenant's first page where it is left out"`
	Scopes []string `json:"scopes,omitempty" nullable:"true" maxItems:"3" enum:"read,map,manage" doc:"Narrows what the session may do; never widens it"`
}

// Link opens the console for one tenant, once.
type Link struct {
	URL       string    `json:"url" format:"uri" example:"https://connect.worksights.example/console/link/3q2-7wEAAAD…"`
	ExpiresAt time.Time `json:"expires_at"`
}

// LinkPath is what comes before a link's last part, in the URL that a browser
// is sent to: /console/link/{link}.
const LinkPath = "/console/link/"

// SessionRequest is the body of POST /v1/console-session: a link that was not
// used yet. Without one, the session is that of the token with which it is
// asked for.
type SessionRequest struct {
	Link string `json:"link,omitempty" nullable:"true" maxLength:"200" doc:"The last part of a link's path. It is used up"`
}

// Session is the answer of POST /v1/console-session, and of GET, which tells
// what the session or the token that it is asked with may do.
//
// Session takes the place of a token in Authorization. It is sealed with
// connect's keyset, so that it may lie in a cookie and every instance knows it,
// and is worth no more than the token that it was made with: once that is
// revoked or ends, so does the session.
type Session struct {
	Session   string           `json:"session,omitempty" doc:"Goes into Authorization, as a token does; absent in the answer of GET"`
	ExpiresAt *time.Time       `json:"expires_at" doc:"Of a session, at most eight hours after it was made; of a token, when it ends; null where it does not"`
	Path      string           `json:"path,omitempty" example:"/console/acme/agents" doc:"The page to open first; absent in the answer of GET"`
	Name      string           `json:"name" doc:"The name of the token behind it"`
	Tenants   []schemas.Tenant `json:"tenants" doc:"Those that it may see; empty: all"`
	Scopes    []string         `json:"scopes" enum:"read,map,manage" doc:"What it may do"`
}
