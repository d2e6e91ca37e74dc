package halopsa

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Instance is what a Halo host says about itself.
type Instance struct {
	// TokenURL is where tokens are issued. Its host may be another one than
	// the tenant's: hosted tenants sign in at a common address.
	TokenURL string

	// TenantID goes along with a token request where it is not empty. Hosted
	// instances have one, on-premise ones do not.
	TenantID string

	// Guessed is true where the host said nothing usable and TokenURL is the
	// place where an on-premise Halo has it. Whether this is a Halo at all then
	// shows when a token is asked for.
	Guessed bool
}

// Discover asks the host, without credentials, where to sign in
// (GET /api/authinfo, seen on live tenants).
func (c *Client) Discover(ctx context.Context) (Instance, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.endpoint(nil, "authinfo"), nil)
	if err != nil {
		return Instance{}, describe(TenantURLInvalid, c.base.Host, 0, "", nil)
	}
	req.Header.Set("Accept", "application/json")
	a, err := c.send(req)
	if err != nil {
		return Instance{}, c.noted("authinfo", 0, err)
	}
	instance, err := c.instance(a)
	return instance, c.noted("authinfo", a.status, err)
}

// instance reads the answer to authinfo.
//
// A host that has no such resource may still be an older Halo, so the place of
// the token endpoint is guessed. A host that redirects or fails is not asked
// for a token: the credentials would go to whoever answers there.
func (c *Client) instance(a answer) (Instance, error) {
	guess := Instance{TokenURL: c.base.JoinPath("auth", "token").String(), Guessed: true}
	switch {
	case a.status == http.StatusNotFound:
		return guess, nil
	case a.status/100 == 3:
		return Instance{}, describe(RedirectRefused, c.base.Host, a.status, "", nil)
	case a.status/100 == 5:
		return Instance{}, describe(HaloError, c.base.Host, a.status, "", nil)
	case a.status/100 != 2:
		return Instance{}, describe(NotHalo, c.base.Host, a.status, "", nil)
	}
	var info struct {
		AuthURL  text `json:"auth_url"`
		TenantID text `json:"tenant_id"`
	}
	if json.Unmarshal(a.body, &info) != nil {
		return guess, nil
	}
	guess.TenantID = string(info.TenantID)
	if info.AuthURL == "" {
		return guess, nil
	}
	signIn, err := c.base.Parse(strings.TrimSpace(string(info.AuthURL)))
	if err != nil || signIn.Hostname() == "" || signIn.User != nil || !webPort(signIn.Port()) {
		return Instance{}, describe(HaloError, c.base.Host, a.status,
			c.base.Host+" names a sign-in address that is not an address.", nil)
	}
	// The secret goes there, so it goes encrypted, unless the customer's own
	// URL says that this instance is reached without TLS. The guard then holds
	// the sign-in host to the allowed networks too.
	if signIn.Scheme != "https" && (signIn.Scheme != "http" || c.base.Scheme != "http") {
		return Instance{}, describe(AddressForbidden, c.base.Host, a.status,
			c.base.Host+" names a sign-in address that is not https://.", nil)
	}
	return Instance{TokenURL: tokenURL(signIn), TenantID: guess.TenantID}, nil
}

// tokenURL appends /token to auth_url, which comes with and without a slash at
// its end.
func tokenURL(signIn *url.URL) string {
	u := url.URL{Scheme: signIn.Scheme, Host: signIn.Host, Path: strings.TrimRight(signIn.Path, "/")}
	if !strings.HasSuffix(u.Path, "/token") {
		u.Path += "/token"
	}
	return u.String()
}

// answer is what Halo said, read to the end, without a byte order mark and the
// white space around it.
type answer struct {
	status int
	body   []byte
}

// send is one exchange; its errors are those of the transport.
func (c *Client) send(req *http.Request) (answer, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, bare(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, describe(HaloError, c.base.Host, resp.StatusCode, "", nil)
	}
	return answer{status: resp.StatusCode, body: bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))}, nil
}

// bare takes the transport's error out of what net/http wraps around it: a
// url.Error repeats the whole URL.
func bare(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// noted writes the one line that is logged about an answer, and passes err on.
func (c *Client) noted(call string, status int, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		status = e.Status
	}
	c.log.Debug("halo answered", "call", call, "status", status, "cause", CauseOf(err))
	return err
}
