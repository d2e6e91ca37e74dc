package console

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// longest is how long a session lasts at most. The API ends it by then, too.
const longest = 8 * time.Hour

// errEnded says that there is no session, or none any more.
var errEnded = errors.New("not signed in")

// enter takes up the session of the request's cookie and asks the API what it is
// worth now, which says at once that its token was revoked.
func (v *visit) enter() error {
	cookie, err := v.r.Cookie(v.cookieName())
	if err != nil || cookie.Value == "" {
		return errEnded
	}
	v.had = true
	api := v.c.api.As(schemas.Secret(cookie.Value))
	var s control.Session
	if err := ask(v.r.Context(), api, http.MethodGet, sessionPath, nil, nil, &s); err != nil {
		return err
	}
	v.api, v.Session = api, s
	if v.tenant != "" && len(s.Tenants) > 0 && !slices.Contains(s.Tenants, v.tenant) {
		return errNowhere
	}
	return nil
}

// sessionPath is where the API makes a session of a token or of a link, and says
// what one is worth.
const sessionPath = "/v1/console-session"

// front is the sign-in form, and for who is signed in the list of tenants.
func (c *Console) front(v *visit) error {
	switch err := v.enter(); {
	case errors.Is(err, errEnded) || isStatus(err, http.StatusUnauthorized):
		if v.had {
			v.forget()
		}
		form := signInForm{Next: local(v.r.FormValue("next"))}
		if v.had || v.r.URL.Query().Has("ended") {
			form.Notice = "Your session has ended. Sign in again to go on."
		} else if v.r.URL.Query().Has("out") {
			form.Notice = "You are signed out."
		}
		return v.show(http.StatusOK, "sign-in", "Sign in", form)
	case err != nil:
		return err
	case len(v.Session.Tenants) == 1:
		v.redirect(Prefix + string(v.Session.Tenants[0]) + "/connection")
		return nil
	}
	return v.tenants()
}

type signInForm struct {
	Next, Notice, Error string
}

// signIn makes a session of a token.
func (v *visit) signIn() error {
	v.limit(64 << 10)
	token, next := strings.TrimSpace(v.r.PostFormValue("token")), local(v.r.PostFormValue("next"))
	v.zoneFrom(v.r.PostFormValue("zone"))
	var s control.Session
	err := errEnded
	if token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		err = ask(v.r.Context(), v.c.api.As(schemas.Secret(token)), http.MethodPost, sessionPath, nil, control.SessionRequest{}, &s)
	}
	if errors.Is(err, errEnded) || isStatus(err, http.StatusUnauthorized) {
		form := signInForm{Next: next, Error: "No token like this is known. Look whether it was pasted whole."}
		if token == "" {
			form.Error = "Paste a token."
		} else if r, ok := errors.AsType[*control.Refusal](err); ok && r.Code == "token_expired" {
			form.Error = harmless.Text(r.Message)
		}
		return v.show(http.StatusUnauthorized, "sign-in", "Sign in", form)
	}
	if err != nil {
		return err
	}
	v.remember(s)
	switch {
	case next != "":
		v.redirect(next)
	default:
		v.redirect(Prefix)
	}
	return nil
}

// open uses up a one-time link. Whoever clicked on it comes from another site,
// and the browser would not send a Strict cookie with a request that such a
// click leads to: so the answer is a page, and the way on is from our own.
func (v *visit) open() error {
	if v.r.Method == http.MethodHead { // a preview must not use it up
		return v.show(http.StatusOK, "opening", "Signing in", "")
	}
	code := strings.TrimPrefix(v.r.URL.Path, control.LinkPath)
	var s control.Session
	err := ask(v.r.Context(), v.c.api, http.MethodPost, sessionPath, nil, control.SessionRequest{Link: code}, &s)
	if r, ok := errors.AsType[*control.Refusal](err); ok && r.Status < 500 {
		v.forget() // the session of before is not what the link was to open
		return v.show(http.StatusGone, "gone", "This link has been used or has ended", nil)
	}
	if err != nil {
		return err
	}
	v.remember(s)
	to := local(s.Path)
	if to == "" {
		to = Prefix
	}
	v.w.Header().Set("Refresh", "0; url="+to)
	return v.show(http.StatusOK, "opening", "Signing in", to)
}

// signOut forgets the session on this browser.
func (v *visit) signOut() error {
	v.forget()
	v.redirect(Prefix + "?out=1")
	return nil
}

// remember gives the browser its cookie. Path=/ is what __Host- demands.
func (v *visit) remember(s control.Session) {
	left := longest
	if s.ExpiresAt != nil {
		left = min(left, s.ExpiresAt.Sub(v.now))
	}
	v.setCookie(s.Session, max(1, int(left/time.Second)))
}

func (v *visit) forget() { v.setCookie("", -1) }

func (v *visit) setCookie(value string, age int) {
	framed := v.c.cfg.FrameAncestors != ""
	c := &http.Cookie{
		Name: v.cookieName(), Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		Secure: framed || v.encrypted(), SameSite: http.SameSiteStrictMode,
	}
	if framed { // a frame is another site's, whoever is shown in it
		c.SameSite, c.Partitioned = http.SameSiteNoneMode, true
	}
	http.SetCookie(v.w, c)
}

// cookieName is one that no other host can set, except on this machine without
// TLS, where browsers refuse the prefix.
func (v *visit) cookieName() string {
	if v.encrypted() {
		return "__Host-halo"
	}
	return "halo"
}

// encrypted reports whether the browser came by https, as far as can be told:
// what ends TLS before us says so in the public URL, or is not on this machine.
func (v *visit) encrypted() bool {
	if v.c.secure || v.r.TLS != nil {
		return true
	}
	host := v.r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host != "localhost" && !strings.HasSuffix(host, ".localhost") && (ip == nil || !ip.IsLoopback())
}

// local is a path of the console, or "" for anything else: a redirect must not
// lead away.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || strings.ContainsAny(to, "\\\r\n\t") || strings.Contains(to, "..") {
		return ""
	}
	clean := path.Clean(u.Path)
	if clean != u.Path && clean+"/" != u.Path || !strings.HasPrefix(u.Path, Prefix) {
		return ""
	}
	return u.RequestURI()
}
