package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl/oauth"

	"github.com/worksights/halo-connector/schemas"
)

// OAuth says where tokens for the brokers come from: OAuth 2.0, the grant of
// client credentials (RFC 6749, section 4.4).
type OAuth struct {
	TokenURL     string // https, or http on loopback
	ClientID     string
	ClientSecret schemas.Secret
	Scope        string // may be empty
}

func (o OAuth) validate(wanted bool) (errs []error) {
	if !wanted {
		return []error{fmt.Errorf("%w is not the SASL mechanism, and its settings are given", ErrOAuth)}
	}
	u, err := url.Parse(o.TokenURL)
	switch {
	case o.TokenURL == "" || o.ClientID == "" || o.ClientSecret == "":
		errs = append(errs, fmt.Errorf("%w: want a token URL, a client id and a client secret", ErrOAuth))
	case err != nil || u.User != nil || u.Host == "": // not quoted: there may be a password in it
		errs = append(errs, fmt.Errorf("%w: the token URL is none", ErrOAuth))
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		errs = append(errs, fmt.Errorf("%w: the token URL has to be https, since the client secret is sent to it", ErrOAuth))
	}
	return errs
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

const (
	tokenTimeout = 10 * time.Second
	tokenMost    = 64 << 10
)

// tokens are what a client shows to the brokers. One serves for all connections
// until half its life is over: a connection that is renewed because its token
// ends must not be given the same one again.
type tokens struct {
	cfg   OAuth
	trust func() (*x509.CertPool, error)

	mu    sync.Mutex
	token string
	fresh time.Time // until then it is handed out
}

func newTokens(cfg OAuth, trust func() (*x509.CertPool, error)) *tokens {
	return &tokens{cfg: cfg, trust: trust}
}

// authenticate is called by the client for each connection.
func (t *tokens) authenticate(ctx context.Context) (oauth.Auth, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == "" || !time.Now().Before(t.fresh) {
		token, life, err := t.fetch(ctx)
		if err != nil {
			return oauth.Auth{}, fmt.Errorf("token from %s: %w", t.cfg.TokenURL, err)
		}
		t.token, t.fresh = token, time.Now().Add(life/2)
	}
	return oauth.Auth{Token: t.token}, nil
}

// fetch asks for a token. No error quotes an answer: it could hold the secret.
func (t *tokens) fetch(ctx context.Context) (token string, life time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	form := url.Values{"grant_type": {"client_credentials"}}
	if t.cfg.Scope != "" {
		form.Set("scope", t.cfg.Scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.cfg.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, errors.New("not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(t.cfg.ClientID), url.QueryEscape(t.cfg.ClientSecret.Reveal()))
	roots, err := t.trust()
	if err != nil {
		return "", 0, err
	}
	// A transport of its own: no proxy of the environment sees the secret.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects") }}
	resp, err := client.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return "", 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, tokenMost))
	if err != nil {
		return "", 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("answered %s", resp.Status)
	}
	var answer struct {
		Token string      `json:"access_token"`
		Life  json.Number `json:"expires_in"` // a number; some send it as text
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		return "", 0, errors.New("the answer has no access_token")
	}
	seconds, err := answer.Life.Float64()
	if err != nil || seconds < 0 {
		seconds = 0 // unknown: asked for anew with each connection
	}
	return answer.Token, time.Duration(min(seconds, 86400) * float64(time.Second)), nil
}
