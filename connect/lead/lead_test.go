//go:build synctests

package lead_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/connect/lead"
	"github.com/worksights/halo-connector/internal/kafkatest"
)

// candidate counts how often it was elected.
type candidate struct {
	begun, acting atomic.Int32
	fails         atomic.Pointer[error] // what act returns at once; nil: it acts
	why           atomic.Pointer[string]
	stop          func()
}

func join(t *testing.T, c *kafkatest.Cluster, opts ...kgo.Opt) *candidate {
	t.Helper()
	in := &candidate{}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	cfg := lead.Config{Kafka: c.Config, Options: slices.Concat(c.Opts, opts), Group: "g", Topic: "table", Log: slog.New(slog.DiscardHandler), Waits: func(why string) { in.why.Store(&why) }}
	wg.Go(func() {
		if err := lead.Run(ctx, cfg, func(ctx context.Context) error {
			in.begun.Add(1)
			if err := in.fails.Load(); err != nil {
				return *err
			}
			in.acting.Add(1)
			<-ctx.Done()
			in.acting.Add(-1)
			return nil
		}); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	in.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(in.stop)
	return in
}

func (in *candidate) await(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	for in.acting.Load() == 0 {
		if time.Since(began) > time.Minute {
			t.Fatal("not elected after a minute")
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

func inBubble(t *testing.T, f func(*testing.T, *kafkatest.Cluster)) {
	synctest.Test(t, func(t *testing.T) { f(t, kafkatest.NewVirtual(t, kfake.SeedTopics(1, "table"))) })
}

// Whoever leads is in the middle of something, which may take a minute.
func TestWhoLeadsGoesOnWhileTenOthersComeAndGo(t *testing.T) {
	inBubble(t, func(t *testing.T, c *kafkatest.Cluster) {
		first := join(t, c)
		first.await(t)
		joins := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Count: -1, Observe: true})
		for range 10 {
			other := join(t, c)
			time.Sleep(2 * time.Second)
			if other.acting.Load() != 0 {
				t.Error("two lead")
			}
			other.stop()
			time.Sleep(2 * time.Second)
		}
		if first.begun.Load() != 1 || first.acting.Load() != 1 {
			t.Errorf("it began %d times", first.begun.Load())
		}
		if joins.Hits() < 20 {
			t.Errorf("%d joins: this proves nothing", joins.Hits())
		}
	})
}

func TestWhoStopsHandsOverAtOnceAndWhoDiesWithinHisSession(t *testing.T) {
	inBubble(t, func(t *testing.T, c *kafkatest.Cluster) {
		first := join(t, c)
		first.await(t)
		second := join(t, c)
		time.Sleep(5 * time.Second)
		first.stop()
		if took := second.await(t); took > 3*time.Second {
			t.Errorf("taken over after %v", took)
		}
	})
	inBubble(t, func(t *testing.T, c *kafkatest.Cluster) {
		link := c.Link()
		first := join(t, c, link.Opt())
		first.await(t)
		second := join(t, c)
		time.Sleep(5 * time.Second)
		link.Cut()
		took := second.await(t)
		if took > 15*time.Second {
			t.Errorf("taken over after %v", took)
		}
		time.Sleep(time.Minute)
		if n := first.acting.Load() + second.acting.Load(); n != 1 {
			t.Errorf("%d lead", n)
		}
	})
}

func TestWhoEndsByHimselfIsAskedAgainAndLaterWhereAnotherActs(t *testing.T) {
	for _, tt := range []struct {
		err    error
		within time.Duration
	}{{errors.New("some failure"), time.Second}, {fmt.Errorf("%w: seen in the log", lead.ErrYield), 10 * time.Second}} {
		inBubble(t, func(t *testing.T, c *kafkatest.Cluster) {
			in := join(t, c)
			in.fails.Store(&tt.err) // before its first answer from the network
			for in.begun.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			in.fails.Store(nil)
			took := in.await(t)
			if took > tt.within || errors.Is(tt.err, lead.ErrYield) && took < 6*time.Second {
				t.Errorf("after %v it was asked again in %v", tt.err, took)
			}
		})
	}
}
