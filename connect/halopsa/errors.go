package halopsa

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Cause says why Halo could not be used, as a code for programs.
type Cause string

// The causes. Each has one remedy, which [Error.Action] puts in words.
const (
	TenantURLInvalid     Cause = "tenant_url_invalid"
	CABundleInvalid      Cause = "ca_bundle_invalid"
	SecretWrong          Cause = "secret_wrong"           // client id or secret not accepted, or expired
	ApplicationWrong     Cause = "application_wrong"      // not set up for client id and secret
	ScopeMissing         Cause = "scope_missing"          // Error.Scopes says which
	RoleCannotSeeAgents  Cause = "role_cannot_see_agents" // the token is good, the agent list refused or empty
	PermissionMissing    Cause = "permission_missing"     // the token is good, something else refused
	NotHalo              Cause = "not_halo"               // something else answers there
	RedirectRefused      Cause = "redirect_refused"       // the host sends us elsewhere
	CertificateUntrusted Cause = "certificate_untrusted"  // chain, name or date
	Unreachable          Cause = "unreachable"            // no such host, no answer, too slow
	AddressForbidden     Cause = "address_forbidden"      // private, loopback or metadata address
	RateLimited          Cause = "rate_limited"           // 429, or our own budget is used up
	WebhookRefused       Cause = "webhook_refused"        // Halo did not take the webhook
	NotificationRefused  Cause = "notification_refused"   // Halo did not bind an event to it
	NotFound             Cause = "not_found"              // the webhook or notification is gone
	ListIncomplete       Cause = "list_incomplete"        // Halo says that it has more rows than it gives
	HaloError            Cause = "halo_error"             // Halo failed, or answered in a way we cannot read
)

// Error is what every call of this package fails with, except when the caller
// cancelled it. Nothing in it comes from the body of an answer.
type Error struct {
	Cause   Cause
	Message string   // what is wrong, for the operator
	Action  string   // what to do next, for the operator
	Status  int      // HTTP status of Halo's answer, 0 where there was none
	Scopes  []string // for ScopeMissing: the scopes to tick

	// RetryAfter is for RateLimited: how long Halo, or our own allowance, wants
	// us to wait, at most five minutes.
	RetryAfter time.Duration

	err error
}

// Error is for logs: the cause, the message, the status and what is behind it.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "halopsa: %s: %s", e.Cause, e.Message)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	if e.err != nil {
		fmt.Fprintf(&b, ": %v", e.err)
	}
	return b.String()
}

// Unwrap returns what is behind the failure, such as [context.DeadlineExceeded]
// or a system call's error. Errors that quote the other side are not kept.
func (e *Error) Unwrap() error { return e.err }

// CauseOf returns the cause of an error of this package, "" of any other.
func CauseOf(err error) Cause {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Cause
	}
	return ""
}

// describe makes the error of a cause. message replaces the usual words where
// more is known than the cause tells; host is as the customer gave it, or the
// sign-in host that its Halo named.
func describe(cause Cause, host string, status int, message string, err error) *Error {
	usual, action := words(cause, host)
	if message == "" {
		message = usual
	}
	return &Error{Cause: cause, Message: message, Action: action, Status: status, err: err}
}

// limited is the error of a request that would have to wait.
func limited(host string, status int, pause time.Duration) *Error {
	e := describe(RateLimited, host, status, "", nil)
	e.RetryAfter = max(pause, time.Second)
	e.Action = "Try again in " + inWords(e.RetryAfter) + ". Other integrations of the tenant use up the same allowance."
	return e
}

// inWords is a wait of up to some minutes, rounded up: who comes back then is
// not told to wait again.
func inWords(d time.Duration) string {
	n, unit := int((d+time.Second-1)/time.Second), "second"
	if n > 90 {
		n, unit = (n+59)/60, "minute"
	}
	if n == 1 {
		return "a " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

// scopesMissing is the error of scopes that the application was not given.
// scopes is empty where Halo did not say and probing did not tell.
func scopesMissing(host string, status int, scopes []string) *Error {
	e := describe(ScopeMissing, host, status, "", nil)
	e.Scopes = scopes
	switch list := strings.Join(scopes, ", "); len(scopes) {
	case 0:
	case 1:
		e.Message = fmt.Sprintf("The API application in Halo lacks the scope %s.", list)
		e.Action = fmt.Sprintf("In Halo, open the API application, tick %s under Permissions, save, and connect again.", list)
	default:
		e.Message = fmt.Sprintf("The API application in Halo lacks the scopes %s.", list)
		e.Action = fmt.Sprintf("In Halo, open the API application, tick %s under Permissions, save, and connect again.", list)
	}
	return e
}

const (
	signInAs  = `login type Agent, agent "Application Identity", role sys-all-permissions`
	waitALook = "Try again in a few minutes. If it stays so, ask the administrator of the Halo instance."
)

// words are what an operator reads about a cause: what is wrong, what to do.
func words(cause Cause, host string) (message, action string) {
	if host == "" {
		host = "the host"
	}
	switch cause {
	case TenantURLInvalid:
		return "The tenant URL cannot be used.",
			"Enter the address under which you open Halo, for example https://acme.halopsa.com."
	case CABundleInvalid:
		return "The CA bundle cannot be used.",
			"Paste the certificates of the authority that signed the certificate of the Halo server, in PEM form, and nothing else."
	case SecretWrong:
		return host + " does not accept this Client ID and Client Secret.",
			"Copy the Client ID and a new Client Secret from the API application in Halo. The secret may have expired or have been replaced, and the tenant URL may be another instance's."
	case ApplicationWrong:
		return "The API application in Halo is not allowed to sign in with a client id and secret.",
			`In Halo, set the application's authentication method to "Client ID and Secret (Services)", ` + signInAs + "."
	case ScopeMissing:
		return "The API application in Halo lacks at least one of the seven scopes.",
			"In Halo, open the API application, tick " + strings.Join(Scopes(), ", ") + " under Permissions, save, and connect again."
	case RoleCannotSeeAgents:
		return "The credentials are good, but Halo shows them no agents.",
			"In Halo, set up the API application with " + signInAs + ", then refresh the connection. No agent was removed."
	case PermissionMissing:
		return "The credentials are good, but Halo does not allow them this request.",
			"In Halo, set up the API application with " + signInAs + "."
	case NotHalo:
		return "What answers at " + host + " is not a Halo instance.",
			"Check the tenant URL: it is the address under which you open Halo, for example https://acme.halopsa.com."
	case RedirectRefused:
		return host + " redirects to another address, and redirects are not followed.",
			"Enter the address under which Halo itself answers, as the browser shows it after you signed in."
	case CertificateUntrusted:
		return "The certificate of " + host + " is not trusted.",
			"For a self-hosted Halo, have the server send its whole certificate chain, or add the certificate of its authority as the CA bundle."
	case Unreachable:
		return host + " cannot be reached.",
			"Check the tenant URL, and that the Halo server can be reached from the internet."
	case AddressForbidden:
		return host + " has an address that may not be used: private, loopback or reserved.",
			"Enter a host that is reachable from the internet. To use a Halo in a private network, have its range added to HALO_ALLOW_NETS."
	case RateLimited:
		return "Halo allows no more requests for the moment.",
			"Try again in a minute. Other integrations of the tenant use up the same allowance."
	case WebhookRefused:
		return "Halo refuses to register the webhook.",
			"In Halo, tick the scope admin:webhooks of the API application and set it up with " + signInAs + ", then connect again."
	case NotificationRefused:
		return "Halo registered the webhook but refuses to bind an event to it.",
			"In Halo, add the event to the webhook under Configuration, Integrations, Webhooks, or reconnect."
	case NotFound:
		return "Halo does not have it any more.",
			"Reconnect to register the webhook again."
	case ListIncomplete:
		return host + " lists less than it says it has.",
			"Refresh the connection. If it stays so, ask the administrator of the Halo instance."
	default:
		return host + " answered in a way that cannot be used.", waitALook
	}
}
