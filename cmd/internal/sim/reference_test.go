//go:build synctests

package sim

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

// The reference: what was asked and answered, and what must be true of the end.
// It knows no stage. What an event may have come to follows from what people
// saw: a mapping that was answered before the event was sent counts, one that
// was asked for after it arrived does not, and in between either is right, as
// long as it is the same for ever.

// notes are what was seen from outside.
type notes struct {
	mu          sync.Mutex
	occurrences map[schemas.ID]occurrence
	answered200 map[schemas.ID]bool
	notKept     map[schemas.ID]bool // answered otherwise at least once
	ops         []*op
	reconnects  map[schemas.Tenant][]time.Time
	rows        map[schemas.ID]sink.Outcome // as they were seen last
}

// op is a request that maps an agent, or that erases a user, or with "" a tenant.
type op struct {
	tenant      schemas.Tenant
	erase       bool
	agent       schemas.AgentID
	user        schemas.UserID
	asked, done time.Time
	ok          bool
}

func newNotes() *notes {
	return &notes{
		occurrences: make(map[schemas.ID]occurrence), answered200: make(map[schemas.ID]bool), notKept: make(map[schemas.ID]bool),
		reconnects: make(map[schemas.Tenant][]time.Time), rows: make(map[schemas.ID]sink.Outcome),
	}
}

func (n *notes) note(edit func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	edit()
}

func (n *notes) sent(o occurrence) {
	n.note(func() {
		if _, again := n.occurrences[o.id]; !again {
			n.occurrences[o.id] = o
		}
	})
}
func (n *notes) kept(id schemas.ID)    { n.note(func() { n.answered200[id] = true }) }
func (n *notes) refused(id schemas.ID) { n.note(func() { n.notKept[id] = true }) }
func (n *notes) reconnected(t schemas.Tenant) {
	n.note(func() { n.reconnects[t] = append(n.reconnects[t], time.Now()) })
}

func (n *notes) asked(o *op) *op {
	o.asked = time.Now()
	n.note(func() { n.ops = append(n.ops, o) })
	return o
}

func (n *notes) answered(o *op, ok bool) { n.note(func() { o.done, o.ok = time.Now(), ok }) }

// sum is what there is in the end, in words.
func (n *notes) sum() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	credited := 0
	for _, r := range n.rows {
		if r.User != "" {
			credited++
		}
	}
	return fmt.Sprintf("%d events were sent and %d of them answered 200; %d activities and %d skips are in the store",
		len(n.occurrences), len(n.answered200), credited, len(n.rows)-credited)
}

// users are those to whom an event of the agent that arrived at may be
// credited; "" is nobody. Clocks drift: what was asked for or answered within that
// may have been before or after.
func (n *notes) users(t schemas.Tenant, agent schemas.AgentID, at time.Time) []schemas.UserID {
	may := []schemas.UserID{""}
	for _, o := range n.ops {
		past := o.ok && !o.done.After(at.Add(-drift))
		switch {
		case o.tenant != t || o.asked.After(at.Add(drift)):
		case o.erase && past:
			for i, u := range may {
				if o.user == "" || u == o.user {
					may[i] = ""
				}
			}
		case o.erase:
			if !slices.Contains(may, "") {
				may = append(may, "")
			}
		case o.agent != agent:
		case past:
			may = []schemas.UserID{o.user}
		case !slices.Contains(may, o.user):
			may = append(may, o.user)
		}
	}
	return may
}

// erased says whether what an agent did at may have been erased since, and whether
// it must have been where it was credited to the user.
func (n *notes) erased(t schemas.Tenant, agent schemas.AgentID, user schemas.UserID, at time.Time) (may, must bool) {
	who := append(n.users(t, agent, at), user)
	for _, o := range n.ops {
		if !o.erase || o.tenant != t || o.ok && o.done.Before(at.Add(-drift)) {
			continue
		}
		may = may || o.user == "" || slices.Contains(who, o.user)
		must = must || o.ok && o.asked.After(at.Add(drift)) && (o.user == "" || o.user == user)
	}
	return may, must
}

// gap says whether an event of the agent that arrived at may have been judged
// before a mapping that claims that instant was acknowledged. connect bounds how
// long that can be and counts when it was longer (Decisions, "A mapping begins
// …"): a replay then differs, and that is no news.
func (n *notes) gap(t schemas.Tenant, agent schemas.AgentID, at time.Time) bool {
	const prompt = 100*time.Millisecond + drift // the lead, and what two clocks may differ by
	return slices.ContainsFunc(n.ops, func(o *op) bool {
		late := !o.ok || o.done.Sub(o.asked) > prompt
		return o.tenant == t && o.agent == agent && late && !o.asked.After(at) && (!o.ok || !at.After(o.done))
	})
}

// step judges what can be judged while things go on: a row that somebody saw
// stays, but for an earlier arrival.
func (n *notes) step(rows []sink.Outcome) (violations []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := make(map[schemas.ID]sink.Outcome, len(rows))
	for _, r := range rows {
		if _, twice := now[r.ID]; twice {
			violations = append(violations, fmt.Sprintf("Repeatable: event %s has two rows", r.ID))
		}
		now[r.ID] = r
	}
	for id, was := range n.rows {
		is, there := now[id]
		o := n.occurrences[id]
		mayBeGone, _ := n.erased(o.tenant, o.agent, was.User, was.ReceivedAt)
		switch {
		case mayBeGone:
		case !there:
			violations = append(violations, fmt.Sprintf("Kept: the row of event %s is gone", id))
		case is != was && is.ReceivedAt.After(was.ReceivedAt):
			violations = append(violations, fmt.Sprintf("Repeatable: the row of event %s changed for a later arrival", id))
		}
	}
	n.rows = now
	return violations
}

// judge says what promise is broken in the end. log are the records of
// halo.events; everything is every record of every topic.
func (n *notes) judge(log, everything []*kgo.Record, mappings *table.Table[processor.History], rows []sink.Outcome) (violations []string) {
	broken := func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) }
	have := make(map[schemas.ID]sink.Outcome)
	for _, r := range rows {
		have[r.ID] = r
	}
	n.rows = have
	first := make(map[schemas.ID][]schemas.Event)
	for _, r := range log {
		e, err := schemas.ParseEvent(r.Value)
		if err != nil {
			broken("Kept: a record of halo.events does not parse: %v", err)
			continue
		}
		if string(r.Key) != string(e.Tenant) {
			broken("Apart: event %s of %s has the key %s", e.ID, e.Tenant, r.Key)
		}
		switch was := first[e.ID]; {
		case len(was) == 0 || e.ReceivedAt.Before(was[0].ReceivedAt):
			first[e.ID] = []schemas.Event{e}
		case e.ReceivedAt.Equal(was[0].ReceivedAt):
			first[e.ID] = append(was, e)
		}
	}
	for id := range n.answered200 {
		if len(first[id]) == 0 {
			broken("Kept: event %s was answered 200 and is not in halo.events", id)
		}
	}
	for id, arrivals := range first {
		o, meant := n.occurrences[id]
		if !meant {
			broken("Repeatable: event %s was never sent", id)
			continue
		}
		at := arrivals[0].ReceivedAt
		row, there := have[id]
		mayBeGone, _ := n.erased(o.tenant, o.agent, row.User, at)
		_, mustBeGone := n.erased(o.tenant, o.agent, row.User, row.ReceivedAt) // a repeat may have come since, and be another's
		switch {
		case there && mustBeGone:
			broken("Kept: event %s of %s, which arrived at %s, is of somebody who was erased since, and has a row (user %q)", id, o.tenant, row.ReceivedAt, row.User)
			continue
		case mayBeGone:
			continue // that he stays out is all that can be said
		case !there:
			broken("Kept: event %s of %s, which arrived at %s, is in halo.events and has no row; %s", id, o.tenant, at, places(everything, id))
			continue
		}
		if row.Tenant != o.tenant {
			broken("Apart: event %s of %s has a row of %s", id, o.tenant, row.Tenant)
		}
		replayed := false
		for _, e := range arrivals {
			replayed = replayed || same(row, processor.Join(e, func(t schemas.Tenant, a schemas.AgentID) (processor.History, bool) {
				return mappings.Get(string(schemas.AppendMappingKey(nil, t, a)))
			}, processor.DefaultWeights()))
		}
		if !replayed && !n.gap(o.tenant, o.agent, arrivals[0].ReceivedAt) {
			broken("Repeatable: a replay judges event %s otherwise than its row (user %q, reason %q, arrived %s)", id, row.User, row.Reason, row.ReceivedAt)
		}
		if at.Before(schemas.Truncate(o.made.Add(-drift))) {
			broken("As of arrival: event %s arrived before it happened", id)
		}
		switch may := n.users(o.tenant, o.agent, at); {
		case arrivals[0].Refusal == schemas.StaleWebhook:
			if !slices.ContainsFunc(n.reconnects[o.tenant], func(r time.Time) bool { return r.After(o.made) }) {
				broken("As of arrival: event %s is stale although its webhook was the current one", id)
			}
		case row.Reason == schemas.Unassigned:
			if o.agent.Person() {
				broken("As of arrival: event %s has an agent, and is unassigned", id)
			}
		case !slices.Contains(may, row.User):
			broken("As of arrival: event %s of agent %d, which arrived at %s, is credited to %q; people saw %q", id, o.agent, at, row.User, may)
		}
	}
	for id := range have {
		if len(first[id]) == 0 {
			broken("Kept: the row of event %s has no event", id)
		}
	}
	for _, r := range everything {
		if bytes.Contains(r.Value, []byte(canary)) || bytes.Contains(r.Key, []byte(canary)) {
			broken("Content-free: topic %s holds content at %d/%d", r.Topic, r.Partition, r.Offset)
		}
	}
	slices.Sort(violations)
	return violations
}

// places says where an event and its outcomes lie.
func places(everything []*kgo.Record, id schemas.ID) string {
	var at []string
	for _, r := range everything {
		if bytes.Contains(r.Value, []byte(id.String())) {
			at = append(at, fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset))
		}
	}
	return fmt.Sprintf("it is at %v", at)
}

// same says whether a row is what the outcome comes to.
func same(row sink.Outcome, o processor.Outcome) bool {
	if o.Reason != "" {
		return row == sink.OfSkip(o.Skip)
	}
	return row == sink.OfActivity(o.Activity)
}
