package broker

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ghosts looks for members of consumer groups that died while they waited to
// join, and has the group form anew without them.
//
// kfake begins to watch a member's session with the answer to its join. Where
// that answer finds nobody, since the consumer was killed while it waited, the
// member is watched by nobody: it stays in the group, and what it was assigned
// is read by no one until some other member comes or goes. On a machine with
// one sink nobody does, and what was answered 200 would not reach ClickHouse.
//
// A group forms anew when its leader joins again, and it does that when its
// heartbeat is answered "rebalance in progress". A ghost is never the leader:
// a group whose leader does not come to its second step is formed anew by
// kfake itself.
type ghosts struct {
	mu      sync.Mutex
	heard   map[member]sign
	haunted map[string]haunting // by group
}

// haunting is a group with a ghost in it: until then, each of its members is
// told once to join anew.
type haunting struct {
	until time.Time
	told  map[string]bool
}

// tellFor is longer than any consumer of ours goes without a heartbeat. Whoever
// joins later has no ghost beside it and must not be troubled.
const tellFor = 5 * time.Second

type member struct{ group, id string }

// sign is when a member was last heard of, and for how long it may be silent.
type sign struct {
	at       time.Time
	patience time.Duration
}

func newGhosts() *ghosts {
	return &ghosts{heard: map[member]sign{}, haunted: map[string]haunting{}}
}

// control is handed to the cluster for the requests below. It runs on the
// cluster's own goroutine, so it asks the cluster nothing.
func (g *ghosts) control(req kmsg.Request) (_ kmsg.Response, _ error, handled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch req := req.(type) {
	case *kmsg.JoinGroupRequest:
		if req.MemberID != "" { // else it is about to get one, and that is watched
			// Waiting to join it is silent for as long as others may take.
			patience := time.Duration(req.SessionTimeoutMillis+req.RebalanceTimeoutMillis) * time.Millisecond
			g.heard[member{req.Group, req.MemberID}] = sign{now, patience}
		}
	case *kmsg.SyncGroupRequest:
		g.hear(member{req.Group, req.MemberID}, now)
	case *kmsg.HeartbeatRequest:
		g.hear(member{req.Group, req.MemberID}, now)
		if h, ok := g.haunted[req.Group]; ok && now.Before(h.until) && !h.told[req.MemberID] {
			h.told[req.MemberID] = true
			resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
			resp.ErrorCode = kerr.RebalanceInProgress.Code
			return resp, nil, true
		}
	}
	return nil, nil, false
}

func (g *ghosts) hear(m member, now time.Time) {
	if s, ok := g.heard[m]; ok {
		s.at = now
		g.heard[m] = s
	}
}

// silent takes those members off the list that have been silent for too long.
func (g *ghosts) silent() []member {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []member
	for m, s := range g.heard {
		if time.Since(s.at) > s.patience {
			delete(g.heard, m)
			all = append(all, m)
		}
	}
	return all
}

func (g *ghosts) haunt(group string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.haunted[group] = haunting{time.Now().Add(tellFor), map[string]bool{}}
}

// watchGroups has the cluster show us what its groups' members send.
func (b *Broker) watchGroups() {
	b.ghosts = newGhosts()
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		b.cluster.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			b.cluster.KeepControl()
			return b.ghosts.control(req)
		})
	}
}

// mindGroups looks at the members that have been silent for too long. Most of
// them left, or were put out in time; who is still there is a ghost.
func (b *Broker) mindGroups() {
	for _, m := range b.ghosts.silent() {
		info := b.cluster.GroupInfo(m.group)
		if info == nil {
			continue
		}
		for _, is := range info.Members {
			if is.MemberID == m.id {
				b.log.Warn("a consumer died while it joined its group; the group forms anew", "group", m.group)
				b.ghosts.haunt(m.group)
			}
		}
	}
}
