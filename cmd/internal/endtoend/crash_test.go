package endtoend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Kills and seed of the crash test; HALO_CRASH_SEED repeats a run's order of
// kills.
const kills = 32

func TestEveryEventAnswered200IsThereOnceWhateverIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the programs for about a minute: not under -short")
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("HALO_CRASH_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HALO_CRASH_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newStack(t)
	tn := s.connected("crash", 10)

	// Every poster sends its deliveries one after the other and repeats each
	// until it is answered 200, as Halo's delivery log allows.
	ctx, stop := context.WithCancel(t.Context())
	var posters sync.WaitGroup
	var mu sync.Mutex
	answered := map[schemas.ID]schemas.AgentID{}
	var refused atomic.Int64
	var next atomic.Int64
	for range 8 {
		posters.Add(1)
		go func() {
			defer posters.Done()
			for ctx.Err() == nil {
				n := int(next.Add(1))
				agent := schemas.AgentID(10 + n%10)
				d := tn.statusChange(n, agent)
				for {
					// The answer is awaited although the load may end
					// meanwhile: what was answered 200 must be known.
					status, _ := tn.post(context.WithoutCancel(ctx), d.body)
					if status == http.StatusOK {
						mu.Lock()
						answered[d.id] = agent
						mu.Unlock()
						break
					}
					refused.Add(1)
					if status == http.StatusUnauthorized {
						t.Errorf("a genuine delivery was answered 401")
					}
					if ctx.Err() != nil {
						return
					}
					pause(t, 20*time.Millisecond)
				}
				pause(t, 4*time.Millisecond)
			}
		}()
	}
	victims := []*process{s.ingest, s.processor, s.sink, s.connect, s.engines}
	for i := range kills {
		pause(t, time.Duration(200+rng.IntN(1200))*time.Millisecond)
		p := victims[rng.IntN(len(victims))]
		if i < len(victims) {
			p = victims[i] // each at least once
		}
		p.kill()
		p.start()
	}
	for _, p := range victims {
		p.ready()
	}
	stop()
	posters.Wait()
	if len(answered) < 1000 || refused.Load() == 0 {
		t.Fatalf("%d answered 200, %d not: without load or without faults this proves nothing", len(answered), refused.Load())
	}
	await(t, 60*time.Second, "all events in ClickHouse", func() error {
		activities, skipped, err := tn.outcomes()
		if err != nil {
			return err
		}
		missing := 0
		for id := range answered {
			if activities[id.String()]+skipped[id.String()] == 0 {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d are missing", missing, len(answered))
		}
		return nil
	})
	activities, skipped, err := tn.outcomes()
	if err != nil {
		t.Fatal(err)
	}
	for id, agent := range answered {
		a, sk := activities[id.String()], skipped[id.String()]
		if mapped := agent%2 == 0; mapped && (a != 1 || sk != 0) || !mapped && (a != 0 || sk != 1) {
			t.Errorf("event %s of agent %d: %d activities, %d skips", id, agent, a, sk)
		}
	}
	t.Logf("%d events answered 200, %d answers that were none, %d kills: each event once", len(answered), refused.Load(), kills)
}
