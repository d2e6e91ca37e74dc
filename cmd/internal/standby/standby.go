// Package standby lets an instance of connect that stands by answer all the
// same: it passes each request on to the instance that acts.
//
// It promises that an instance which says that it is ready answers, so that a
// load balancer may send to any of them, and that a request is passed on once
// at most: an instance that is handed a request and does not act refuses it, as
// every standby did before. What keeps it true is that who acts is asked of the
// group that decides it, every second, and that a standby is ready only while
// it reaches the other.
//
// A request that meets the vault changing hands is answered 503 with
// Retry-After, for the seconds that a take-over takes.
package standby

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

const (
	// passed marks a request that was passed on.
	passed = "Halo-Connector-Passed-On"

	// every is how often a standby asks who acts. A take-over takes seconds.
	every = time.Second
	// patience is how long Kafka and the other instance may take to answer.
	patience = 3 * time.Second
	// longest is how long a request that was passed on may take: connect itself
	// ends the longest, PUT /connection, within a minute.
	longest = 80 * time.Second
)

// Instance is what this process runs; a connect.Connect is one.
type Instance interface {
	Ready() error // nil while it acts
	Handler() http.Handler
}

// Door is the way into the control API of one instance of several.
type Door struct {
	own  Instance
	self string
	find func(context.Context) (string, error)
	log  *slog.Logger

	client *http.Client
	proxy  *httputil.ReverseProxy

	// at is where the instance that acts is reached; nil while this one acts,
	// or nobody is reached.
	at  atomic.Pointer[url.URL]
	why atomic.Pointer[string]
}

// New makes the door of the instance own, which others reach at self. find
// returns where the instance that acts is reached: "" where there is none.
func New(own Instance, self string, find func(context.Context) (string, error), log *slog.Logger) *Door {
	transport := &http.Transport{ // no proxy of the environment: the other is next door
		DialContext:           (&net.Dialer{Timeout: patience}).DialContext,
		ResponseHeaderTimeout: longest,
		IdleConnTimeout:       time.Minute,
	}
	d := &Door{own: own, self: self, find: find, log: log, client: &http.Client{Transport: transport}}
	d.nobody("it has not been asked yet who acts")
	d.proxy = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			to, _ := r.In.Context().Value(target{}).(*url.URL)
			r.SetURL(to)
			r.Out.Host = r.In.Host // the console's cookie and links go by it
			r.Out.Header.Set(passed, "1")
		},
		// The other died with the request in hand, or before: this one refuses
		// it as a standby, without reading what is left of it.
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			log.Warn("a request could not be passed on to the instance that acts", "err", err)
			own.Handler().ServeHTTP(w, r)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return d
}

// target is the key of a request's way in its context.
type target struct{}

// ServeHTTP answers, or passes on to who answers.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := d.at.Load()
	if to == nil || d.own.Ready() == nil || r.Header.Get(passed) != "" {
		d.own.Handler().ServeHTTP(w, r)
		return
	}
	d.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), target{}, to)))
}

// Ready is nil while a request that comes here is answered.
func (d *Door) Ready() error {
	err := d.own.Ready()
	if err == nil || d.at.Load() != nil {
		return nil
	}
	return fmt.Errorf("%w, and passes nothing on: %s", err, *d.why.Load())
}

// Run looks for the instance that acts until ctx is done.
func (d *Door) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		d.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			d.client.CloseIdleConnections()
			return nil
		}
	}
}

func (d *Door) look(ctx context.Context) {
	if d.own.Ready() == nil {
		d.nobody("this instance acted until now")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	where, err := d.find(ctx)
	switch {
	case err != nil:
		d.nobody("Kafka does not say who acts: " + err.Error())
	case where == "":
		d.nobody("no instance acts that says where it is reached")
	case where == d.self:
		d.nobody("this instance is about to act")
	default:
		to, err := d.reach(ctx, where)
		if err != nil {
			d.nobody("the instance that acts is not reached: " + err.Error())
			return
		}
		d.at.Store(to)
	}
}

func (d *Door) nobody(why string) {
	d.why.Store(&why)
	d.at.Store(nil)
}

// reach asks for what needs no token and no vault.
func (d *Door) reach(ctx context.Context, where string) (*url.URL, error) {
	to, err := url.Parse(where)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, to.JoinPath("/v1/openapi.json").String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(passed, "1")
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answers %s", resp.Status)
	}
	return to, errors.Join(err, resp.Body.Close())
}
