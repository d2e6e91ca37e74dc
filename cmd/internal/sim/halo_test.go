//go:build synctests

package sim

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/schemas"
)

// canary stands wherever Halo sends content.
const canary = "canary-that-must-not-leave-the-decoder"

// delivery is one request of Halo, which may be sent again and again.
type delivery struct {
	tenant *tenant
	secret schemas.Secret
	body   []byte
	items  []occurrence
}

// occurrence is what the reference knows of an item: what was meant.
type occurrence struct {
	id     schemas.ID
	tenant schemas.Tenant
	kind   schemas.Kind
	agent  schemas.AgentID // to be credited; 1: nobody
	made   time.Time
}

// happen makes a delivery of n things that happen now.
func (w *world) happen(tn *tenant, n int) delivery {
	secret, webhook := tn.current()
	d := delivery{tenant: tn, secret: secret}
	var body bytes.Buffer
	body.WriteByte('[')
	for i := range n {
		kind := one(w.rng, schemas.Kinds())
		agent := one(w.rng, append([]schemas.AgentID{1}, tn.agents...))
		esc := fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", w.rng.Uint32(), w.rng.Uint32()&0xffff, w.rng.Uint32()&0xffff, w.rng.Uint32()&0xffff, w.rng.Uint64()&0xffffffffffff)
		if i > 0 {
			body.WriteByte(',')
		}
		ticket := 1 + w.rng.IntN(50)
		fmt.Fprintf(&body, `{"id":%q,"webhook_id":%q,"escmsg_id":%q,"event":%q,"message":%q,"object_id":%d,"timestamp":%q,`+
			`"ticket":{"id":%d,"summary":%q,"status_id":9,"agent_id":%d}`,
			esc, webhook, esc, map[schemas.Kind]string{
				schemas.TicketLogged: "New Ticket Logged", schemas.StatusChanged: "Ticket Status Changed",
				schemas.UpdatedByAgent: "Ticket Updated by Agent", schemas.UpdatedByUser: "Ticket Updated by User",
			}[kind], canary, ticket, time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"), ticket, canary, agent)
		if kind == schemas.StatusChanged || kind == schemas.UpdatedByAgent {
			fmt.Fprintf(&body, `,"action":{"id":1,"who_type":1,"who_agentid":%d,"note":%q}`, agent, canary)
		}
		body.WriteByte('}')
		d.items = append(d.items, occurrence{
			id: schemas.Occurrence{Tenant: tn.id, Kind: kind, EscMsgID: esc}.EventID(), tenant: tn.id, kind: kind, agent: agent, made: time.Now(),
		})
	}
	body.WriteByte(']')
	d.body = body.Bytes()
	tn.mu.Lock()
	tn.sent = append(tn.sent, d)
	tn.mu.Unlock()
	return d
}

// send posts a delivery to an edge, which it may reach behind a later one. Halo
// hangs up after five seconds.
func (w *world) send(e *edge, d delivery) {
	if !e.up() {
		w.met("nobody listened")
		return
	}
	l, handler := e.life, e.handler
	for _, o := range d.items {
		w.notes.sent(o)
	}
	var delay time.Duration
	if w.rng.IntN(5) == 0 {
		delay = between(w.rng, 0, 2*time.Second)
		w.met("a delivery came behind a later one")
	}
	w.calls.Go(func() {
		time.Sleep(delay)
		if !l.alive() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		id := schemas.ConnectionIDOf(d.tenant.id)
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/webhooks/halo/"+string(id), bytes.NewReader(d.body))
		r.SetBasicAuth(string(id), d.secret.Reveal())
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		switch {
		case !l.alive():
			w.met("an edge died before its answer was seen")
		case answer.Code == http.StatusOK:
			for _, o := range d.items {
				w.notes.kept(o.id)
			}
		default:
			w.met(fmt.Sprintf("a delivery was answered %d", answer.Code))
			for _, o := range d.items {
				w.notes.refused(o.id)
			}
		}
	})
}

// acting is a control plane that says that it acts. There may be two for a
// while, and only one is right.
func (w *world) acting(rng *rand.Rand) *plane {
	var ready []*plane
	for _, p := range w.planes {
		if p.up() && p.ledger.Ready() == nil {
			ready = append(ready, p)
		}
	}
	if len(ready) > 1 {
		w.met("two control planes thought that they act")
	}
	if len(ready) == 0 {
		return nil
	}
	return one(rng, ready)
}

// change asks the control plane for a change of a tenant, as its API does.
func (w *world) change(p *plane, tn *tenant, change func(*ledger.Snapshot) ledger.Change) error {
	l := p.life
	if l == nil {
		return fmt.Errorf("%s is dead", p.name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	turn, err := p.ledger.Take(ctx, tn.id)
	if err != nil {
		return err
	}
	defer turn.Back()
	_, err = turn.Apply(change(turn.Snapshot()))
	if !l.alive() {
		return fmt.Errorf("%s died before its answer was seen", p.name)
	}
	return err
}

// assign maps an agent to a user, or with "" to nobody.
func (w *world) assign(p *plane, tn *tenant, agent schemas.AgentID, user schemas.UserID) {
	w.calls.Go(func() {
		tn.turn <- struct{}{}
		defer func() { <-tn.turn }()
		op := w.notes.asked(&op{tenant: tn.id, agent: agent, user: user})
		err := w.change(p, tn, func(s *ledger.Snapshot) ledger.Change {
			return ledger.Change{Map: func(at time.Time) []schemas.Mapping {
				m, ok := s.Mappings[agent]
				if !ok {
					m = schemas.Mapping{Tenant: tn.id, Agent: agent}
				}
				if user == "" {
					return []schemas.Mapping{m.Close(at)}
				}
				return []schemas.Mapping{m.Assign(user, at, "sim")}
			}}
		})
		w.notes.answered(op, err == nil)
		if err != nil {
			w.met("a mapping was not answered")
			w.tell("the mapping of %s/%d to %q was not answered: %v", tn.id, agent, user, err)
		}
	})
}

// erase has a person forgotten, or with "" the tenant, who is connected anew
// later.
func (w *world) erase(p *plane, tn *tenant, user schemas.UserID) {
	w.calls.Go(func() {
		tn.turn <- struct{}{}
		defer func() { <-tn.turn }()
		op := w.notes.asked(&op{tenant: tn.id, erase: true, user: user})
		l := p.life
		if l == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		var err error
		if user == "" {
			_, err = p.care.EraseTenant(ctx, tn.id, "sim")
		} else {
			_, err = p.care.Erase(ctx, tn.id, "sim", user)
		}
		ok := err == nil && l.alive()
		w.notes.answered(op, ok)
		if ok {
			w.met("somebody was erased")
		} else {
			w.met("an erasure was not answered")
			w.tell("the erasure of %s %q was not answered: %v", tn.id, user, err)
		}
	})
}

// reconnect gives the tenant a fresh webhook and secret. It is asked again until
// it is answered; the old secret goes on for ten minutes.
func (w *world) reconnect(tn *tenant, rng *rand.Rand) {
	tn.turn <- struct{}{}
	defer func() { <-tn.turn }()
	for range 60 {
		if p := w.acting(rng); p != nil {
			secret := schemas.Secret(fmt.Sprintf("secret-%x", rng.Uint64()))
			webhook := fmt.Sprintf("%08x-0000-4000-8000-%012x", rng.Uint32(), rng.Uint64()&0xffffffffffff)
			id := schemas.ConnectionIDOf(tn.id)
			old, _ := tn.current()
			err := w.change(p, tn, func(s *ledger.Snapshot) ledger.Change {
				next := s.State
				next.TenantURL, next.Credentials = "https://halo.example", &ledger.Credentials{TenantURL: "https://halo.example", ClientID: "id", ClientSecret: "secret"}
				next.WebhookID, next.Verifiers = webhook, []schemas.Verifier{schemas.NewVerifier(id, secret)}
				if old != "" {
					former := schemas.NewVerifier(id, old)
					former.Until = time.Now().Add(10 * time.Minute)
					next.Verifiers = append(next.Verifiers, former)
				}
				conn := next.Connection(tn.id)
				return ledger.Change{State: &next, Publish: &conn}
			})
			if err == nil {
				tn.mu.Lock()
				tn.secret, tn.webhook = secret, webhook
				tn.mu.Unlock()
				w.notes.reconnected(tn.id)
				return
			}
			w.met("a reconnect was not answered")
		}
		time.Sleep(time.Second)
	}
}
