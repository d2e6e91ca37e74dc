//go:build synctests

package care_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
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

// A deed is repeated after it was broken off. Halo 0 is the tenant's.
type deed struct {
	name    string
	prepare func(*instance)
	do      func(*instance) error
	whole   func(*world, *instance) // what must hold once it is done
	least   int                     // steps, or the test proves nothing
}

func deeds() []deed {
	connected := func(in *instance) { in.connect("acme", 0) }
	off := func(in *instance) {
		in.connect("acme", 0)
		in.w.change(func(h *halotest.Webhook) { h.Disabled = true })
	}
	connect := func(in *instance) error {
		_, _, err := in.Connect(context.Background(), "acme", operator, in.w.credentials(0))
		return err
	}
	assign := func(in *instance) error {
		results, err := in.Assign(context.Background(), "acme", operator, []control.Assignment{
			{Agent: 7, User: "u-ben"}, {Agent: 8, Set: control.SetUnmatched},
		})
		if err == nil && (results[0].Error != nil || results[1].Error != nil) {
			err = results[0].Error
		}
		return err
	}
	return []deed{
		{"connect", func(*instance) {}, connect, whole, 14},
		{"connect again", off, connect, whole, 14},
		{"reconnect", connected, func(in *instance) error {
			_, err := in.Reconnect(context.Background(), "acme", operator)
			return err
		}, whole, 14},
		{"disconnect", connected, func(in *instance) error {
			return in.Disconnect(context.Background(), "acme", operator)
		}, gone, 8},
		{"map", connected, assign, assigned, 2},
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
	registered(w, in)
	if c := in.connection("acme"); c.Agents.Matched != 2 {
		w.Errorf("the connection is %+v", c)
	}
	mappings := w.mappings("acme")
	for agent, user := range map[schemas.AgentID]schemas.UserID{7: "u-ada", 8: "u-ben"} {
		m := mappings[agent]
		if cur, open := m.Current(); !open || cur.User != user || len(m.Intervals) != 1 {
			w.Errorf("agent %d is mapped as %+v", agent, m.Intervals)
		}
	}
}

func registered(w *world, in *instance) {
	w.Helper()
	c := in.connection("acme")
	hooks := w.live(0)
	if len(hooks) != 1 || w.sims[0].Notifications() != 4 || len(hooks[0].Events) != 4 {
		w.Fatalf("%d webhooks, %d notifications\n%s", len(hooks), w.sims[0].Notifications(), w.log)
	}
	if c.State != "active" || c.Webhook.ID != hooks[0].ID {
		w.Errorf("the connection is %+v", c)
	}
	conn, ok := w.published("acme")
	if !ok || conn.WebhookID != hooks[0].ID || len(hooks[0].Bound) != 4 || !conn.Verify(hooks[0].Password, time.Now()) {
		w.Errorf("the edge knows %+v", conn)
	}
	w.knowsKinds(conn)
	current := 0
	for _, v := range conn.Verifiers {
		if v.Until.IsZero() {
			current++
		}
	}
	if current != 1 {
		w.Errorf("%d verifiers are current", current)
	}
}

// knowsKinds wants the edge to know the kinds of the notifications of those webhooks
// whose verifiers it holds, and of no others. One that has ended is held until the
// next registration.
func (w *world) knowsKinds(conn schemas.Connection) {
	w.Helper()
	kinds := map[int64]schemas.Kind{3: schemas.TicketLogged, 19: schemas.UpdatedByUser, 42: schemas.UpdatedByAgent, 76: schemas.StatusChanged}
	want := make(map[int64]schemas.Kind)
	for _, hook := range w.sims[0].Webhooks() {
		if conn.Verify(hook.Password, time.Time{}) {
			for id, event := range hook.Bound {
				want[id] = kinds[event]
			}
		}
	}
	if !maps.Equal(conn.Notifications, want) {
		w.Errorf("the edge knows the notifications %v, want %v", conn.Notifications, want)
	}
}

// gone wants what a connection that ended must have left: nothing at the edge,
// the mappings as they were; and in Halo nothing, or a word of what is left.
func gone(w *world, in *instance) {
	w.Helper()
	c := in.connection("acme")
	if _, known := w.published("acme"); known || c.State != "disconnected" {
		w.Errorf("the edge knows it: %v; %s", known, c.State)
	}
	if m := w.mappings("acme")[7]; len(m.Intervals) != 1 || !m.Intervals[0].Until.IsZero() {
		w.Errorf("agent 7 is mapped as %+v", m.Intervals)
	}
}

func assigned(w *world, in *instance) {
	w.Helper()
	registered(w, in)
	in.standings("acme", map[schemas.AgentID]string{7: "matched u-ben", 8: "unmatched"})
	m := w.mappings("acme")
	if iv := m[7].Intervals; len(iv) != 2 || iv[0].User != "u-ada" || iv[1].User != "u-ben" || !iv[0].Until.Equal(iv[1].From) || iv[1].By == "" {
		w.Errorf("agent 7 is mapped as %+v", iv)
	}
	if iv := m[8].Intervals; len(iv) != 1 || iv[0].Until.IsZero() {
		w.Errorf("agent 8 is mapped as %+v", iv)
	}
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
		if err := op.do(in); err != nil {
			t.Fatalf("%v\n%s", err, w.log)
		}
		names = count.taken()
		op.whole(w, in)
	}, halotest.Config{}, halotest.Config{})
	if len(names) < op.least {
		t.Fatalf("%d steps were seen, %q: this proves nothing", len(names), names)
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
	call.Go(func() { _ = op.do(doomed) })
	w.Cleanup(call.Wait)
	<-doomed.link.dead

	heir := w.start()
	if took := heir.await(); took > 15*time.Second {
		w.Errorf("the other instance took over after %v", took)
	}
	// Before the repeat: what stands is consistent.
	conn, known := w.published("acme")
	c, err := heir.Connection(context.Background(), "acme")
	switch {
	case err != nil && known:
		w.Error("a verifier is left at the edge for a connection that is not")
	case err != nil:
		w.refused(err, http.StatusNotFound, "not_connected")
	case c.State == "disconnected" && known:
		w.Error("a verifier is left at the edge for a connection that ended")
	case c.State == "disconnected":
	case !strings.EqualFold(c.Webhook.ID, conn.WebhookID):
		w.Errorf("the edge takes deliveries of %s, the connection is of %s", conn.WebhookID, c.Webhook.ID)
	default:
		alive := slices.ContainsFunc(w.live(0), func(h halotest.Webhook) bool {
			return h.ID == conn.WebhookID && conn.Verify(h.Password, time.Now())
		})
		if !alive {
			w.Error("the connection's webhook is gone, or its secret is refused")
		}
	}
	if err := op.do(heir); err != nil {
		w.Fatalf("the repeat: %v\n%s", err, w.log)
	}
	op.whole(w, heir)
	if op.name == "disconnect" {
		// What a disconnect that was killed left is removed by the health checks.
		time.Sleep(lookTime)
		if len(w.live(0)) != 0 || w.sims[0].Notifications() != 0 || w.leaving() {
			w.Errorf("%d webhooks and %d notifications are left", len(w.live(0)), w.sims[0].Notifications())
		}
		heir.connect("acme", 0)
		whole(w, heir)
	}
}
