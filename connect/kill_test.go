//go:build synctests

package connect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/halotest"
)

// steps counts the steps that an instance takes once it is armed, and says what
// becomes of one of them.
type steps struct {
	mu    sync.Mutex
	armed bool
	names []string
	last  int // the number of the last step, from 0
	when  moment
}

func (s *steps) at(name string) moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.armed {
		return never
	}
	s.names = append(s.names, name)
	if len(s.names)-1 == s.last {
		return s.when
	}
	return never
}

func (s *steps) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = true
}

func (s *steps) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

// A deed is repeated after it was broken off. Halo 0 is the tenant's, or
// becomes it.
type deed struct {
	name         string
	prepare      func(*instance)
	method, path string
	body         func(*world) string
}

func deeds() []deed {
	connected := func(in *instance) { in.connect("acme", 0) }
	return []deed{
		{"connect", func(*instance) {}, "PUT", "/connection", func(w *world) string { return credentials(w.urls[0]) }},
		{"connect again", connected, "PUT", "/connection", func(w *world) string { return credentials(w.urls[0]) }},
		{"reconnect", connected, "POST", "/connection/reconnect", func(*world) string { return "" }},
		{"move to another Halo", func(in *instance) { in.connect("acme", 1) }, "PUT", "/connection", func(w *world) string { return credentials(w.urls[0]) }},
	}
}

// staff gives the Halos their agents and the tenant its users.
func staff(w *world, in *instance) {
	for _, sim := range w.sims {
		sim.AddAgent(halotest.Agent{ID: 7, Name: "Ada Example", Email: "ada@desk.example"})
		sim.AddAgent(halotest.Agent{ID: 8, Name: "Ben Example", Email: "ben@desk.example"})
	}
	in.users("acme", "u-ada", "ada@desk.example", "u-ben", "ben@desk.example")
}

// whole wants what a connection that stands must have: one webhook, four
// notifications, one verifier that is current, each agent mapped once.
func whole(w *world, in *instance) {
	w.Helper()
	c := in.connection("acme")
	hooks := w.live(0)
	if len(hooks) != 1 || w.sims[0].Notifications() != 4 || len(hooks[0].Events) != 4 {
		w.Fatalf("%d webhooks, %d notifications", len(hooks), w.sims[0].Notifications())
	}
	if c.State != "active" || c.Webhook.ID != hooks[0].ID || c.Agents.Matched != 2 {
		w.Errorf("the connection is %+v", c)
	}
	conn, ok := w.published("acme")
	if !ok || conn.WebhookID != hooks[0].ID || len(conn.Notifications) != 4 || !conn.Verify(hooks[0].Password, time.Now()) {
		w.Errorf("the edge knows %+v", conn)
	}
	current := 0
	for _, v := range conn.Verifiers {
		if v.Until.IsZero() {
			current++
		}
	}
	if current != 1 {
		w.Errorf("%d verifiers are current", current)
	}
	mappings := w.mappings("acme")
	for agent, user := range map[int]string{7: "u-ada", 8: "u-ben"} {
		m := mappings[w.sims[0].Agents()[agent-7].ID]
		if cur, open := m.Current(); !open || string(cur.User) != user || len(m.Intervals) != 1 {
			w.Errorf("agent %d is mapped as %+v", agent, m.Intervals)
		}
	}
}

// raw makes a request without a word about the answer.
func (in *instance) raw(method, path, body string) answer {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+in.w.token.Reveal())
	rec := httptest.NewRecorder()
	in.Handler().ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.Bytes()}
}

// stepsOf are the steps of the deed when nothing happens to it.
func stepsOf(t *testing.T, op deed) (names []string) {
	t.Helper()
	inWorld(t, func(w *world) {
		count := &steps{last: -1}
		w.step = count.at
		in := w.active()
		staff(w, in)
		op.prepare(in)
		count.arm()
		if a := in.call(op.method, at("acme", op.path), op.body(w)); a.status/100 != 2 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		names = count.taken()
		whole(w, in)
	}, halotest.Config{}, halotest.Config{})
	if len(names) < 14 {
		t.Fatalf("%d steps were seen: this proves nothing", len(names))
	}
	return names
}

func TestAnInstanceKilledAtAnyStepLeavesNothingThatTheRepeatDoesNotMend(t *testing.T) {
	for _, op := range deeds() {
		t.Run(op.name, func(t *testing.T) {
			names := stepsOf(t, op)
			for n, name := range names {
				for when, word := range map[moment]string{before: "before", after: "after"} {
					t.Run(fmt.Sprintf("%s %02d %s", word, n, name), func(t *testing.T) {
						inWorld(t, func(w *world) { killed(w, op, n, when) }, halotest.Config{}, halotest.Config{})
					})
				}
			}
		})
	}
}

func killed(w *world, op deed, n int, when moment) {
	plan := &steps{last: n, when: when}
	w.step = plan.at
	doomed := w.active()
	staff(w, doomed)
	op.prepare(doomed)
	w.step = nil
	plan.arm()
	var call sync.WaitGroup
	call.Go(func() { doomed.raw(op.method, at("acme", op.path), op.body(w)) })
	w.Cleanup(call.Wait)
	<-doomed.link.dead

	heir := w.start()
	if took := heir.await(); took > 15*time.Second {
		w.Errorf("the other instance took over after %v", took)
	}
	if err := doomed.Ready(); err == nil && !doomed.link.isCut() {
		w.Error("nobody was killed: this proves nothing")
	}
	// Before the repeat: what stands is consistent.
	conn, known := w.published("acme")
	switch a := heir.raw("GET", at("acme", "/connection"), ""); a.status {
	case http.StatusNotFound:
		if known {
			w.Error("a verifier is left at the edge for a connection that is not")
		}
	case http.StatusOK:
		if c := a.connection(w); c.Webhook.ID != conn.WebhookID {
			w.Errorf("the edge takes deliveries of %s, the connection is of %s", conn.WebhookID, c.Webhook.ID)
		}
		alive := slices.ContainsFunc(append(w.live(0), w.live(1)...), func(h halotest.Webhook) bool {
			return h.ID == conn.WebhookID && conn.Verify(h.Password, time.Now())
		})
		if !alive {
			w.Error("the connection's webhook is gone, or its secret is refused")
		}
	default:
		w.Errorf("%d %s", a.status, a.body)
	}
	if a := heir.call(op.method, at("acme", op.path), op.body(w)); a.status/100 != 2 {
		if op.method == "POST" && a.code() == "not_connected" {
			return
		}
		w.Fatalf("the repeat: %d %s", a.status, a.body)
	}
	whole(w, heir)
	if n := len(w.live(1)); n > 0 || w.sims[1].Notifications() > 0 {
		w.Errorf("the Halo that the tenant moved away from has %d webhooks and %d notifications of ours", n, w.sims[1].Notifications())
	}
}
