package care

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/match"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// ChangeUsers changes the tenant's directory and matches anew: mappings to users
// who are not in it end, and agents who wait are matched. It is refused where it
// would end many mappings and nobody said how many.
func (c *Care) ChangeUsers(ctx context.Context, t schemas.Tenant, by string, in control.UsersChange) (now []control.User, ended int, err error) {
	ctx, cancel := operation(ctx)
	defer cancel()
	turn, err := c.take(ctx, t)
	if err != nil {
		return nil, 0, explain(err)
	}
	defer turn.Back()
	s := turn.Snapshot()
	if s.Sealed != nil {
		return nil, 0, control.ErrSealed
	}
	if in.Check != nil {
		if err := in.Check(match.Users(s.Users)); err != nil {
			return nil, 0, err
		}
	}
	users, changed := match.Directory(s.Users, in)
	if !changed {
		return match.Users(s.Users), 0, nil
	}
	next := s.State
	next.Users = users
	next.Kept = match.Kept(next, s.Mappings)
	change := ledger.Change{State: &next, Audit: []schemas.Change{{By: by, Change: schemas.ChangeUsers, Result: "ok"}}}
	ended = match.Ended(s, c.assign(&change, s, match.New(next, s.Mappings).Desired(), by))
	if open := match.Open(s); match.TooMany(ended, open) && in.Ends != ended {
		refused := control.Refuse(http.StatusConflict, "would_end_mappings",
			"It would end %d of %d mappings. If that is meant, say so with ?ends=%d.", ended, open, ended)
		refused.Ends = ended
		return nil, 0, refused
	}
	after, err := turn.Apply(change)
	if err != nil {
		return nil, 0, explain(err)
	}
	return match.Users(after.Users), ended, nil
}

// Assign carries out each assignment by itself, and returns a result for each, in
// their order: one that is refused fails no other. Those that are not begin at one
// instant.
func (c *Care) Assign(ctx context.Context, t schemas.Tenant, by string, all []control.Assignment) ([]control.Assigned, error) {
	ctx, cancel := operation(ctx)
	defer cancel()
	turn, err := c.take(ctx, t)
	if err != nil {
		return nil, explain(err)
	}
	defer turn.Back()
	s := turn.Snapshot()
	switch {
	case s.Sealed != nil:
		return nil, control.ErrSealed
	case !s.Connected():
		return nil, control.ErrNotConnected
	}
	next := s.State
	next.Hand, next.Ignored = maps.Clone(next.Hand), maps.Clone(next.Ignored)
	if next.Hand == nil {
		next.Hand = make(map[schemas.AgentID]schemas.UserID)
	}
	if next.Ignored == nil {
		next.Ignored = make(map[schemas.AgentID]bool)
	}
	users := make(map[schemas.UserID]bool, len(s.Users))
	for _, u := range s.Users {
		users[u.ID] = true
	}
	refused := make(map[schemas.AgentID]*control.Refusal)
	words := make(map[schemas.AgentID]schemas.ChangeKind) // for those whose decision changes
	for _, a := range all {
		if refused[a.Agent] = permitted(s.State, users, a); refused[a.Agent] == nil {
			if word, changed := decide(&next, a); changed {
				words[a.Agent] = word
			}
		}
	}
	if len(next.Ignored) == 0 {
		next.Ignored = nil
	}
	if len(words) > 0 {
		change := ledger.Change{State: &next}
		c.assign(&change, s, match.New(next, s.Mappings).Desired(), by)
		change.Audit = worded(change.Audit, words, next.Hand, by)
		if s, err = turn.Apply(change); err != nil {
			return nil, explain(err)
		}
	}
	m := match.Of(s)
	results := make([]control.Assigned, len(all))
	for i, a := range all {
		results[i] = control.Assigned{Agent: a.Agent, Error: refused[a.Agent]}
		if agent, known := s.Agent(a.Agent); known {
			shown := m.Agent(agent)
			results[i].State, results[i].UserID = shown.State, shown.UserID
		}
	}
	return results, nil
}

// permitted says why an assignment cannot be; nil where it can. users are those of
// the directory.
func permitted(s ledger.State, users map[schemas.UserID]bool, a control.Assignment) *control.Refusal {
	if _, known := s.Agent(a.Agent); !known {
		return control.ErrUnknownAgent
	}
	if a.Set == "" && s.Users != nil && !users[a.User] {
		return control.ErrUnknownUser
	}
	return nil
}

// decide notes what somebody said of an agent, and says what to call it.
func decide(next *ledger.State, a control.Assignment) (word schemas.ChangeKind, changed bool) {
	was, byHand := next.Hand[a.Agent]
	ignored := next.Ignored[a.Agent]
	delete(next.Ignored, a.Agent)
	switch a.Set {
	case control.SetAutomatic:
		delete(next.Hand, a.Agent)
		return schemas.ChangeAutomatic, byHand
	case control.SetIgnored:
		next.Hand[a.Agent], next.Ignored[a.Agent] = "", true
		return schemas.ChangeIgnore, !ignored
	case control.SetUnmatched:
		next.Hand[a.Agent] = ""
		return schemas.ChangeUnmap, !byHand || was != "" || ignored
	}
	next.Hand[a.Agent] = a.User
	return schemas.ChangeMap, !byHand || was != a.User
}

// worded says of each agent of whom something was decided once what was decided,
// in the decision's word, with whom he has of it; and of the others what came of
// it.
func worded(audit []schemas.Change, words map[schemas.AgentID]schemas.ChangeKind, hand map[schemas.AgentID]schemas.UserID, by string) []schemas.Change {
	users := maps.Clone(hand) // of those who keep whom they have
	audit = slices.DeleteFunc(audit, func(said schemas.Change) bool {
		_, decided := words[said.Agent]
		if decided {
			users[said.Agent] = said.User
		}
		return decided
	})
	for _, agent := range slices.Sorted(maps.Keys(words)) {
		audit = append(audit, schemas.Change{By: by, Change: words[agent], Agent: agent, User: users[agent], Result: "ok"})
	}
	return audit
}
