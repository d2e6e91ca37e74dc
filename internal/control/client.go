package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Client speaks to the control API. It may be used by several goroutines at
// once.
type Client struct {
	base  string
	token schemas.Secret
	http  *http.Client
}

// Patience is how long a [New] client waits for an answer. PUT /connection may
// take 60 s, while Halo is asked a dozen things.
const Patience = 75 * time.Second

// New returns a client of the API at base, such as http://127.0.0.1:8081.
//
// It uses no proxy: the variables that name one were set for the way out of the
// house, and the API's token in clear is not for whoever stands there.
func New(base string, token schemas.Secret) *Client {
	direct := http.DefaultTransport.(*http.Transport).Clone()
	direct.Proxy = nil
	return NewOver(direct, base, token)
}

// NewOver is New over another way to the API: within one process, or with
// another patience. What the transport is handed is a whole request.
func NewOver(way http.RoundTripper, base string, token schemas.Secret) *Client {
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: &http.Client{
		Transport: way, Timeout: Patience,
		// The API redirects nowhere. Whoever does is something else, and the
		// token would travel on to it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// As is the client with another token.
func (c *Client) As(token schemas.Secret) *Client {
	as := *c
	as.token = token
	return &as
}

// ErrUnavailable says that the API did not answer, or that something which it
// needs does not.
var ErrUnavailable = errors.New("not available")

// ErrForeign says that what answered is not the control API.
var ErrForeign = errors.New("what answers there is not the control API")

// Answer is a 2xx of the API.
type Answer struct {
	Status int
	ETag   string // of a directory of users; else ""
	Body   json.RawMessage
}

// largest bounds an answer. Twenty thousand users with their e-mails are two
// megabytes.
const largest = 32 << 20

// Request is one request of the API.
type Request struct {
	Method  string
	Path    string // begins with "/"
	Query   url.Values
	Body    any    // marshalled as JSON; nil for none
	IfMatch string // "" for none
}

// Send sends one request. Errors are a *[Refusal], or wrap [ErrUnavailable] or
// the context's.
func (c *Client) Send(ctx context.Context, r Request) (Answer, error) {
	var payload io.Reader
	if r.Body != nil {
		b, err := json.Marshal(r.Body)
		if err != nil {
			return Answer{}, err
		}
		payload = bytes.NewReader(b)
	}
	target := c.base + r.Path
	if len(r.Query) > 0 {
		target += "?" + r.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, target, payload)
	if err != nil {
		return Answer{}, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	if r.IfMatch != "" {
		req.Header.Set("If-Match", r.IfMatch)
	}
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: control API at %s: %w", ErrUnavailable, c.base, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err != nil {
		return Answer{}, fmt.Errorf("%w: control API at %s: %w", ErrUnavailable, c.base, err)
	}
	if resp.StatusCode >= 300 {
		return Answer{}, refusalOf(resp, b)
	}
	return Answer{resp.StatusCode, resp.Header.Get("ETag"), b}, nil
}

// Do sends one request and returns the answer's body, see [Client.Send].
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body any) (json.RawMessage, error) {
	a, err := c.Send(ctx, Request{Method: method, Path: path, Query: query, Body: body})
	return a.Body, err
}

// TenantPath is the path of a tenant's resource; rest begins with "/" or is
// empty.
func TenantPath(t schemas.Tenant, rest string) string {
	return "/v1/tenants/" + url.PathEscape(string(t)) + rest
}

// Ask is Do for one tenant, with the answer decoded into out unless that is
// nil. It may also fail with [ErrForeign].
func (c *Client) Ask(ctx context.Context, method string, t schemas.Tenant, path string, query url.Values, body, out any) (json.RawMessage, error) {
	raw, err := c.Do(ctx, method, TenantPath(t, path), query, body)
	if err != nil || out == nil {
		return raw, err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, fmt.Errorf("%s: %w (%s %s)", c.base, ErrForeign, method, path)
	}
	return raw, nil
}
