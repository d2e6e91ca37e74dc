//go:build synctests

package sim

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/schemas"
)

// What happens to a world, by its seed.

// step is one thing that happens.
func (w *world) step() {
	tn := one(w.rng, w.tenants)
	switch dice := w.rng.IntN(100); {
	case dice < 45:
		w.send(one(w.rng, w.edges), w.happen(tn, 1+w.rng.IntN(3)))
	case dice < 58:
		if len(tn.sent) > 0 {
			w.send(one(w.rng, w.edges), one(w.rng, tn.sent))
			w.met("a delivery was sent again")
		}
	case dice < 70:
		p := w.acting(w.rng)
		if p == nil {
			w.met("no control plane acted")
			return
		}
		agent, user := one(w.rng, tn.agents), one(w.rng, []schemas.UserID{"", "ada", "ben", "cleo"})
		w.tell("map %s/%d to %q by %s", tn.id, agent, user, p)
		w.assign(p, tn, agent, user)
	case dice < 72:
		w.tell("reconnect %s", tn.id)
		rng := w.fork()
		w.calls.Go(func() { w.reconnect(tn, rng) })
	case dice < 73:
		w.forget(tn)
	case dice < 78:
		w.strike()
	case dice < 83:
		w.freeze()
	case dice < 86:
		w.ShufflePartitionLeaders()
		w.met("the leaders moved")
		w.tell("all leaders move")
	case dice < 88:
		w.RehashCoordinators()
		w.met("the coordinators moved")
		w.tell("the groups' coordinators move")
	case dice < 94:
		w.hinder()
	case dice < 97:
		w.trouble()
	case dice < 98:
		w.dawdle()
	case dice < 99:
		w.expire()
	default:
		p := one(w.rng, w.all)
		p.clock.Store(int64(between(w.rng, -drift/2, drift/2)))
		w.met("a clock stepped")
		w.tell("the clock of %s steps", p)
	}
}

// forget erases a person, or now and then the tenant, who comes back.
func (w *world) forget(tn *tenant) {
	p := w.acting(w.rng)
	if p == nil {
		return
	}
	user := one(w.rng, []schemas.UserID{"", "ada", "ben", "cleo"})
	w.tell("erase %q of %s by %s", user, tn.id, p)
	w.erase(p, tn, user)
	if user == "" {
		w.met("a tenant was erased")
		w.later(between(w.rng, 0, 5*time.Second), func() {
			w.tell("connect %s anew", tn.id)
			rng := w.fork()
			w.calls.Go(func() { w.reconnect(tn, rng) })
		})
	}
}

// dawdle makes the way of a process to Kafka slow for a while.
func (w *world) dawdle() {
	p := one(w.rng, w.all)
	if !p.up() {
		return
	}
	by := between(w.rng, 5*time.Millisecond, 300*time.Millisecond)
	w.tell("each request of %s takes %v longer", p, by.Round(time.Millisecond))
	w.met("slow: " + p.name[:len(p.name)-2])
	l := p.life
	l.link.Slow(by)
	w.later(between(w.rng, time.Second, 10*time.Second), func() { l.link.Slow(0) })
}

// expire removes what is old enough and was read, as the retention of a topic does.
func (w *world) expire() {
	if len(w.faults) > 0 {
		return // who looks would meet them too
	}
	for _, of := range []struct{ group, topic string }{
		{"halo.processor", w.topics.Events}, {"halo.sink", w.topics.Activities}, {"halo.sink", w.topics.Skipped},
	} {
		info := w.GroupInfo(of.group)
		if info == nil {
			continue
		}
		for partition, c := range info.Commits[of.topic] {
			if c.Offset <= 0 {
				continue
			}
			if of.topic == w.topics.Events {
				w.gone = append(w.gone, w.Records(w.t, of.topic)...)
			}
			if err := w.DeleteRecords(of.topic, partition, c.Offset); err == nil {
				w.met("what was read was deleted")
			}
		}
	}
	w.tell("the retention deletes what was read")
}

// strike kills a process; another life of it begins some time later.
func (w *world) strike() {
	p := one(w.rng, w.all)
	if !p.up() {
		return
	}
	w.tell("kill %s", p)
	w.kill(p)
	w.met("killed: " + p.name[:len(p.name)-2])
	w.later(between(w.rng, 0, 12*time.Second), func() {
		if !p.up() {
			w.tell("start %s", p.name)
			w.start(p)
		}
	})
}

// freeze stops a process for longer than others wait for it, or for shorter.
func (w *world) freeze() {
	p := one(w.rng, w.all)
	if !p.up() || p.frozen {
		return
	}
	span := between(w.rng, 300*time.Millisecond, 20*time.Second)
	w.tell("freeze %s for %v", p, span.Round(time.Millisecond))
	p.link.Freeze()
	p.frozen = true
	w.met("frozen: " + p.name[:len(p.name)-2])
	l := p.life
	w.later(span, func() {
		if p.life == l {
			w.tell("thaw %s", p.name)
			l.link.Thaw()
			p.frozen = false
		}
	})
}

// hinder makes Kafka answer one kind of request badly for a while.
func (w *world) hinder() {
	what := one(w.rng, []struct {
		said string
		key  kmsg.Key
		err  *kerr.Error
	}{
		{"too few replicas for a write", kmsg.Produce, kerr.NotEnoughReplicas},
		{"a write that the broker has and denies", kmsg.Produce, kerr.NotEnoughReplicasAfterAppend},
		{"a write times out", kmsg.Produce, kerr.RequestTimedOut},
		{"nobody leads", kmsg.Produce, kerr.NotLeaderForPartition},
		{"a disk fails under reads", kmsg.Fetch, kerr.KafkaStorageError},
		{"a commit is refused", kmsg.OffsetCommit, kerr.CoordinatorLoadInProgress},
		{"the end of a partition cannot be told", kmsg.ListOffsets, kerr.NotLeaderForPartition},
		{"a heartbeat meets a rebalance", kmsg.Heartbeat, kerr.RebalanceInProgress},
	})
	if w.faults[what.said] != nil {
		return
	}
	span := between(w.rng, 50*time.Millisecond, 6*time.Second)
	w.tell("for %v: %s", span.Round(time.Millisecond), what.said)
	handle := w.Fault(kfake.Fault{Keys: []kmsg.Key{what.key}, Err: what.err, Count: -1})
	w.faults[what.said] = handle
	w.later(span, func() {
		handle.Remove()
		if handle.Hits() > 0 {
			w.met("Kafka: " + what.said)
		}
		delete(w.faults, what.said)
	})
}

// trouble is the store's.
func (w *world) trouble() {
	switch w.rng.IntN(3) {
	case 0:
		span := between(w.rng, time.Second, 15*time.Second)
		w.tell("the store is away for %v", span.Round(time.Millisecond))
		w.store.set(func(s *store) { s.away = true })
		w.met("the store was away")
		w.later(span, func() { w.store.set(func(s *store) { s.away = false }) })
	case 1:
		w.tell("the store keeps the next append and denies it")
		w.store.set(func(s *store) { s.lies++ })
	case 2:
		span := between(w.rng, 100*time.Millisecond, 3*time.Second)
		w.tell("the store takes %v", span.Round(time.Millisecond))
		w.store.set(func(s *store) { s.slow = span })
		w.later(5*time.Second, func() { w.store.set(func(s *store) { s.slow = 0 }) })
	}
}

// later does something after a while, unless all is healed before.
func (w *world) later(after time.Duration, do func()) {
	w.plans = append(w.plans, plan{time.Now().Add(after), do})
}

// plan is something that will be done.
type plan struct {
	at time.Time
	do func()
}

// supervise starts what ended by itself again.
func (w *world) supervise() {
	w.ghosts.Mind()
	for _, p := range w.all {
		if !p.up() {
			continue
		}
		p.mu.Lock()
		broke := p.broke
		p.mu.Unlock()
		if broke {
			w.tell("%s ended by itself, and is started again", p)
			w.met("a process ended by itself")
			w.kill(p)
			w.start(p)
		}
	}
}

// due does what is planned for until now.
func (w *world) due(now time.Time) {
	w.supervise()
	var left []plan
	for _, p := range w.plans {
		if p.at.After(now) {
			left = append(left, p)
		} else {
			p.do()
		}
	}
	w.plans = left
}
