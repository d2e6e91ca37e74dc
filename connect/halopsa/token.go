package halopsa

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Scopes are the seven that the customer ticks for WorkSights (vendor's setup
// page). Halo has no scope for agents: whether they can be listed depends on
// the role.
func Scopes() []string {
	return []string{
		"read:tickets", "read:customers", "read:assets", "read:contracts",
		"read:projects", "read:kb", "admin:webhooks",
	}
}

// A session is a token and where it came from.
type session struct {
	instance Instance
	known    bool // instance was discovered
	token    string
	expires  time.Time
}

// expiryMargin is how long before its end a token is no longer used, so that it
// does not expire on the way.
const expiryMargin = time.Minute

// Authenticate discovers the instance and obtains a new token with all seven
// scopes, whatever is cached. A nil error means that Halo accepts the
// credentials now.
func (c *Client) Authenticate(ctx context.Context) error {
	_, err := c.bearer(ctx, func(s *session) { *s = session{} })
	return err
}

// bearer returns a token: the cached one while it is valid, else a new one.
// prepare may spoil the cached one first.
//
// Only one goroutine at a time holds the session, so that ten calls which meet
// an expired token ask for one new token, not for ten.
func (c *Client) bearer(ctx context.Context, prepare func(*session)) (string, error) {
	var s *session
	select {
	case s = <-c.sessions:
		defer func() { c.sessions <- s }()
	case <-ctx.Done():
		return "", interrupted(c.base.Host, ctx.Err())
	}
	prepare(s)
	if s.token != "" && time.Until(s.expires) > expiryMargin {
		return s.token, nil
	}
	if !s.known {
		instance, err := c.Discover(ctx)
		if err != nil {
			return "", err
		}
		s.instance, s.known = instance, true
	}
	token, err := c.requestToken(ctx, s.instance, Scopes())
	if e, ok := errors.AsType[*Error](err); ok && e.Cause == ScopeMissing && len(e.Scopes) == 0 {
		err = c.probe(ctx, s.instance, e)
	}
	if err != nil {
		// The next call discovers again: the instance may have moved.
		*s = session{}
		return "", err
	}
	s.token, s.expires = token.AccessToken, token.Expiry
	if s.expires.IsZero() {
		s.expires = time.Now().Add(time.Hour) // expires_in is 3600 where it is given
	}
	return s.token, nil
}

// forget makes sure that spent is not the session's token any more. When
// another call has renewed it meanwhile, the new one stays.
func forget(spent string) func(*session) {
	return func(s *session) {
		if s.token == spent {
			s.token = ""
		}
	}
}

func keep(*session) {}

// requestToken makes one token request (POST {auth_url}/token, form encoded;
// the tenant goes into the query, seen on live tenants).
func (c *Client) requestToken(ctx context.Context, at Instance, scopes []string) (*oauth2.Token, error) {
	u, err := url.Parse(at.TokenURL)
	if err != nil {
		return nil, describe(HaloError, c.base.Host, 0, "", nil)
	}
	if at.TenantID != "" {
		u.RawQuery = url.Values{"tenant": {at.TenantID}}.Encode()
	}
	cfg := clientcredentials.Config{
		ClientID:     c.id,
		ClientSecret: c.secret.Reveal(),
		TokenURL:     u.String(),
		Scopes:       scopes,
		// Halo reads the credentials from the form. Letting the library find
		// out would double the requests of every failure.
		AuthStyle: oauth2.AuthStyleInParams,
	}
	token, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, c.http))
	if err == nil {
		return token, c.noted("token", http.StatusOK, nil)
	}
	return nil, c.noted("token", 0, c.tokenFailure(u.Host, at, err))
}

// tokenFailure says why no token was issued. The library's error holds the
// whole answer, so it is read here and goes no further.
func (c *Client) tokenFailure(host string, at Instance, err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		if err := bare(err); CauseOf(err) != "" || errors.Is(err, context.Canceled) {
			return err
		}
		// 200, but no token in it: a page for people, most likely.
		return describe(NotHalo, host, http.StatusOK, "", nil)
	}
	status, f := refused.Response.StatusCode, readFailure(refused.Body)
	if refused.ErrorCode != "" {
		f.code = refused.ErrorCode
	}
	switch f.code {
	case "invalid_scope":
		return scopesMissing(host, status, f.scopes)
	case "invalid_client", "invalid_grant", "access_denied":
		return describe(SecretWrong, host, status, "", nil)
	case "unauthorized_client", "unsupported_grant_type":
		return describe(ApplicationWrong, host, status, "", nil)
	}
	switch {
	case status/100 == 3:
		return describe(RedirectRefused, host, status, "", nil)
	case status/100 == 5:
		return describe(HaloError, host, status, "", nil)
	case status == http.StatusUnauthorized:
		return describe(SecretWrong, host, status, "", nil)
	case f.page && at.Guessed, status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return describe(NotHalo, host, status, "", nil)
	case f.page:
		return describe(HaloError, host, status, "", nil)
	case status == http.StatusBadRequest, status == http.StatusForbidden:
		return describe(SecretWrong, host, status, "", nil)
	}
	return describe(HaloError, host, status, "", nil)
}

// probe asks for each scope alone to learn which ones were not ticked: Halo
// answers invalid_scope without saying which. It costs seven requests, once per
// attempt to connect that fails this way.
//
// When the scopes are all granted one by one, or probing itself fails for
// another reason, the original error stands.
func (c *Client) probe(ctx context.Context, at Instance, original *Error) error {
	var missing []string
	for _, scope := range Scopes() {
		_, err := c.requestToken(ctx, at, []string{scope})
		switch {
		case err == nil:
		case CauseOf(err) == ScopeMissing:
			missing = append(missing, scope)
		default:
			return original
		}
	}
	if len(missing) == 0 {
		return original
	}
	return scopesMissing(c.base.Host, original.Status, missing)
}
