package halopsa

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
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
	until    time.Time // when it is no longer used
}

const (
	// usualLife is how long a token is good where Halo does not say, and
	// longestLife the most that it is believed. A token that ends sooner is
	// noticed by a 401.
	usualLife   = time.Hour
	longestLife = 24 * time.Hour

	// expiryMargin is how long before its end a token is no longer used, so that
	// it does not expire on the way. Of a short life it is a tenth: were it more
	// than the life, every call would ask for a token of its own.
	expiryMargin = time.Minute
)

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
	if s.token != "" && time.Now().Before(s.until) {
		return s.token, nil
	}
	if !s.known {
		instance, err := c.Discover(ctx)
		if err != nil {
			return "", err
		}
		s.instance, s.known = instance, true
	}
	token, life, err := c.requestToken(ctx, s.instance, Scopes())
	if e, ok := errors.AsType[*Error](err); ok && e.Cause == ScopeMissing && len(e.Scopes) == 0 {
		err = c.probe(ctx, s.instance, e)
	}
	if err != nil {
		// The next call discovers again: the instance may have moved.
		*s = session{}
		return "", err
	}
	s.token, s.until = token, time.Now().Add(life-min(expiryMargin, life/10))
	return token, nil
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
// the tenant goes into the query, seen on live tenants). Any 2xx with an
// access_token grants it: the content type, the token's type and the form of its
// life differ from the standard in the field.
func (c *Client) requestToken(ctx context.Context, at Instance, scopes []string) (token string, life time.Duration, err error) {
	u, err := url.Parse(at.TokenURL)
	if err != nil {
		return "", 0, describe(HaloError, c.base.Host, 0, "", nil)
	}
	if at.TenantID != "" {
		u.RawQuery = url.Values{"tenant": {at.TenantID}}.Encode()
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.id}, "client_secret": {c.secret.Reveal()},
		"scope": {strings.Join(scopes, " ")},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, describe(HaloError, c.base.Host, 0, "", nil)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	a, err := c.send(req)
	if err != nil {
		return "", 0, c.noted("token", 0, err)
	}
	var granted struct {
		Token text `json:"access_token"`
		Life  span `json:"expires_in"`
	}
	if a.status/100 != 2 || json.Unmarshal(a.body, &granted) != nil || granted.Token == "" {
		return "", 0, c.noted("token", a.status, tokenFailure(u.Host, at, a))
	}
	if life = time.Duration(granted.Life); life == 0 {
		life = usualLife
	}
	return string(granted.Token), life, c.noted("token", a.status, nil)
}

// tokenFailure says why no token was issued.
func tokenFailure(host string, at Instance, a answer) error {
	status, f := a.status, readFailure(a.body)
	switch f.code {
	case "invalid_scope":
		return scopesMissing(host, status, f.scopes)
	case "invalid_client", "invalid_grant", "access_denied":
		return describe(SecretWrong, host, status, "", nil)
	case "unauthorized_client", "unsupported_grant_type":
		return describe(ApplicationWrong, host, status, "", nil)
	}
	switch {
	case status/100 == 2: // no token in it: a page for people, most likely
		return describe(NotHalo, host, status, "", nil)
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
		_, _, err := c.requestToken(ctx, at, []string{scope})
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
