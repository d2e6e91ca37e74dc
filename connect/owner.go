package connect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
)

// Ownership: who may act.
//
// The instances are members of one consumer group on the vault topic, which has
// one partition. Who is assigned it is active. Nothing is consumed: the
// assignment is the point. When the active instance dies, its session runs out
// after six seconds and the group assigns the partition to another.
//
// An instance that lost its partition must not write any more, and may not know
// yet that it lost it. So before each write it commits an offset: the broker
// takes a commit from the current member only, and at the same time prolongs
// its session, so that for the next six seconds nobody else is assigned the
// partition without this instance taking part. A write that is not
// acknowledged five seconds after its commit is given up, and the term with
// it.
//
// What remains: a process that is frozen for longer than its session, between
// the commit's answer and the bytes of the write, and wakes up. Its write then
// lands behind those of its successor. The successor's next write of that key
// puts it right, and so does the next take-over.

// owner is this process's membership.
type owner struct {
	c  *Connect
	wg sync.WaitGroup

	mu     sync.Mutex
	member *kgo.Client        // set with the first assignment
	owned  context.CancelFunc // ends what runs while the partition is owned; nil otherwise
	ctx    context.Context    // of what runs while the partition is owned
	done   chan struct{}      // closed when that has ended

	proving bool   // somebody runs prove
	next    *proof // not begun yet; nil where nobody waits for one
}

// proof is one commit and all who wait for its answer.
type proof struct {
	offset int64
	done   chan struct{}
	err    error // valid once done is closed
}

// Run is active whenever the group assigns the vault to this instance, until
// ctx is done; then it returns nil. It fails only where it cannot be started.
func (c *Connect) Run(ctx context.Context) error {
	o := &owner{c: c}
	lost := func(why string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			if len(parts[c.cfg.Topics.Vault]) > 0 {
				o.lose(why)
			}
		}
	}
	member, err := kafka.NewConsumer(c.cfg.Kafka, c.cfg.Group, []string{c.cfg.Topics.Vault}, c.log, c.cfg.Registry,
		append([]kgo.Opt{
			kgo.OnPartitionsAssigned(func(_ context.Context, member *kgo.Client, parts map[string][]int32) {
				if len(parts[c.cfg.Topics.Vault]) > 0 {
					o.gain(ctx, member)
				}
			}),
			kgo.OnPartitionsRevoked(lost("the vault was assigned to another instance")),
			// Not a word of another instance: there may be none, and Kafka away.
			kgo.OnPartitionsLost(lost("out of its group: Kafka did not answer in time, or counts this instance for dead")),
		}, c.cfg.KafkaOptions...)...)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	// The table is read by readers of its own, from the start.
	member.PauseFetchTopics(c.cfg.Topics.Vault)

	<-ctx.Done()
	o.lose("shutting down")
	o.wg.Wait()
	// Leaving the group hands the vault over at once instead of after the
	// session's end.
	kafka.Leave(member)
	return nil
}

// gain begins to act.
func (o *owner) gain(ctx context.Context, member *kgo.Client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.member = member
	if o.owned != nil || ctx.Err() != nil {
		return
	}
	ctx, o.owned = context.WithCancel(ctx)
	o.ctx, o.done = ctx, make(chan struct{})
	done := o.done
	o.c.standby("the vault is being read")
	o.wg.Go(func() {
		defer close(done)
		o.act(ctx)
	})
}

// lose ends acting and returns when no write is under way any more.
func (o *owner) lose(why string) {
	o.mu.Lock()
	cancel, done := o.owned, o.done
	o.owned = nil
	o.mu.Unlock()
	if cancel == nil {
		return
	}
	o.c.standby(why)
	cancel()
	<-done
}

// act runs one term after the other while the partition is owned. A term ends
// early when a write's fate is not known: the next one reads what is there.
func (o *owner) act(ctx context.Context) {
	const pause = 250 * time.Millisecond
	for ctx.Err() == nil {
		err := o.c.serve(ctx, o)
		if ctx.Err() != nil {
			return
		}
		o.c.log.Warn("term ended, reading the vault again", "err", err)
		o.c.standby(fmt.Sprintf("the vault is being read again after: %v", err))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// errDeposed says that the group knows this member no longer as the owner.
var errDeposed = errors.New("another instance owns the vault")

// check returns nil if the group holds this member for the owner now, and
// prolongs its session. offset is the end of the vault as this instance knows
// it, so that the group shows no lag.
//
// Commits of one member happen one after the other. Where each write had one of
// its own, some hundred tenants that connect at once would wait for each other's
// until their time is up. So all who come while one is under way share the next:
// what proves ownership to a write is a commit that began after it asked.
func (o *owner) check(ctx context.Context, offset int64) error {
	o.mu.Lock()
	if o.owned == nil {
		o.mu.Unlock()
		return errDeposed
	}
	if o.next == nil {
		o.next = &proof{done: make(chan struct{})}
	}
	p := o.next
	p.offset = max(p.offset, offset)
	if !o.proving {
		o.proving = true
		o.wg.Go(o.prove)
	}
	o.mu.Unlock()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// prove makes commits as long as somebody waits for one.
func (o *owner) prove() {
	for {
		o.mu.Lock()
		p := o.next
		if o.next = nil; p == nil {
			o.proving = false
			o.mu.Unlock()
			return
		}
		member, ctx, owned := o.member, o.ctx, o.owned != nil
		o.mu.Unlock()
		if p.err = errDeposed; owned {
			p.err = o.commit(ctx, member, p.offset)
		}
		close(p.done)
	}
}

func (o *owner) commit(ctx context.Context, member *kgo.Client, offset int64) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var failed error
	at := map[string]map[int32]kgo.EpochOffset{o.c.cfg.Topics.Vault: {0: {Epoch: -1, Offset: offset}}}
	member.CommitOffsetsSync(ctx, at, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failed = commitFailure(resp, err)
	})
	return failed
}

// commitFailure reads the answer to a commit.
func commitFailure(resp *kmsg.OffsetCommitResponse, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", errDeposed, err)
	}
	answered := false
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("%w: %w", errDeposed, err)
			}
			answered = true
		}
	}
	if !answered { // an answer about nothing proves nothing
		return errDeposed
	}
	return nil
}
