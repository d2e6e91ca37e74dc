package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// connectionView is the integration page.
type connectionView struct {
	control.Connection
	Headline string
	Problems []problemView
	Week     *control.Summary // nil where it cannot be read now
	Changes  []changeView
	Unread   bool // the changes cannot be read now
	Working  *work
	Failed   *control.Refusal // what a work of before ended with
	Host     string
	Link     string // to Halo; empty where that is no address of the web
}

// problemView is a problem with the button that helps.
type problemView struct {
	control.Problem
	Class  string
	Button *button
}

// button is one next action: a link, or a form that posts Do.
type button struct {
	Words, Path, Do string
}

func (v *visit) connection() error {
	if len(v.rest) == 1 && v.rest[0] == "disconnect" && v.MayManage() {
		return v.askDisconnect()
	}
	if len(v.rest) > 0 {
		return errNowhere
	}
	var view connectionView
	if err := v.get("/connection", nil, &view.Connection); err != nil {
		return err
	}
	view.Host = host(view.TenantURL)
	if strings.HasPrefix(view.TenantURL, "https://") || strings.HasPrefix(view.TenantURL, "http://") {
		view.Link = view.TenantURL
	}
	view.Headline = headline(view.Connection)
	for _, p := range view.Connection.Problems {
		view.Problems = append(view.Problems, v.problem(p))
	}
	var week control.Summary
	from := day(v.now, v.zone).AddDate(0, 0, -6)
	if err := v.get("/summary", url.Values{"from": {from.UTC().Format(time.RFC3339)}, "zone": {v.Zone()}}, &week); err == nil {
		view.Week = &week
	}
	var changes control.Changes
	if err := v.get("/changes", url.Values{"limit": {"6"}, "from": {v.now.AddDate(0, 0, -7).UTC().Format(time.RFC3339)}}, &changes); err != nil {
		view.Unread = true
	}
	var err error
	if view.Changes, err = v.viewChanges(changes.Changes); err != nil {
		return err
	}
	for _, name := range []string{"reconnect", "refresh"} {
		w := v.under(name)
		switch {
		case w == nil:
		case !w.Over():
			view.Working = w
			v.w.Header().Set("Refresh", "2")
		default:
			v.drop(name)
			if view.Failed = w.Refusal(); view.Failed != nil {
				view.Failed.Message = harmless.Text(view.Failed.Message)
			} else {
				v.Notice = map[string]string{"reconnect": "Reconnected. Halo posts to a new webhook from now on.", "refresh": fmt.Sprintf("Refreshed. Halo lists %s, of whom %s mapped.", things(view.Agents.Total, "agent", "agents"), are(view.Agents.Matched))}[name]
			}
		}
	}
	switch v.field("did") {
	case "connect":
		v.Notice = "Connected. Halo reports ticket events from now on."
	case "disconnect":
		v.Notice = "Disconnected. What was on the timelines stays there."
	}
	return v.show(http.StatusOK, "connection", view.Headline, view)
}

// problem puts the button beside a problem that solves it, where the session may
// press it.
func (v *visit) problem(p control.Problem) problemView {
	view := problemView{Problem: p, Class: map[string]string{control.SeverityError: "bad", control.SeverityWarning: "warn"}[p.Severity]}
	if view.Class == "" {
		view.Class = "info"
	}
	var b button
	scope := control.ScopeRead
	switch {
	case p.Code == "agents_unmatched":
		b = button{Words: "Map agents", Path: v.path("agents", "state", control.Unmatched)}
	case p.Code == "deliveries_refused":
		b = button{Words: "See refused deliveries", Path: v.path("missing") + "#deliveries"}
	case p.Code == "silent":
		b = button{Words: "Find out why", Path: v.path("missing")}
	case p.Code == "role_cannot_see_agents":
		b, scope = button{Words: "Refresh Connection", Path: v.path("connection"), Do: "refresh"}, control.ScopeMap
	case p.Code == "webhook_repaired":
		b = button{Words: "See changes", Path: v.path("changes")}
	case strings.HasPrefix(p.Code, "webhook_"), strings.HasPrefix(p.Code, "notification_"):
		b, scope = button{Words: "Reconnect", Path: v.path("connection"), Do: "reconnect"}, control.ScopeManage
	case slices.Contains([]string{"vault_sealed", "secret_wrong", "application_wrong", "scope_missing", "permission_missing", "ca_bundle_invalid", "certificate_untrusted"}, p.Code):
		b, scope = button{Words: "Enter credentials", Path: v.path("connect")}, control.ScopeManage
	default:
		b = button{Words: "Look again", Path: v.path("missing")}
	}
	if v.Can(scope) {
		view.Button = &b
	}
	return view
}

func host(tenantURL string) string {
	u, err := url.Parse(tenantURL)
	if err != nil || u.Host == "" {
		return tenantURL
	}
	return u.Host
}

// askDisconnect asks before what cannot be undone.
func (v *visit) askDisconnect() error {
	var conn control.Connection
	if err := v.get("/connection", nil, &conn); err != nil {
		return err
	}
	return v.show(http.StatusOK, "ask", "Disconnect "+host(conn.TenantURL)+"?", question{
		Words: "Tickets of " + things(conn.Agents.Matched, "mapped agent", "mapped agents") + " stop appearing on timelines at once, and the stored credentials are destroyed. " +
			"What is on the timelines stays. To connect again you need the client secret.",
		Action: v.path("connection"), Do: "disconnect", Yes: "Disconnect", Back: v.path("connection"),
	})
}

// question is what is asked before something that destroys.
type question struct {
	Words, Action, Do, Yes, Back string
	Fields                       []fieldValue
}

type fieldValue struct{ Name, Value string }

// changeConnection refreshes, reconnects or disconnects.
func (v *visit) changeConnection() error {
	v.limit(16 << 10)
	switch v.r.PostFormValue("do") {
	case "refresh":
		return v.longWork("refresh", control.ScopeMap, http.MethodPost, "/connection/refresh")
	case "reconnect":
		return v.longWork("reconnect", control.ScopeManage, http.MethodPost, "/connection/reconnect")
	case "disconnect":
		if !v.MayManage() {
			return errScope
		}
		if v.r.PostFormValue("sure") == "" {
			return v.askDisconnect()
		}
		if err := v.do(http.MethodDelete, "/connection", nil, nil); err != nil {
			return err
		}
		v.redirect(v.path("connection", "did", "disconnect"))
		return nil
	}
	return errNowhere
}

// longWork begins what asks Halo, and goes back to the page that shows it.
func (v *visit) longWork(name, scope, method, path string) error {
	if !v.Can(scope) {
		return errScope
	}
	api, tenant := v.api, v.tenant
	w, err := v.begin(name, control.Credentials{}, func(ctx context.Context) error {
		return ask(ctx, api, method, control.TenantPath(tenant, path), nil, nil, nil)
	})
	if err != nil {
		return err
	}
	w.shortly(v.r.Context())
	v.redirect(v.path("connection"))
	return nil
}

// Unmapped is how many events of the week had an agent without a user.
func (c connectionView) Unmapped() int64 {
	if c.Week == nil {
		return 0
	}
	return c.Week.Coverage.Skipped[schemas.Unmapped]
}
