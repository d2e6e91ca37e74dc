//go:build synctests

package sink_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/sink"
)

// A store that takes the rows and does not answer has refused nothing yet.
func TestASinkWhoseStoreDoesNotAnswerIsNotReady(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		p := w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			<-release
			keep(rows)
			return nil
		})
		time.Sleep(after)
		w.produce(0, 100)
		time.Sleep(5 * time.Second)
		if err := p.Ready(); err != nil {
			t.Errorf("an insert of a few seconds: %v", err)
		}
		time.Sleep(10 * time.Second)
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "has not answered for 1") {
			t.Errorf("an insert of a quarter of a minute: %v", err)
		}
		close(release)
		time.Sleep(after)
		if err := p.Ready(); err != nil {
			t.Errorf("not ready after the answer: %v", err)
		}
		w.settled()
	})
}

func TestASinkThatMayNotReadSaysSoOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Err: kerr.TopicAuthorizationFailed, Count: -1, Topic: w.topics.Activities})
		p := w.start(nil)
		time.Sleep(time.Minute)
		if n := strings.Count(p.log.String(), "cannot fetch"); n != 1 {
			t.Errorf("it is said %d times in a minute", n)
		}
	})
}

// A second sink comes and goes in an outage: who is given partitions is a
// member of the group, and his store is away all the same.
func TestARebalanceMakesNoSinkReadyWhoseStoreIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var up atomic.Bool
		do := func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			if !up.Load() {
				return errAway
			}
			keep(rows)
			return nil
		}
		p := w.start(do)
		time.Sleep(after)
		w.produce(0, 400)
		time.Sleep(time.Minute)
		watched := make(chan struct{})
		ready := 0
		go func() {
			defer close(watched)
			for range 1200 {
				if p.Ready() == nil {
					ready++
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		second := w.start(do)
		time.Sleep(30 * time.Second)
		if err := second.stop(); err != nil {
			t.Error(err)
		}
		<-watched
		// Whoever had all his rows taken away knows of no failure until his next.
		if ready > 20 {
			t.Errorf("ready at %d of 1200 looks in an outage", ready)
		}
		up.Store(true)
		time.Sleep(time.Minute)
		if err := p.Ready(); err != nil {
			t.Errorf("not ready after the outage: %v", err)
		}
		w.settled()
	})
}
