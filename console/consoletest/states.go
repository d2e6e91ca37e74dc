package consoletest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// The tokens of a [Full] world.
const (
	Operator = "hct_operator" // every tenant, everything
	Admin    = "hct_admin"    // northwind, everything
	Mapper   = "hct_mapper"   // northwind, read and map
	Reader   = "hct_reader"   // northwind, read
)

// Full is an API that holds a tenant for every state that a page can be in.
func Full(now func() time.Time) *API {
	a := New(now)
	all := []string{control.ScopeRead, control.ScopeMap, control.ScopeManage}
	a.Tokens[Operator] = Token{Name: "operator", Scopes: all}
	a.Tokens[Admin] = Token{Name: "settings-page", Tenant: "northwind", Scopes: all}
	a.Tokens[Mapper] = Token{Name: "mapper", Tenant: "northwind", Scopes: all[:2]}
	a.Tokens[Reader] = Token{Name: "team-lead", Tenant: "northwind", Scopes: all[:1]}
	at := now()
	a.Tenants["northwind"] = Northwind(at)
	a.Tenants["fresh"] = &Tenant{}
	a.Tenants["quiet"] = quiet(at)
	a.Tenants["contoso"] = troubled(at)
	a.Tenants["fabrikam"] = sealed(at)
	a.Tenants["tailspin"] = &Tenant{Connection: Connected("tailspin", at.AddDate(0, -2, 0)), Changes: Northwind(at).Changes}
	a.Tenants["tailspin"].Connection.State, a.Tenants["tailspin"].Connection.Webhook = control.Disconnected, control.Webhook{Name: "WorkSights AI Connector"}
	a.Tenants["wingtip"] = &Tenant{Connection: Connected("wingtip", at), Diagnosis: Northwind(at).Diagnosis}
	a.Tenants["crowd"] = Crowd(at, 2000)
	a.Tenants["hostile"] = hostile(at)
	return a
}

// quiet is a tenant in which all is well and little happens.
func quiet(now time.Time) *Tenant {
	t := Northwind(now)
	t.Connection.Tenant, t.Connection.Problems = "quiet", []control.Problem{}
	t.Activities, t.Events, t.Deliveries, t.Changes, t.Summary = nil, nil, nil, nil, control.Summary{}
	for i := range t.Agents {
		if t.Agents[i].State == control.Unmatched {
			t.Agents[i].State, t.Agents[i].Reason, t.Agents[i].Suggestions = control.Ignored, control.ByHand, nil
		}
	}
	return t
}

// troubled has several problems of each severity.
func troubled(now time.Time) *Tenant {
	t := Northwind(now)
	c := t.Connection
	c.Tenant, c.State, c.TenantURL, c.Webhook.Active, c.Webhook.Events = "contoso", control.Degraded, "https://desk.contoso.example", false, schemas.Kinds()[:2]
	since := now.Add(-26 * time.Hour)
	c.Problems = []control.Problem{
		{Code: "webhook_disabled", Severity: control.SeverityError, Since: since, Message: "The webhook WorkSights AI Connector is switched off in Halo: no events arrive.", Action: "Switch it on in Halo under Configuration, Integrations, Webhooks, or reconnect."},
		{Code: "role_cannot_see_agents", Severity: control.SeverityError, Since: since, Message: "The application’s agent may not see agents.", Action: "Give his role the right to see agents in Halo, then refresh the connection."},
		{Code: "deliveries_refused", Severity: control.SeverityWarning, Since: since, Message: "3 deliveries were refused in the last day.", Action: "See which, and why."},
		{Code: "webhook_repaired", Severity: control.SeverityInfo, Since: since, Message: "Halo had switched the webhook off after failed deliveries; it was switched on again.", Action: "Nothing to do."},
	}
	t.Users = nil
	return t
}

func sealed(now time.Time) *Tenant {
	t := Northwind(now)
	c := t.Connection
	c.Tenant, c.State, c.Webhook = "fabrikam", control.Sealed, control.Webhook{Name: "WorkSights AI Connector"}
	c.Problems = []control.Problem{{Code: "vault_sealed", Severity: control.SeverityError, Since: now.Add(-time.Hour), Message: "The tenant’s record does not open with the keys at hand.", Action: "An operator brings back the key, or somebody connects again. Everybody stays mapped as before."}}
	return t
}

// Crowd is a tenant with n agents, and as many users.
func Crowd(now time.Time, n int) *Tenant {
	t := Northwind(now)
	t.Connection.Tenant = "crowd"
	t.Agents, t.Users = People(n)
	return t
}

// hostile has texts that want to act, to hide, or to turn what stands beside.
func hostile(now time.Time) *Tenant {
	t := Northwind(now)
	t.Connection.Tenant = "hostile"
	for i := range t.Agents {
		t.Agents[i].Name = fmt.Sprintf("%d <script>alert(1)</script>\u202Egnp.exe\u200B\u0007", i)
		t.Agents[i].Email = "\"><img src=x onerror=alert(1)>@x.example"
		for j := range t.Agents[i].Suggestions {
			t.Agents[i].Suggestions[j].Because = "\u2066=HYPERLINK(\"http://x\")"
		}
	}
	t.Agents[0].Name = "=cmd|' /C calc'!A0"
	t.Connection.TenantURL = "javascript:alert(1)"
	t.Connection.Problems[0].Message = "<b>bold</b>\u202E"
	t.Changes[0].By = "\u202E<i>evil</i>"
	t.Deliveries[0].Fields = []string{"</td><script>"}
	return t
}

// Unavailable is how the API says that something behind it is away.
var Unavailable = &control.Refusal{Status: http.StatusServiceUnavailable, Code: "timeline_unavailable", Message: "The timeline cannot be read now. Try again in a few seconds.", RetryAfter: 5 * time.Second}

// Standby is how an instance that does not act refuses.
var Standby = &control.Refusal{Status: http.StatusServiceUnavailable, Code: "standby", Message: "This instance is on standby.", RetryAfter: 5 * time.Second}
