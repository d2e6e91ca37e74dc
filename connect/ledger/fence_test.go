//go:build synctests

package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// on makes an instance use a link.
func on(link *kafkatest.Link) func(*ledger.Config) {
	return func(c *ledger.Config) { c.KafkaOptions = append(slices.Clone(c.KafkaOptions), link.Opt()) }
}

// writer changes one tenant until it is told to stop, and notes what it was
// answered.
type writer struct {
	in       *instance
	tenant   schemas.Tenant
	answered map[schemas.AgentID]schemas.UserID // the last change that was answered with success
}

func (wr *writer) run(ctx context.Context, name string, rng *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		agent := schemas.AgentID(2 + rng.IntN(3))
		user := schemas.UserID(fmt.Sprintf("%s-%d", name, n))
		if _, err := wr.in.try(wr.tenant, assign(agent, user)); err == nil {
			wr.answered[agent] = user
		}
		if rng.IntN(3) == 0 {
			_, _ = wr.in.try(wr.tenant, connect(string(user)))
		}
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
	}
}

// same wants the topics to say to every reader what the instance holds, and to
// say it still once they are compacted to the last record of each key.
func (w *world) same(in *instance, tenants ...schemas.Tenant) {
	w.Helper()
	for _, topic := range []string{w.topics.Vault, w.topics.Connections, w.topics.Mappings, w.topics.Erasures} {
		last := make(map[string]*kgo.Record)
		for _, r := range w.Records(w.T, topic) {
			last[string(r.Key)] = r
		}
		counts := w.held(topic)
		for key, r := range last {
			if key == schemas.TermKey {
				continue
			}
			if c := counts[key]; (r.Value == nil) != (c == nil) || c != nil && c.Offset != r.Offset {
				w.Errorf("%s: compaction would keep a record of %s that does not count", topic, key)
			}
		}
	}
	for _, id := range tenants {
		snap := in.see(id)
		for agent, m := range snap.Mappings {
			if held := w.history(id, agent); !bytes.Equal(held.AppendJSON(nil), m.AppendJSON(nil)) {
				w.Errorf("agent %d: it holds %+v, the topic %+v", agent, m, held)
			}
		}
		conn := w.held(w.topics.Connections)[string(schemas.ConnectionIDOf(id))]
		switch {
		case snap.Connected() && (conn == nil || !bytes.Equal(conn.Value, snap.Connection(id).AppendJSON(nil))):
			w.Errorf("the edge knows another connection of %s than the vault", id)
		case !snap.Connected() && conn != nil:
			w.Errorf("the edge knows a connection of %s, and the vault none", id)
		}
	}
}

// round freezes an instance before one of its requests and lets another begin.
func round(w *world, seed uint64) (late int) {
	rng := rand.New(rand.NewPCG(seed, 16))
	link := w.Link()
	var count atomic.Int64
	at := 1 + rng.Int64N(60)
	frozen := make(chan struct{})
	var once sync.Once
	armed := new(atomic.Bool)
	link.At = func(kmsg.Key) {
		if armed.Load() && count.Add(1) == at {
			once.Do(func() { link.Freeze(); close(frozen) })
		}
	}
	// One term: it wakes up behind another's election, of which it hears at once.
	first := w.elect(w.idle(on(link)), func(error) bool { return false })
	first.await()
	one := &writer{first, "acme", map[schemas.AgentID]schemas.UserID{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { one.run(ctx, "one", rand.New(rand.NewPCG(seed, 1))) })
	armed.Store(true)
	<-frozen
	// The session's end and the election; or sooner than a write gives up, as where
	// the group's coordinator moves.
	wait := time.Duration(6+rng.IntN(6)) * time.Second
	if seed%2 == 1 {
		wait = time.Duration(100+rng.IntN(1500)) * time.Millisecond
	}
	time.Sleep(wait)
	second := w.active()
	two := &writer{second, "acme", map[schemas.AgentID]schemas.UserID{}}
	ctx2, cancel2 := context.WithCancel(context.Background())
	wg.Go(func() { two.run(ctx2, "two", rand.New(rand.NewPCG(seed, 2))) })
	time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
	link.Thaw()
	time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
	cancel2()
	time.Sleep(2 * time.Second)
	cancel()
	wg.Wait()

	// What counted before its successor began may be answered later, when its
	// instant has come or the last word of it was said; and it is true.
	for agent, user := range one.answered {
		var all []schemas.UserID
		for _, iv := range w.history("acme", agent).Intervals {
			all = append(all, iv.User)
		}
		if !slices.Contains(all, user) {
			w.Errorf("seed %d: agent %d: %s was answered and is not in %v", seed, agent, user, all)
		}
	}
	for agent, user := range two.answered {
		if cur, _ := second.see("acme").Mapped(agent); cur.User != user {
			w.Errorf("seed %d: agent %d: the last answer was %s, it is %s", seed, agent, user, cur.User)
		}
	}
	w.same(second, "acme")
	heir := w.active() // who reads all of it anew
	w.same(heir, "acme")
	for _, topic := range []string{w.topics.Vault, w.topics.Connections, w.topics.Mappings} {
		greatest := uint64(0)
		for _, r := range w.Records(w.T, topic) {
			if e := table.EpochOf(r); e < greatest {
				late++
			} else {
				greatest = e
			}
		}
	}
	return late
}

func TestAFrozenInstanceChangesNothingAfterItsSuccessorBegan(t *testing.T) {
	rounds, late := uint64(200), 0
	if testing.Short() {
		rounds = 20
	}
	for seed := range rounds {
		inWorld(t, func(w *world) { late += round(w, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d records came late in %d rounds", late, rounds)
	if late < int(rounds)/10 {
		t.Errorf("%d records came late in %d rounds: this proves nothing", late, rounds)
	}
}

// Two think that they are elected, and no election ever tells them otherwise.
func TestTwoWhoBothThinkThatTheyActAreHarmless(t *testing.T) {
	for seed := range uint64(10) {
		inWorld(t, func(w *world) {
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			writers := make([]*writer, 2)
			for n := range writers {
				in := w.elect(w.idle(), func(error) bool { return true }) // it never gives way for long
				writers[n] = &writer{in, "acme", map[schemas.AgentID]schemas.UserID{}}
				wg.Go(func() { writers[n].run(ctx, fmt.Sprint("w", n), rand.New(rand.NewPCG(seed, uint64(n)))) })
			}
			time.Sleep(4 * time.Second)
			cancel()
			wg.Wait()
			for _, wr := range writers {
				wr.in.stop()
			}
			heir := w.active()
			w.same(heir, "acme")
			answers := 0
			for _, wr := range writers {
				for agent, user := range wr.answered {
					answers++
					ok := slices.ContainsFunc(w.history("acme", agent).Intervals, func(iv schemas.Interval) bool { return iv.User == user })
					if !ok {
						t.Errorf("seed %d: agent %d: %s was answered and is lost", seed, agent, user)
					}
				}
			}
			if n := strings.Count(w.log.String(), "msg=active"); n < 4 || answers < 2 {
				t.Errorf("seed %d: %d terms, %d answers: this proves nothing", seed, n, answers)
			}
		})
	}
}

// The first marker of an epoch wins. Whoever wrote the other has written nothing
// else.
func TestOfTwoWhoBeginTheSameEpochOneGivesWay(t *testing.T) {
	beaten := 0
	for range 20 {
		inWorld(t, func(w *world) {
			ends := make(chan error, 2)
			for range 2 {
				l := w.idle()
				go func() {
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
					defer cancel()
					ends <- l.Act(ctx, func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return nil })
				}()
			}
			for range 2 {
				if err := <-ends; errors.Is(err, ledger.ErrDeposed) {
					beaten++
				} else if err != nil {
					t.Error(err)
				}
			}
			markers := map[uint64]int{}
			for _, r := range w.Records(w.T, w.topics.Vault) {
				markers[table.EpochOf(r)]++
			}
			if len(w.held(w.topics.Mappings)) != 0 {
				t.Error("somebody wrote more than markers")
			}
			if markers[1] == 0 {
				t.Errorf("markers %v", markers)
			}
		})
	}
	if beaten < 5 {
		t.Errorf("%d gave way: this proves nothing", beaten)
	}
}

// What somebody writes who never began a term, with no epoch or an old one, is
// never obeyed, and does not outlive a compaction.
func TestALateRecordIsSupersededAtOnceAndByWhoeverComesNext(t *testing.T) {
	strangers := func(w *world, conn schemas.ConnectionID) {
		w.Produce(w.T, stamped(w.topics.Vault, "acme", schemas.VaultSchema, []byte("{}"), 0))
		w.Produce(w.T, stamped(w.topics.Connections, string(conn), schemas.ConnectionSchema, nil, 0))
		w.Produce(w.T, stamped(w.topics.Connections, "ffffffffffffffffffffffffffffffff", schemas.ConnectionSchema, []byte("x"), 0))
		w.Produce(w.T, stamped(w.topics.Mappings, "acme/7", schemas.MappingSchema, nil, 0))
		w.Produce(w.T, stamped(w.topics.Mappings, "acme/8", schemas.MappingSchema, schemas.Mapping{Tenant: "acme", Agent: 8}.AppendJSON(nil), 0))
		w.Produce(w.T, stamped(w.topics.Erasures, "acme", schemas.ErasureSchema, schemas.Erasure{Tenant: "acme", At: time.Now()}.AppendJSON(nil), 0))
	}
	check := func(w *world, in *instance) {
		w.same(in, "acme")
		s := in.see("acme")
		if s.Sealed != nil || !s.Connected() || len(s.Mappings) != 1 || len(s.Erasures) != 0 {
			w.Errorf("%+v", s)
		}
	}
	inWorld(t, func(w *world) {
		conn := schemas.ConnectionIDOf("acme")
		in := w.active()
		in.apply("acme", connect("hook"))
		in.apply("acme", assign(7, "u"))
		strangers(w, conn)
		time.Sleep(time.Second)
		check(w, in)
		in.stop()
		strangers(w, conn)
		check(w, w.active())
	})
}
