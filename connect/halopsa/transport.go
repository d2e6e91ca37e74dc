package halopsa

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// transport makes each exchange with Halo safe and whole: it spends the
// tenant's budget, waits and asks again when Halo says 429, bounds the exchange
// in time and size, and turns a failed one into a cause. Because it stands
// below everything else, the token endpoint obeys the same rules.
//
// What it returns is read to the end, so that no error of the network can
// surface later.
type transport struct {
	secure *http.Transport // for https: public addresses and those allowed
	plain  *http.Transport // for http: those allowed, and no other
	budget *Budget
}

func newTransport(g guard, resolver *net.Resolver, roots *x509.CertPool, budget *Budget) *transport {
	secure := &http.Transport{
		// Proxy stays nil: a proxy of the environment would dial for us, out of
		// the guard's sight.
		DialContext:            g.dialer(resolver, g.permits).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        4,
		MaxIdleConns:           4,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	plain := secure.Clone()
	plain.DialContext = g.dialer(resolver, g.allowed).DialContext
	return &transport{secure: secure, plain: plain, budget: budget}
}

// refuseRedirect hands the redirect itself to the caller, who turns it into
// [RedirectRefused]: credentials must not follow to where a server points.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (t *transport) CloseIdleConnections() {
	t.secure.CloseIdleConnections()
	t.plain.CloseIdleConnections()
}

// RoundTrip sends the request until Halo answers something else than 429, the
// context ends, or patience does.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, host := req.Context(), req.URL.Host
	for refusals := 0; refusals < maxRefusals; refusals++ {
		pause := t.budget.wait(ctx, host)
		if err := ctx.Err(); err != nil {
			return nil, interrupted(host, err)
		}
		if pause > 0 {
			return nil, limited(host, 0, pause)
		}
		sent := time.Now()
		resp, err := t.once(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusTooManyRequests {
			t.budget.answered(host)
			return resp, nil
		}
		t.budget.refused(host, sent, retryAfter(resp.Header.Get("Retry-After"), time.Now()))
	}
	return nil, limited(host, http.StatusTooManyRequests, t.budget.quiet(host))
}

// once is one exchange, read to the end.
func (t *transport) once(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), requestTimeout)
	defer cancel()
	attempt := req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		attempt.Body = body
	}
	attempt.Header.Set("User-Agent", "worksights-halo-connector")
	next := t.secure
	if req.URL.Scheme == "http" {
		next = t.plain
	}
	resp, err := next.RoundTrip(attempt)
	if err != nil {
		return nil, broken(req, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return nil, broken(req, err)
	}
	if len(body) > maxResponse {
		return nil, describe(HaloError, req.URL.Host, resp.StatusCode,
			req.URL.Host+" answered with more than "+strconv.Itoa(maxResponse>>20)+" MiB.", nil)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// retryAfter reads the header in either of its forms, seconds or a date; 0
// where it is absent, unreadable or past. How much of it is obeyed is the
// budget's to say.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds > 0 { // not NaN
		return time.Duration(min(seconds, longestPause.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// interrupted is the end of the caller's context: his own cancellation is
// given back as it is, a deadline is something the operator wants explained.
func interrupted(host string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return describe(Unreachable, host, 0, host+" did not answer in time.", context.DeadlineExceeded)
	}
	return err
}

// broken turns the failure of an exchange into a cause. The errors of net/http
// and crypto/x509 may quote what the other side sent, so none is wrapped.
func broken(req *http.Request, err error) error {
	host := req.URL.Host
	if ctx := req.Context(); ctx.Err() != nil {
		return interrupted(host, ctx.Err())
	}
	if e := certificateFailure(host, err); e != nil {
		return e
	}
	if errors.Is(err, errForbidden) {
		return describe(AddressForbidden, host, 0, "", errForbidden)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return describe(NotHalo, host, 0, "What answers at "+host+" does not speak TLS.", nil)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return describe(Unreachable, host, 0, "There is no host named "+req.URL.Hostname()+".", nil)
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return describe(Unreachable, host, 0, host+" did not answer in time.", context.DeadlineExceeded)
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return describe(Unreachable, host, 0, "", errno)
	}
	return describe(Unreachable, host, 0, host+" broke off the exchange.", nil)
}

// certificateFailure says which of the three things that can be wrong with a
// certificate it is; nil where the certificate is not the matter.
func certificateFailure(host string, err error) error {
	var message string
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		message = "The certificate that " + host + " shows is another host's."
	} else if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		message = "The certificate of " + host + " has expired, or is not valid yet."
	} else if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		message = "The certificate of " + host + " is signed by an authority that is not trusted, or its chain is incomplete."
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		return nil
	}
	return describe(CertificateUntrusted, host, 0, message, nil)
}

// trustedRoots returns the system's authorities and those of the bundle; nil,
// which means the system's, where there is no bundle. A bundle in which
// anything is not a certificate is refused whole: the operator has pasted
// something else than he thinks, perhaps a private key.
func trustedRoots(host string, bundle []byte) (*x509.CertPool, error) {
	if len(bytes.TrimSpace(bundle)) == 0 {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, describe(CABundleInvalid, host, 0, "The system's own certificates cannot be read.", nil)
	}
	for rest, n := bundle, 0; ; n++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && n > 0 && len(bytes.TrimSpace(rest)) == 0:
			return roots, nil
		case block == nil:
			return nil, describe(CABundleInvalid, host, 0, "The CA bundle holds something that is not PEM.", nil)
		case strings.Contains(block.Type, "PRIVATE KEY"):
			return nil, describe(CABundleInvalid, host, 0, "The CA bundle holds a private key. It was not kept; consider the key exposed.", nil)
		case block.Type != "CERTIFICATE":
			return nil, describe(CABundleInvalid, host, 0, "The CA bundle holds something else than certificates.", nil)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, describe(CABundleInvalid, host, 0, "A certificate of the CA bundle cannot be read.", nil)
		}
		roots.AddCert(cert)
	}
}
