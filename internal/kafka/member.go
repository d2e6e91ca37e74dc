package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrNotMember says that a consumer is in no group, and so is given nothing to
// read: its lag is 0 then, and no step of its work fails.
var ErrNotMember = errors.New("not in its consumer group")

// Member knows whether a consumer is in its group. Make it with [NewMember] and
// give its Opts to [NewConsumer].
type Member struct {
	why atomic.Pointer[string] // why it is none; nil: it is one
}

// NewMember returns the member of a consumer that has not joined yet.
func NewMember() *Member {
	m := &Member{}
	m.outside("joining")
	return m
}

// Opts let the consumer say when it comes into its group, be it to be given no
// partition, and when it falls out.
func (m *Member) Opts() []kgo.Opt {
	return []kgo.Opt{
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { m.why.Store(nil) }),
		kgo.WithHooks(m),
	}
}

// OnGroupManageError is called by the client each time it falls out of its
// group or is not let in.
func (m *Member) OnGroupManageError(err error) { m.outside(err.Error()) }

// OnClientClosed is called by the client at its end.
func (m *Member) OnClientClosed(*kgo.Client) { m.outside("stopped") }

func (m *Member) outside(why string) { m.why.Store(&why) }

// Ready is nil while the consumer is in its group; otherwise it wraps
// [ErrNotMember], with what Kafka, or the way to it, had against it.
func (m *Member) Ready() error {
	if why := m.why.Load(); why != nil {
		return fmt.Errorf("%w: %s", ErrNotMember, *why)
	}
	return nil
}

var (
	_ kgo.HookGroupManageError = (*Member)(nil)
	_ kgo.HookClientClosed     = (*Member)(nil)
)
