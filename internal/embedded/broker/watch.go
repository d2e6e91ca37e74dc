package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// watch looks after the disk and the groups until ctx is done or a write failed.
func (b *Broker) watch(ctx context.Context) {
	defer close(b.watched)
	often := time.NewTicker(time.Second)
	defer often.Stop()
	// Often enough that a topic passes its bound by a minute of traffic only.
	retention := time.NewTicker(time.Minute)
	defer retention.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case what := <-b.broken:
			b.refuse(fmt.Errorf("%w: %s", ErrDisk, what))
			return
		case <-retention.C:
			b.cluster.ApplyRetention()
		case <-often.C:
			b.mindSpace()
			b.ghosts.Mind()
		}
	}
}

// mindSpace refuses records below the floor and takes them again a quarter
// above it, so that a disk just at the floor does not flicker.
//
// Committed offsets are still taken: those who only read may finish, and what
// they lose when the disk fills up for good is a commit, which costs a repeat.
func (b *Broker) mindSpace() {
	free, err := b.cfg.Free(b.cfg.Dir)
	switch {
	case err != nil:
		b.log.Warn("cannot measure the free space on the embedded broker's disk", "err", err)
	case free < b.cfg.MinFree && b.refusal == nil:
		b.refuse(fmt.Errorf("%w: %d MiB free, %d needed", ErrSpace, free>>20, b.cfg.MinFree>>20))
	case free >= b.cfg.MinFree+b.cfg.MinFree/4 && b.refusal != nil:
		b.refusal.Remove()
		b.refusal = nil
		b.refused.Store(nil)
		b.log.Info("the embedded broker takes records again", "free_mib", free>>20)
	}
}

// refuse answers every write with an error that clients retry: a producer keeps
// its records until there is room again, or until its caller's patience ends.
func (b *Broker) refuse(why error) {
	b.refused.Store(&why)
	b.log.Error("the embedded broker takes no records", "err", why)
	b.refusal = b.cluster.Fault(kfake.Fault{
		Keys:  []kmsg.Key{kmsg.Produce, kmsg.CreateTopics, kmsg.CreatePartitions},
		Err:   kerr.KafkaStorageError,
		Count: -1,
	})
}

// logger hands kfake's messages to slog, one level lower where they tell of
// each request, and notices those that tell of a write that failed: kfake says
// it in its log only, while it answers some of those requests with success.
type logger struct {
	log    *slog.Logger
	broken chan<- string
}

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	at := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		at = slog.LevelError
	case kfake.LogLevelWarn:
		at = slog.LevelWarn
	}
	l.log.Log(context.Background(), at, "embedded broker: "+fmt.Sprintf(format, args...))
	if at > slog.LevelDebug && (strings.HasPrefix(format, "persist ") || strings.HasPrefix(format, "save ")) {
		select {
		case l.broken <- fmt.Sprintf(format, args...):
		default: // one is enough
		}
	}
}
