//go:build integration

package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/schemas"
)

const (
	// Installations that share the three brokers, each with two connects, and how
	// often the one that acts is frozen in each.
	installations, freezes = 4, 5
	frozenFor              = 20 * time.Second
	// A session of six seconds, and the tables read anew.
	succession = frozenFor - 2*time.Second
)

// TestAFrozenConnectChangesNothingAfterItsSuccessorBegan stops the connect that
// acts for twenty seconds in the middle of its work, with more of it waiting at
// its door, and wakes it when another has long begun. What it still writes then
// must count for nobody, now and after a compaction, and nothing that it was
// answering may be untrue.
func TestAFrozenConnectChangesNothingAfterItsSuccessorBegan(t *testing.T) {
	if c := chosen().severalBrokers(); c.kafka != jars {
		t.Skipf("Kafka is %s: three brokers come from deploy/kafka-local only, which needs Java and Maven", c.kafka)
	}
	t.Parallel()
	rng := dice(t)
	s := prepareStack(t)
	s.startEngines(3)
	var all sync.WaitGroup
	var late, answers, waited atomic.Int64
	for i := range installations {
		rng := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
		all.Go(func() {
			p := s.pair(i)
			for range freezes {
				a, w := p.round(rng)
				answers.Add(int64(a))
				waited.Add(int64(w))
			}
			late.Add(int64(p.heir()))
		})
	}
	all.Wait()
	t.Logf("%d freezes of %v; %d mappings were answered 200 around them, each there; %d requests met a frozen one; %d records came late and count for nobody",
		installations*freezes, frozenFor, answers.Load(), waited.Load(), late.Load())
	if waited.Load() < installations*freezes || answers.Load() < waited.Load() {
		t.Error("it had nothing to do when it woke: this proves nothing")
	}
}

// pair is an installation of its own with two connects, of which one acts.
type pair struct {
	*stack
	tenants         []*tenant
	active, standby *process
	ports           map[*process]int
	users           atomic.Int64 // how many were given to agents so far
}

const (
	// What is done to one tenant is done in order: of several, some are at work
	// whenever the freeze comes, and each has a request waiting when it ends.
	frozenTenants = 6
	frozenUsers   = 300 // for an agent to be given to, one after the other
)

func (s *stack) pair(i int) *pair {
	own := *s
	own.prefix, own.ours = fmt.Sprintf("halo%d.", i), nil
	own.env = append(slices.Clone(s.env), "KAFKA_BROKERS="+s.brokers, "TOPIC_PREFIX="+own.prefix, "CLICKHOUSE_DSN="+s.dsn(s.database))
	own.haloctl(nil, "topics", "apply")
	p := &pair{stack: &own, ports: map[*process]int{}}
	for n, at := range []**process{&p.active, &p.standby} {
		port := 8200 + 4*i + 2*n // among those that the stack has to itself
		*at = own.stageAs("connect", fmt.Sprintf("connect-%d-%d", i, n), port, "LISTEN_ADDR="+s.addr(port+1))
		p.ports[*at] = port + 1
		(*at).start()
	}
	p.settle()
	users := []map[string]string{}
	for n := range frozenUsers {
		users = append(users, map[string]string{"user_id": "u-" + strconv.Itoa(n), "email": fmt.Sprintf("u-%d@frozen.example", n)})
	}
	for n := range frozenTenants {
		tn := own.connected(schemas.Tenant(fmt.Sprintf("frozen-%d-%d", i, n)), 2)
		own.must("PATCH", tn.path("/users"), map[string]any{"set": users})
		p.tenants = append(p.tenants, tn)
	}
	return p
}

// settle waits until one acts and the other stands by, and finds out which.
func (p *pair) settle() {
	p.t.Helper()
	await(p.t, 60*time.Second, "one acts, and one stands by", func() error {
		if p.standby.unready() == nil {
			p.active, p.standby = p.standby, p.active
		}
		if err := p.active.unready(); err != nil {
			return err
		}
		resp, err := http.Get("http://" + p.addr(p.ports[p.standby]) + "/v1/openapi.json")
		if err != nil {
			return err // not up, or not awake yet
		}
		resp.Body.Close()
		return nil
	})
	p.apiPort = p.ports[p.active]
}

// clients give an agent of each tenant to one user after the other, all tenants at
// once, and note what was answered 200, in its order.
type clients struct {
	rest, end context.CancelFunc // rest ends all but that of the first tenant

	done     sync.WaitGroup
	mu       sync.Mutex
	answered [frozenTenants][]string
	waited   int // requests that were answered only after the freeze
}

func (p *pair) clients(of *process) *clients {
	on := *p.stack
	on.apiPort = p.ports[of]
	all, end := context.WithCancel(p.t.Context())
	others, rest := context.WithCancel(all)
	c := &clients{rest: rest, end: end}
	for n, tn := range p.tenants {
		ctx := others
		if n == 0 {
			ctx = all
		}
		c.done.Go(func() {
			for ctx.Err() == nil {
				user := fmt.Sprintf("u-%d", p.users.Add(1)%frozenUsers)
				began := time.Now()
				status, b, err := on.tryAPI(p.t.Context(), "PUT", tn.path("/agents/11/user"), map[string]string{"user_id": user})
				c.mu.Lock()
				if time.Since(began) > frozenFor/2 {
					c.waited++
				}
				if err == nil && status == http.StatusOK {
					c.answered[n] = append(c.answered[n], user)
				}
				c.mu.Unlock()
				if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
					p.t.Errorf("a mapping was answered %d %s", status, b)
				}
				pause(p.t, 400*time.Millisecond) // a history of thousands proves no more
			}
		})
	}
	return c
}

func (c *clients) stop() {
	c.end()
	c.done.Wait()
}

// round freezes the one that acts, at any instant of its work or before one of its
// requests to Halo, and judges what became of it.
func (p *pair) round(rng *rand.Rand) (answers, waited int) {
	t := p.t
	p.settle()
	sleeper, successor := p.active, p.standby
	first := p.clients(sleeper)
	pause(t, time.Second)
	if rng.IntN(2) == 0 {
		pause(t, time.Duration(rng.IntN(1000))*time.Millisecond)
		sleeper.freeze()
	} else {
		// A reconnect is a dozen of them.
		at, asleep := 1+rng.IntN(12), make(chan struct{})
		p.tenants[0].sim.Inject("", at, func(http.ResponseWriter, *http.Request) bool {
			if at--; at == 0 {
				sleeper.freeze()
				close(asleep)
			}
			return false
		})
		var asked sync.WaitGroup
		defer asked.Wait()
		on := *p.stack
		asked.Go(func() { _, _, _ = on.tryAPI(t.Context(), "POST", p.tenants[0].path("/connection/reconnect"), nil) })
		select {
		case <-asleep:
		case <-time.After(20 * time.Second):
			p.tenants[0].sim.Heal()
			sleeper.freeze()
		}
	}
	woken := time.After(frozenFor)
	await(t, succession, successor.name+" takes over", successor.unready)
	second := p.clients(successor)
	select {
	case <-woken:
	case <-t.Context().Done():
	}
	// Where nobody writes any more, what came late would be the last word.
	second.rest()
	pause(t, 2*time.Second)
	sleeper.thaw()
	pause(t, time.Second)
	first.stop()
	pause(t, time.Second)
	second.stop()
	p.settle()
	if p.active != successor {
		t.Error("who was woken acts again, though nobody else went")
	}

	for n := range p.tenants {
		var users []string
		for _, iv := range p.history(n) {
			users = append(users, iv.User)
		}
		// Newest first. What the first was answered counted before the second began.
		for _, user := range slices.Concat(first.answered[n], second.answered[n]) {
			if !slices.Contains(users, user) {
				t.Errorf("tenant %d: %s was answered 200 and is not in the history", n, user)
			}
		}
		if last := second.answered[n]; len(last) == 0 || len(users) == 0 || users[0] != last[len(last)-1] {
			t.Errorf("tenant %d: the successor's last answer is not what holds: %v of %v", n, users[:min(1, len(users))], last)
		}
		answers += len(first.answered[n]) + len(second.answered[n])
	}
	p.superseded()
	p.oneWebhook(p.tenants[0])
	return answers, first.waited
}

// oneWebhook wants the webhook that the connection names to be in Halo, and
// after a reconnect to be the only one.
func (p *pair) oneWebhook(tn *tenant) {
	p.t.Helper()
	var conn struct {
		State   string
		Webhook struct{ ID string }
	}
	look := func(b []byte) (there bool, others int) {
		p.t.Helper()
		if err := json.Unmarshal(b, &conn); err != nil {
			p.t.Errorf("%s: %v", b, err)
		}
		for _, w := range tn.sim.Webhooks() {
			if !w.Deleted && w.ID == conn.Webhook.ID {
				there = true
			} else if !w.Deleted {
				others++
			}
		}
		return there, others
	}
	if there, _ := look(p.must("GET", tn.path("/connection"), nil)); !there {
		p.t.Error("the webhook of the connection is not in Halo any more")
	}
	there, others := look(p.must("POST", tn.path("/connection/reconnect"), nil))
	if n := tn.sim.Notifications(); !there || others != 0 || n != 4 || conn.State != "active" {
		p.t.Errorf("after a reconnect: its webhook is there: %t, and %d others, %d notifications, %s", there, others, n, conn.State)
	}
}

type interval struct {
	User  string `json:"user_id"`
	From  string `json:"from"`
	Until string `json:"until"`
}

func (p *pair) history(tenant int) []interval {
	p.t.Helper()
	var h struct{ Intervals []interval }
	if err := json.Unmarshal(p.must("GET", p.tenants[tenant].path("/agents/11/history"), nil), &h); err != nil {
		p.t.Error(err)
	}
	return h.Intervals
}

// heir lets one that has seen nothing begin: it must find in Kafka what the last
// one knew. It returns how many records came late.
func (p *pair) heir() (late int) {
	p.settle()
	var before, after [frozenTenants][]interval
	for n := range before {
		before[n] = p.history(n)
	}
	late = p.superseded()
	for of := range p.ports {
		of.kill()
	}
	p.active.start()
	p.active.ready()
	for n := range after {
		after[n] = p.history(n)
		if !slices.Equal(before[n], after[n]) {
			p.t.Errorf("tenant %d: who begins anew reads\n%v\nwhere the last one knew\n%v", n, after[n], before[n])
		}
	}
	return late
}

// superseded waits until no record that does not count is the last of its key,
// which compaction keeps, and returns how many there are.
func (p *pair) superseded() (late int) {
	p.t.Helper()
	topics := schemas.NewTopics(p.prefix)
	await(p.t, 30*time.Second, "what came late is superseded", func() (err error) {
		late, err = superseded(p.records(topics.Vault, topics.Connections, topics.Mappings, topics.Erasures))
		return err
	})
	return late
}

// superseded counts the records that stand behind a greater epoch than theirs,
// and fails where one of them is the last of its key.
func superseded(records []*kgo.Record) (late int, err error) {
	slices.SortFunc(records, func(a, b *kgo.Record) int { return int(a.Offset - b.Offset) })
	greatest, last := map[string]uint64{}, map[string]bool{}
	for _, r := range records {
		var epoch uint64
		for _, h := range r.Headers {
			if h.Key == schemas.HeaderEpoch {
				if epoch, err = strconv.ParseUint(string(h.Value), 10, 64); err != nil {
					return late, err
				}
			}
		}
		behind := epoch < greatest[r.Topic]
		greatest[r.Topic] = max(greatest[r.Topic], epoch)
		if behind {
			late++
		}
		if !bytes.Equal(r.Key, []byte(schemas.TermKey)) {
			last[r.Topic+" "+string(r.Key)] = behind
		}
	}
	var errs []error
	for key, behind := range last {
		if behind {
			errs = append(errs, fmt.Errorf("compaction would keep a record of %s that does not count", key))
		}
	}
	return late, errors.Join(errs...)
}
