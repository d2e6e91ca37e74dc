package console

import (
	"context"
	"net/http"
	"strings"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
)

// scopesInHalo are those that the customer ticks in Halo, by hand.
var scopesInHalo = []string{"read:tickets", "read:customers", "read:assets", "read:contracts", "read:projects", "read:kb", "admin:webhooks"}

// connectView is the form, and what became of it.
type connectView struct {
	Typed   control.Credentials
	Scopes  []string
	Errors  []formError
	Sealed  bool
	Replace bool // the tenant is connected: what is typed takes the place of what it has
	Steps   []step
}

// formError is one message: in the summary on top, and at its field.
type formError struct{ Field, Words string }

// Wrong is the message at a field.
func (c connectView) Wrong(field string) string {
	for _, e := range c.Errors {
		if e.Field == field {
			return e.Words
		}
	}
	return ""
}

// step is one of what a connect does.
type step struct{ Class, Words, More string }

// progressView is a connect under way.
type progressView struct {
	Work  *work
	Steps []step
	Host  string
}

func (v *visit) connect() error {
	if len(v.rest) > 0 {
		return errNowhere
	}
	if w := v.under("connect"); w != nil {
		if !w.Over() {
			v.w.Header().Set("Refresh", "1")
			return v.show(http.StatusOK, "progress", "Connecting HaloPSA", progressView{w, steps(int(w.step.Load()), "now"), host(w.Typed.TenantURL)})
		}
		if w.err == nil {
			v.drop("connect")
			v.redirect(v.path("connection", "did", "connect"))
			return nil
		}
		return v.connectForm(http.StatusOK, connectView{Typed: w.Typed, Errors: v.connectErrors(w), Steps: steps(int(w.step.Load()), "failed")})
	}
	return v.connectForm(http.StatusOK, connectView{})
}

// connectForm shows the form. What the tenant has is typed already, but for the
// secret.
func (v *visit) connectForm(status int, view connectView) error {
	var conn control.Connection
	switch err := v.get("/connection", nil, &conn); {
	case isCode(err, "not_connected"):
	case err != nil:
		return err
	default:
		view.Sealed = conn.State == control.Sealed
		view.Replace = conn.State != control.Disconnected && !view.Sealed
		if view.Typed.TenantURL == "" {
			view.Typed.TenantURL = conn.TenantURL
		}
	}
	view.Scopes = scopesInHalo
	title := "Connect HaloPSA"
	if view.Replace {
		title = "Enter new credentials"
	}
	return v.show(status, "connect", title, view)
}

// startConnect begins the connect and answers at once with the page that shows
// it. What was left out is said before Halo is asked.
func (v *visit) startConnect() error {
	v.limit(1 << 20)
	typed := control.Credentials{
		TenantURL:     strings.TrimSpace(v.r.PostFormValue("tenant_url")),
		ClientID:      strings.TrimSpace(v.r.PostFormValue("client_id")),
		ClientSecret:  strings.TrimSpace(v.r.PostFormValue("client_secret")),
		CABundle:      strings.TrimSpace(v.r.PostFormValue("ca_bundle")),
		ReplaceSealed: v.r.PostFormValue("replace_sealed") != "",
	}
	var wrong []formError
	for _, f := range []struct{ field, value, words string }{
		{"tenant_url", typed.TenantURL, "Enter the tenant URL, such as acme.halopsa.com."},
		{"client_id", typed.ClientID, "Enter the client ID of the API application."},
		{"client_secret", typed.ClientSecret, "Enter the client secret. Halo shows it once, when the application is made."},
	} {
		if f.value == "" {
			wrong = append(wrong, formError{f.field, f.words})
		}
	}
	if len(wrong) > 0 {
		typed.ClientSecret = ""
		return v.connectForm(http.StatusUnprocessableEntity, connectView{Typed: typed, Errors: wrong})
	}
	api, tenant := v.api, v.tenant
	w, err := v.begin("connect", typed, func(ctx context.Context) error {
		return ask(ctx, api, http.MethodPut, control.TenantPath(tenant, "/connection"), nil, typed, nil)
	})
	if err != nil {
		return err
	}
	w.shortly(v.r.Context())
	v.redirect(v.path("connect"))
	return nil
}

// connectErrors puts what the API said at the field that it is about.
func (v *visit) connectErrors(w *work) []formError {
	r := w.Refusal()
	if r == nil {
		return nil
	}
	return []formError{{fieldOf(r), harmless.Text(r.Message)}}
}

// fieldOf is the field to which a refusal leads: mostly the tenant URL, which
// says whom to ask.
// Where the trouble is ours, no field is wrong.
func fieldOf(r *control.Refusal) string {
	if r.Status == http.StatusServiceUnavailable || r.Status == http.StatusInternalServerError {
		return ""
	}
	switch r.Code {
	case "sealed":
		return "replace_sealed"
	case "ca_bundle_invalid", "certificate_untrusted":
		return "ca_bundle"
	case "secret_wrong":
		return "client_secret"
	case "application_wrong", "scope_missing", "permission_missing", "role_cannot_see_agents", "webhook_refused", "notification_refused":
		return "client_id"
	}
	return "tenant_url"
}

// steps are what a connect does, in order. Those before the one at which it is
// are done; where that is not known, none is marked.
func steps(at int, class string) []step {
	all := []step{
		{Words: "Find Halo and sign in", More: "At the tenant URL, with the client ID and secret."},
		{Words: "List the agents", More: "And the events that Halo can report."},
		{Words: "Register the webhook", More: "“WorkSights AI Connector”, with its four events, and look whether Halo kept it."},
		{Words: "Match the agents", More: "To WorkSights users by e-mail."},
	}
	for i := range all[:max(at, 0)] {
		all[i].Class = "done"
	}
	if at >= 0 {
		all[at].Class = class
	}
	return all
}
