package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// traffic is deliveries under way. Every poster sends them one after the other and
// repeats each until it is answered 200, as Halo's delivery log allows.
type traffic struct {
	tn    *tenant
	end   context.CancelFunc
	began time.Time
	took  time.Duration

	posters sync.WaitGroup
	held    atomic.Bool // nothing is sent while it is set
	mu      sync.Mutex
	next    int
	sent    map[string]bool                // all ids, answered or not
	kept    map[schemas.ID]schemas.AgentID // answered 200, by which agent
	refused map[int]int                    // how many answers that were not 200, by status; 0: none
	cut     int                            // of those without an answer: not because nobody listened
}

// underLoad begins to post. Between two deliveries a poster rests for rest.
func (tn *tenant) underLoad(posters int, rest time.Duration) *traffic {
	ctx, cancel := context.WithCancel(tn.t.Context())
	l := &traffic{
		tn: tn, end: cancel, began: time.Now(),
		sent: map[string]bool{}, kept: map[schemas.ID]schemas.AgentID{}, refused: map[int]int{},
	}
	for range posters {
		l.posters.Go(func() {
			for ctx.Err() == nil {
				if !l.held.Load() {
					l.one(ctx)
				}
				pause(tn.t, rest)
			}
		})
	}
	return l
}

// one sends one delivery until it is answered 200 or the load ends.
func (l *traffic) one(ctx context.Context) {
	l.mu.Lock()
	l.next++
	agent := schemas.AgentID(10 + l.next%l.tn.agents)
	d := l.tn.statusChange(l.next, agent)
	l.sent[d.id.String()] = true
	l.mu.Unlock()
	for {
		// The answer is awaited although the load may end meanwhile: what was
		// answered 200 must be known.
		a := l.tn.deliver(context.WithoutCancel(ctx), d.body)
		l.note(a, d.id, agent)
		if a.status == http.StatusOK || ctx.Err() != nil {
			return
		}
		pause(l.tn.t, 20*time.Millisecond)
	}
}

func (l *traffic) note(a answer, id schemas.ID, agent schemas.AgentID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case a.status == http.StatusOK:
		l.kept[id] = agent
		return
	case a.status == http.StatusServiceUnavailable && a.retryAfter == "":
		l.tn.t.Error("503 without Retry-After")
	case a.status == 0 && !errors.Is(a.err, syscall.ECONNREFUSED):
		l.cut++
	case a.status != 0 && a.status != http.StatusServiceUnavailable:
		l.tn.t.Errorf("a genuine delivery was answered %d %s", a.status, a.body)
	}
	l.refused[a.status]++
}

// progress is how many were answered 200 by now, and how many answers were
// none.
func (l *traffic) progress() (kept, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.refused {
		refused += n
	}
	return len(l.kept), refused
}

// stop ends the load and returns once every answer is in.
func (l *traffic) stop() {
	l.end()
	l.posters.Wait()
	l.took = time.Since(l.began)
}

// settled waits until everything that was answered 200 is in ClickHouse and
// fails the test unless each is there once, in the right one of the views, and
// nothing is there that was never sent.
func (l *traffic) settled() {
	t, tn := l.tn.t, l.tn
	t.Helper()
	var activities, skipped map[string]int
	await(t, 2*time.Minute, "all events in ClickHouse", func() (err error) {
		if n, err := tn.count(); err != nil || n < len(l.kept) {
			return errors.Join(fmt.Errorf("%d of %d", n, len(l.kept)), err)
		}
		if activities, skipped, err = tn.outcomes(); err != nil {
			return err
		}
		missing := 0
		for id := range l.kept {
			if activities[id.String()]+skipped[id.String()] == 0 {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d are missing", missing, len(l.kept))
		}
		return nil
	})
	for id, agent := range l.kept {
		a, sk := activities[id.String()], skipped[id.String()]
		if mapped := agent%2 == 0; mapped && (a != 1 || sk != 0) || !mapped && (a != 0 || sk != 1) {
			t.Errorf("event %s of agent %d: %d activities, %d skips", id, agent, a, sk)
		}
	}
	for _, view := range []map[string]int{activities, skipped} {
		for id := range view {
			if !l.sent[id] {
				t.Errorf("event %s was never sent", id)
			}
		}
	}
	// The last word is the operator's own tool's, which judges anew what Kafka has.
	t.Log("haloctl verify:", tn.haloctl(nil, "verify"))
}

func (l *traffic) String() string {
	return fmt.Sprintf("%d events answered 200 in %v, each there once; answers that were none: %d × 503, %d × nobody listened, %d × cut off",
		len(l.kept), l.took.Round(time.Second), l.refused[http.StatusServiceUnavailable], l.refused[0]-l.cut, l.cut)
}

// seen waits until so many events were answered 200, on a slow machine after the
// last fault, and fails the test where no fault was felt.
func (l *traffic) seen(events int) {
	t := l.tn.t
	t.Helper()
	await(t, time.Minute, "enough load to prove something", func() error {
		if kept, _ := l.progress(); kept < events {
			return fmt.Errorf("%d of %d answered 200", kept, events)
		}
		return nil
	})
	if _, refused := l.progress(); refused == 0 {
		t.Fatal("all were answered 200: without faults this proves nothing")
	}
}
