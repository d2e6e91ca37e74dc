// Package lead decides which of several instances tries to act.
//
// It promises that within seconds of one's end another is elected, and that who
// is elected stays so when others come and go. It promises nothing about two who
// both think that they are: whoever must not act twice needs a fence of his own.
//
// The instances are members of one consumer group on a topic with one partition.
// Whoever is assigned it leads; nothing is consumed and no offset is committed:
// the assignment is the point. When the one that leads dies, its session runs out
// and the group assigns the partition to another. When one joins or leaves, the
// others go on meanwhile, since the group is cooperative: in an eager one each
// lets go of what it has before anything is assigned.
package lead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
)

// ErrYield is wrapped by who found that another has begun to act. He is not asked
// again before the group had time to say who leads.
var ErrYield = errors.New("another acts")

const (
	// pause is how long it takes until who ended by himself is asked again.
	pause = 250 * time.Millisecond
	// yield is longer than a session: who is out of the group knows it by then.
	yield = 8 * time.Second
)

// Config is what an election is made of.
type Config struct {
	Kafka    kafka.Config
	Options  []kgo.Opt // last of the client's options; optional
	Group    string
	Topic    string // has one partition
	Log      *slog.Logger
	Registry prometheus.Registerer // may be nil

	// Waits is told what this instance waits for while it does not lead.
	Waits func(why string)
}

// Run calls act whenever this instance is elected, again and again as long as it
// is, until ctx is done; then it returns nil. act's context ends when the
// election does, and act must return soon: the next one waits for it. Run fails
// only where it cannot be started.
func Run(ctx context.Context, cfg Config, act func(context.Context) error) error {
	e := &election{cfg: cfg, act: act}
	lost := func(why string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			if len(parts[cfg.Topic]) > 0 {
				e.lose(why)
			}
		}
	}
	cfg.Waits("nobody was elected yet")
	member, err := kafka.NewConsumer(cfg.Kafka, cfg.Group, []string{cfg.Topic}, cfg.Log, cfg.Registry, append([]kgo.Opt{
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			if len(parts[cfg.Topic]) > 0 {
				e.gain(ctx)
			}
		}),
		kgo.OnPartitionsRevoked(lost("another instance was elected")),
		// Not a word of another instance: there may be none, and Kafka away.
		kgo.OnPartitionsLost(lost("out of its group: Kafka did not answer in time, or counts this instance for dead")),
	}, cfg.Options...)...)
	if err != nil {
		return fmt.Errorf("election: %w", err)
	}
	member.PauseFetchTopics(cfg.Topic)

	<-ctx.Done()
	e.lose("shutting down")
	// Leaving the group hands over at once instead of after the session's end.
	kafka.Leave(member)
	return nil
}

// election is this process's part in it.
type election struct {
	cfg Config
	act func(context.Context) error

	mu   sync.Mutex
	end  context.CancelFunc // ends what runs while elected; nil otherwise
	done chan struct{}      // closed when that has ended
}

// gain begins to act.
func (e *election) gain(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end != nil || ctx.Err() != nil {
		return
	}
	ctx, e.end = context.WithCancel(ctx)
	done := make(chan struct{})
	e.done = done
	go func() {
		defer close(done)
		e.lead(ctx)
	}()
}

// lose ends acting and returns when that has ended.
func (e *election) lose(why string) {
	e.mu.Lock()
	end, done := e.end, e.done
	e.end = nil
	e.mu.Unlock()
	if end == nil {
		return
	}
	end()
	<-done
	e.cfg.Waits(why)
}

// lead acts as long as ctx lasts.
func (e *election) lead(ctx context.Context) {
	for ctx.Err() == nil {
		err := e.act(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := pause
		if errors.Is(err, ErrYield) {
			wait = yield
		}
		e.cfg.Log.Warn("stopped acting, trying again while elected", "err", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}
