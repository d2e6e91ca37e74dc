//go:build synctests

package kafkatest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// NewVirtual starts a cluster of one node on a network in memory. Call it
// inside synctest.Test: a goroutine that reads a real socket is never at rest
// for the bubble, one that reads this network is, and the clock moves on as
// soon as all are. Close every client before the bubble's function returns, by
// hand or by t.Cleanup.
//
// Every write takes [Latency] of virtual time. On a network without any, a
// client that asks again at once after "not the leader" would ask for ever in
// the same instant: the clock would never come to the refresh that ends it.
func NewVirtual(t testing.TB, opts ...kfake.Opt) *Cluster {
	t.Helper()
	// The clock of a bubble stands once its function and its cleanups are over. Who
	// then still sleeps in a slow write (of a request that nobody waits for any more)
	// would sleep for ever, and the bubble says that it is deadlocked.
	t.Cleanup(func() { time.Sleep(time.Minute) })
	var network kfake.VirtualNetwork
	c := start(t,
		[]kgo.Opt{Dialer(&network)},
		append([]kfake.Opt{kfake.ListenFn(network.Listen), kfake.Ports(9092)}, opts...),
	)
	c.dial = network.DialContext
	return c
}

// Dialer is how a client reaches what listens on the network.
func Dialer(network *kfake.VirtualNetwork) kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, proto, addr string) (net.Conn, error) {
		conn, err := network.DialContext(ctx, proto, addr)
		if err != nil {
			return nil, err
		}
		return slow{conn}, nil
	})
}

// Latency is what a client's write takes on the network in memory, in virtual
// time: about a round trip in a data centre.
const Latency = 200 * time.Microsecond

type slow struct{ net.Conn }

func (c slow) Write(b []byte) (int, error) {
	time.Sleep(Latency) // virtual
	return c.Conn.Write(b)
}
