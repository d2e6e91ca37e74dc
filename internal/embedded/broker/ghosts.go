package broker

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Ghosts looks for members of consumer groups that died while they waited to
// join, and has them leave.
//
// kfake begins to watch a member's session with the answer to its join (group.reply
// in its groups.go). Where that answer finds nobody, since the consumer was killed
// while it waited, the member is watched by nobody: it stays in the group, and what
// it was assigned is read by no one until some other member comes or goes. On a
// machine with one sink nobody does, and what was answered 200 would not reach
// ClickHouse. Worse, while the others join, kfake waits for all members, and begins
// that wait anew with each join: two consumers who join again whenever their
// patience ends, in turn, then never come to read anything. Apache Kafka watches
// each member from the instant at which the group has formed, and needs none of
// this.
type Ghosts struct {
	cluster *kfake.Cluster
	client  *kgo.Client
	log     *slog.Logger

	mu    sync.Mutex
	heard map[member]sign
}

type member struct{ group, id string }

// sign is when a member was last heard of, and for how long it may be silent.
type sign struct {
	at       time.Time
	patience time.Duration
}

// WatchGroups has the cluster show what its groups' members send. Whoever calls it
// calls [Ghosts.Mind] every few seconds. The client reaches the cluster, and stays
// the caller's.
func WatchGroups(cluster *kfake.Cluster, client *kgo.Client, log *slog.Logger) *Ghosts {
	g := &Ghosts{cluster: cluster, client: client, log: log, heard: map[member]sign{}}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		cluster.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			g.hear(req)
			return nil, nil, false
		})
	}
	return g
}

// hear runs on the cluster's own goroutine, so it asks the cluster nothing.
func (g *Ghosts) hear(req kmsg.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	again := func(m member) {
		if s, ok := g.heard[m]; ok {
			s.at = now
			g.heard[m] = s
		}
	}
	switch req := req.(type) {
	case *kmsg.JoinGroupRequest:
		if req.MemberID != "" { // else it is about to get one, and that is watched
			// Waiting to join it is silent for as long as others may take.
			patience := time.Duration(req.SessionTimeoutMillis+req.RebalanceTimeoutMillis) * time.Millisecond
			g.heard[member{req.Group, req.MemberID}] = sign{now, patience}
		}
	case *kmsg.SyncGroupRequest:
		again(member{req.Group, req.MemberID})
	case *kmsg.HeartbeatRequest:
		again(member{req.Group, req.MemberID})
	}
}

func (g *Ghosts) silent() []member {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []member
	for m, s := range g.heard {
		if time.Since(s.at) > s.patience {
			all = append(all, m)
		}
	}
	return all
}

// Mind looks at the members that have been silent for too long. Most of them left,
// or were put out in time; who is still there is a ghost, and is looked at again
// until it is gone.
func (g *Ghosts) Mind() {
	for _, m := range g.silent() {
		if info := g.cluster.GroupInfo(m.group); info != nil &&
			slices.ContainsFunc(info.Members, func(is kfake.GroupMember) bool { return is.MemberID == m.id }) {
			g.log.Warn("a consumer died while it joined its group, and is taken out of it", "group", m.group)
			if err := g.leave(m); err != nil {
				g.log.Warn("a dead consumer cannot be taken out of its group, trying again", "group", m.group, "err", err)
			}
			continue
		}
		g.mu.Lock()
		delete(g.heard, m)
		g.mu.Unlock()
	}
}

// leave says for the member what it cannot say any more.
func (g *Ghosts) leave(m member) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // it is this process that answers
	defer cancel()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = m.group, m.id
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = m.id
	req.Members = append(req.Members, one)
	_, err := req.RequestWith(ctx, g.client)
	return err
}
