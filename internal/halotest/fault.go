package halotest

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Fault answers a request in place of the tenant, and says whether it did:
// one that only delays lets the tenant answer.
type Fault func(w http.ResponseWriter, r *http.Request) (answered bool)

type injected struct {
	endpoint, method string
	times            int // < 0: always
	fault            Fault
}

// Inject makes the next times requests to an endpoint meet a fault; times < 0
// is until [Sim.Heal]. endpoint is "authinfo", "token", "Agent", "Lookup",
// "Webhook" or "Notification", alone or after a method, as in "POST Webhook";
// "" is any.
//
// Faults are used up in the order in which they were injected.
func (s *Sim) Inject(endpoint string, times int, f Fault) {
	method, name, found := strings.Cut(endpoint, " ")
	if !found {
		method, name = "", endpoint
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &injected{endpoint: name, method: method, times: times, fault: f})
}

// Heal takes all faults back.
func (s *Sim) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault uses up one time of the first fault that fits. The caller holds the
// lock.
func (s *Sim) takeFault(endpoint, method string) Fault {
	for i, f := range s.faults {
		if (f.endpoint != "" && f.endpoint != endpoint) || (f.method != "" && f.method != method) {
			continue
		}
		if f.times--; f.times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return f.fault
	}
	return nil
}

// TooMany answers 429. retryAfter is the header's value; "" leaves it out, as
// Halo does at times.
func TooMany(retryAfter string) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		reply(w, http.StatusTooManyRequests, map[string]string{"Message": "API calls quota exceeded."})
		return true
	}
}

// Page answers with a page for people.
func Page(status int) Fault {
	return Answer(status, "text/html; charset=utf-8",
		"<!DOCTYPE html><html><head><title>Runtime Error</title></head><body><h1>Server Error</h1></body></html>")
}

// Answer answers with any body.
func Answer(status int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // see reply
		return true
	}
}

// Redirect answers with a redirect to another place.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, to, http.StatusFound)
		return true
	}
}

// Slow waits before the tenant answers, or until the client has gone.
func Slow(d time.Duration) Fault {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		// The server notices that a client has gone only once it has read the
		// request to its end.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return true
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return false
		case <-r.Context().Done():
			return true
		}
	}
}
