//go:build integration

package endtoend

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/worksights/halo-connector/schemas"
)

// TestATopicMadeAgainIsNoticedByAllWhoUseIt deletes each topic in turn under
// load and has the operator's tool make it again. Each stage that uses it must
// say so, and go on by itself; nothing may be lost but what Kafka was told to
// delete.
func TestATopicMadeAgainIsNoticedByAllWhoUseIt(t *testing.T) {
	if c := chosen(); c.kafka == embedded {
		t.Skip("the embedded Kafka is a part of the process that this test would have begin anew")
	}
	t.Parallel()
	s := newStack(t)
	tn := s.connected("recreated", 4)
	cl := s.kafkaClient()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics := schemas.NewTopics(s.prefix)
	in, pr, si, co := s.ingest, s.processor, s.sink, s.connect
	n := 0
	for _, tt := range []struct {
		topic  string
		users  []*process
		unread bool // what it held may be lost with it: not every record was read
	}{
		{topics.Events, []*process{in, pr, co}, true},
		{topics.Activities, []*process{pr, si}, true},
		{topics.Skipped, []*process{pr, si}, true},
		{topics.Dead, []*process{pr, si}, false},
		{topics.Deliveries, []*process{in, co}, false},
		{topics.Changes, []*process{co}, false},
		{topics.Erasures, []*process{pr, si, co}, false},
		{topics.Connections, []*process{in, co}, false},
		{topics.Mappings, []*process{pr, co}, false},
		{topics.Vault, []*process{co}, false},
	} {
		t.Run(strings.TrimPrefix(tt.topic, s.prefix), func(t *testing.T) {
			l := tn.trickle(t, &n)
			l.goesOn("before")
			began := time.Now()
			if _, err := adm.DeleteTopic(t.Context(), tt.topic); err != nil {
				t.Fatal(err)
			}
			var noticed time.Duration
			for _, p := range tt.users {
				await(t, 20*time.Second, p.name+" says that the topic is gone", func() error {
					if p.dead() {
						t.Fatalf("%s ended: %s", p.name, p.tail())
					}
					why := p.unready()
					if why == nil || !strings.Contains(why.Error(), tt.topic) {
						return fmt.Errorf("it says: %w", why)
					}
					return nil
				})
				noticed = max(noticed, time.Since(began))
			}
			s.haloctl(s.env, "topics", "apply")
			made := time.Now()
			for _, p := range tt.users {
				await(t, 30*time.Second, p.name+" begins anew", func() error {
					n := 0
					for line := range strings.Lines(logOf(t, p)) {
						if strings.Contains(line, "beginning anew") && strings.Contains(line, "topic "+tt.topic+" was deleted and made again") {
							n++
						}
					}
					if n != 1 {
						return fmt.Errorf("its log says so %d times", n)
					}
					return nil
				})
			}
			for _, p := range s.stages() {
				p.t = t
				p.ready()
			}
			ready := time.Since(made)
			l.goesOn("after")
			rows := time.Since(made)
			lost := l.stop()
			t.Logf("| `%s` | %s | %.1f s | %.1f s | %.1f s | %d of %d | %v |", tt.topic, names(tt.users), noticed.Seconds(), ready.Seconds(), rows.Seconds(),
				lost, len(l.kept), l.statuses)
			if lost > 0 && !tt.unread {
				t.Errorf("%d events are lost, which were not in the topic", lost)
			}
		})
	}
}

func names(all []*process) string {
	var out []string
	for _, p := range all {
		out = append(out, p.name)
	}
	return strings.Join(out, ", ")
}

func logOf(t *testing.T, p *process) string {
	t.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// trickle is a delivery every 20 ms, whatever becomes of the one before.
type trickle struct {
	t    *testing.T
	tn   *tenant
	end  context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	kept     map[string]bool // ids answered 200
	last     string          // the last of them
	statuses map[int]int
}

func (tn *tenant) trickle(t *testing.T, n *int) *trickle {
	ctx, cancel := context.WithCancel(t.Context())
	l := &trickle{t: t, tn: tn, end: cancel, kept: map[string]bool{}, statuses: map[int]int{}}
	l.done.Go(func() {
		for ctx.Err() == nil {
			*n++
			d := tn.statusChange(*n, schemas.AgentID(10+*n%tn.agents))
			a := tn.deliver(context.WithoutCancel(ctx), d.body)
			l.mu.Lock()
			l.statuses[a.status]++
			if a.status == http.StatusOK {
				l.last = d.id.String()
				l.kept[l.last] = true
			}
			l.mu.Unlock()
			pause(t, 20*time.Millisecond)
		}
	})
	return l
}

// goesOn waits until a delivery that is answered 200 from now on is a row.
func (l *trickle) goesOn(when string) {
	l.t.Helper()
	l.mu.Lock()
	before := maps.Clone(l.kept)
	l.mu.Unlock()
	await(l.t, 60*time.Second, "deliveries become rows "+when, func() error {
		there, err := l.rows()
		if err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for id := range l.kept {
			if !before[id] && there[id] {
				return nil
			}
		}
		return fmt.Errorf("of %d answered 200 since, none; answers %v", len(l.kept)-len(before), l.statuses)
	})
}

func (l *trickle) rows() (map[string]bool, error) {
	activities, skipped, err := l.tn.outcomes()
	there := map[string]bool{}
	for _, id := range slices.Concat(slices.Collect(maps.Keys(activities)), slices.Collect(maps.Keys(skipped))) {
		there[id] = true
	}
	return there, err
}

// stop ends the deliveries, waits for the last one's row, and returns how many
// of those that were answered 200 are no row. They come in the order of their
// topics, so that what is missing then will not come.
func (l *trickle) stop() (lost int) {
	l.t.Helper()
	l.end()
	l.done.Wait()
	missing := func() (lost int, err error) {
		there, err := l.rows()
		for id := range l.kept {
			if !there[id] {
				lost++
			}
		}
		return lost, err
	}
	var before time.Time
	fewest := len(l.kept) + 1
	await(l.t, 60*time.Second, "no more rows come", func() error {
		n, err := missing()
		if err != nil {
			return err
		}
		if n < fewest {
			fewest, before = n, time.Now()
		}
		if n == 0 || time.Since(before) > 5*time.Second {
			return nil
		}
		return fmt.Errorf("%d are missing", n)
	})
	return fewest
}
