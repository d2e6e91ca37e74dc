package connect

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// operationTimeout bounds an operation, the wait for its turn included. With
	// undoTimeout and one write, which may follow it, it stays below the 60 s
	// that callers are promised.
	operationTimeout = 46 * time.Second

	// undoTimeout bounds taking back what a failed operation did in Halo, while
	// its caller waits. What is left by then is removed later.
	undoTimeout = 8 * time.Second

	// overlap is how long the edge accepts an old secret after a new one was
	// registered, so that late deliveries of the old webhook end as stale and
	// not as failures. Deliveries have been seen 79 s late on live tenants.
	overlap = 10 * time.Minute
)

// ErrNotConnected says that the tenant has no connection.
var ErrNotConnected = errors.New("the tenant has no connection")

// connect makes or replaces the tenant's connection. made says that there was
// none. In this order:
//
//  1. Ask Halo: token, agents, catalogue. Nothing has changed when that fails.
//  2. Register the webhook: see register. It fails whole, and takes back what
//     it did.
//  3. Save. A crash before it leaves a webhook in Halo that the repeat removes,
//     and a verifier at the edge that the take-over withdraws; credentials are
//     nowhere. When saving fails the webhook is removed, see unsaved.
//  4. Tell the edge the new webhook, and map the agents. A crash before or
//     between them is healed at take-over, from what was saved.
//  5. Remove the webhooks that the new one replaces, those of a Halo that the
//     tenant has moved away from too. A crash before it, or a failure, is noted
//     in what was saved: the health check tries again.
func (t *term) connect(ctx context.Context, tn *tenant, cred Credentials) (made bool, err error) {
	before := tn.seen.Load().state
	halo, err := t.c.dial(tn.id, cred)
	if err != nil {
		return false, err
	}
	taken := false
	defer func() {
		if !taken {
			halo.Close()
		}
	}()
	if err := halo.Authenticate(ctx); err != nil {
		return false, err
	}
	agents, agentsErr := halo.Agents(ctx)
	if agentsErr != nil && halopsa.CauseOf(agentsErr) != halopsa.RoleCannotSeeAgents {
		return false, agentsErr
	}

	next := before
	cred.TenantURL = halo.BaseURL() // as it was understood, not as it was pasted
	next.credentials = &cred
	next.TenantURL = cred.TenantURL
	next.Findings = findings{Agents: failureOf(agentsErr)}
	moved := before.known() && before.TenantURL != next.TenantURL
	if moved {
		// Another Halo numbers other people; but see recognised.
		next.Agents, next.ListedAt, next.Hand, next.Replaced = nil, time.Time{}, nil, nil
		next.Moved = schemas.Truncate(t.c.now())
	}
	next.former = before.leaving(next.TenantURL, t.c.now())
	if !before.connected() {
		next.ConnectedAt = schemas.Truncate(t.c.now())
	}
	if agentsErr == nil {
		next.ListedAt = schemas.Truncate(t.c.now())
		next.Agents = merged(next.Agents, agents, func(a schemas.AgentID) bool {
			_, mapped := tn.seen.Load().mapped(a)
			return mapped
		})
	}
	if moved {
		next.Hand = before.recognised(next.Agents)
	}
	elsewhere := next.takeUp(tn.remains)
	if next, err = t.register(ctx, tn, halo, next); err != nil {
		return false, err
	}
	if err := t.settle(ctx, tn, halo, next); err != nil {
		return false, err
	}
	tn.remains = elsewhere
	tn.adopt(halo, next.credentials)
	taken = true
	return !before.connected(), t.depart(ctx, tn, undoTimeout)
}

// settle saves what was registered and does what follows from it: steps 3 to 5
// of connect.
func (t *term) settle(ctx context.Context, tn *tenant, halo Halo, next state) error {
	if former := tn.seen.Load().WebhookID; former != "" && former != next.WebhookID {
		next.Replaced = append(slices.Clone(next.Replaced), former)
	}
	next.Untidy = true
	if err := t.save(ctx, tn, next); err != nil {
		return t.unsaved(ctx, tn, halo, next, err)
	}
	if err := t.publish(ctx, next.connection()); err != nil {
		return err
	}
	if _, err := t.assign(ctx, tn); err != nil {
		return err
	}
	return t.tidy(ctx, tn, halo)
}

// tidy removes webhooks of ours that are not the current one. That Halo refuses
// is no failure of the operation.
func (t *term) tidy(ctx context.Context, tn *tenant, halo Halo) error {
	s := tn.seen.Load().state
	if err := t.sweep(ctx, halo, tn.id, s.WebhookID, s.Replaced...); err != nil {
		t.c.log.Warn("old webhooks are left in Halo, trying again with the next health check", "tenant", tn.id, "err", err)
		return nil
	}
	s.Untidy, s.Replaced = false, nil
	return t.save(ctx, tn, s)
}

// reconnect registers a new webhook with a fresh secret.
func (t *term) reconnect(ctx context.Context, tn *tenant) error {
	s := tn.seen.Load().state
	if !s.connected() {
		return ErrNotConnected
	}
	halo, err := tn.client(t.c, s.credentials)
	if err != nil {
		return err
	}
	if err := halo.Authenticate(ctx); err != nil {
		return t.note(ctx, tn, err)
	}
	next := s
	next.Findings = findings{Agents: s.Findings.Agents}
	if next, err = t.register(ctx, tn, halo, next); err != nil {
		return err
	}
	return t.settle(ctx, tn, halo, next)
}

// disconnect ends the connection. In this order:
//
//  1. Save without credentials: from here on the connection is gone, whatever
//     happens. A crash after it is healed at take-over by step 2; the webhook
//     then stays in Halo, where its deliveries get 401 until Halo switches it
//     off, and a later connect removes it.
//  2. Withdraw the verifier: deliveries get 401.
//  3. Remove the webhook and its notifications, best effort. The credentials
//     for that are in memory still.
//
// Mappings stay as they are: without deliveries they credit nothing, and a
// tenant that connects again finds what was mapped by hand.
func (t *term) disconnect(ctx context.Context, tn *tenant) error {
	before := tn.seen.Load().state
	if !before.known() {
		return ErrNotConnected
	}
	if !before.connected() {
		return nil
	}
	next := before
	next.credentials, next.former = nil, nil
	next.ConnectedAt = time.Time{}
	next.WebhookID, next.Verifiers, next.Notifications, next.Numbers = "", nil, nil, nil
	next.Untidy, next.Replaced = false, nil
	next.Findings = findings{}
	if err := t.save(ctx, tn, next); err != nil {
		return err
	}
	if err := t.withdraw(ctx, tn.id); err != nil {
		return err
	}
	leaving, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	t.leaveAll(leaving, tn.id, append(before.leaving("", t.c.now()), tn.remains...), "")
	tn.remains = nil
	tn.adopt(nil, nil)
	return nil
}

// refresh lists the agents again and matches them. A list that is empty or
// refused removes nobody and is said as a problem; another failure of Halo is
// the operation's.
func (t *term) refresh(ctx context.Context, tn *tenant) error {
	snap := tn.seen.Load()
	next := snap.state
	if !next.connected() {
		return ErrNotConnected
	}
	halo, err := tn.client(t.c, next.credentials)
	if err != nil {
		return err
	}
	// Anew, as the health check does: who asks for a refresh has just changed
	// something in Halo, and a token at hand is of the time before.
	err = halo.Authenticate(ctx)
	var agents []halopsa.Agent
	if err == nil {
		// A sign-in that is granted disproves what was found before, but not
		// that the webhook may not be read: that has a token too.
		if f := next.Findings.Failure; f != nil && f.Cause != halopsa.PermissionMissing {
			next.Findings.Failure = nil
		}
		agents, err = halo.Agents(ctx)
	}
	switch {
	case halopsa.CauseOf(err) == halopsa.RoleCannotSeeAgents:
		next.Findings.Agents = failureOf(err)
	case err != nil:
		return t.note(ctx, tn, err)
	default:
		next.Findings.Agents = nil
		next.ListedAt = schemas.Truncate(t.c.now())
		next.Agents = merged(next.Agents, agents, func(a schemas.AgentID) bool {
			_, mapped := snap.mapped(a)
			return mapped
		})
	}
	if err := t.save(ctx, tn, next); err != nil {
		return err
	}
	_, err = t.assign(ctx, tn)
	return err
}

// replaceUsers replaces the tenant's user directory and matches anew. Mappings
// to users who are not in it end.
func (t *term) replaceUsers(ctx context.Context, tn *tenant, users []User) error {
	next := tn.seen.Load().state
	next.Users = users
	if err := t.save(ctx, tn, next); err != nil {
		return err
	}
	_, err := t.assign(ctx, tn)
	return err
}

// The ways in which a mapping by hand is refused.
var (
	ErrNoAgent = errors.New("no such agent")
	ErrNoUser  = errors.New("no such user")
)

// mapByHand maps an agent to a user, or to nobody where user is "", from now
// on.
func (t *term) mapByHand(ctx context.Context, tn *tenant, agent schemas.AgentID, user schemas.UserID) error {
	s := tn.seen.Load().state
	if !s.connected() {
		return ErrNotConnected
	}
	if _, ok := s.agent(agent); !ok {
		return ErrNoAgent
	}
	if user != "" && s.Users != nil && !s.user(user) {
		return ErrNoUser
	}
	if by, ok := s.Hand[agent]; !ok || by != user {
		if err := t.save(ctx, tn, s.withHand(agent, user)); err != nil {
			return err
		}
	}
	_, err := t.assign(ctx, tn)
	return err
}
