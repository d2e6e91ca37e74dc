//go:build synctests

package processor_test

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafkatest"
)

// errRefused is what a host answers on which nobody listens.
var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

// wire is all that connects one stage with Kafka. To cut it is what kill -9
// looks like from outside: nothing more is sent, nobody says goodbye, and
// Kafka finds out when the session times out.
type wire struct {
	dial func(ctx context.Context, network, host string) (net.Conn, error)

	// before is asked ahead of each request that is not a heartbeat, and after
	// once it is answered, ahead of the answer's delivery; they may cut.
	before, after func(kmsg.Key)

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

// newWire is a wire to the cluster's network in memory.
func newWire(t testing.TB, c *kafkatest.Cluster) *wire {
	dial := c.Client(t).OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error))
	return &wire{dial: dial, before: func(kmsg.Key) {}, after: func(kmsg.Key) {}}
}

// dialer is how a client gets on the wire; lag is added to each answer's way.
func (w *wire) dialer(lag time.Duration) kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		if w.isCut() {
			return nil, errRefused
		}
		conn, err := w.dial(ctx, network, host)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.conns = append(w.conns, conn)
		return &end{Conn: conn, wire: w, lag: lag}, nil
	})
}

func (w *wire) isCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

// Cut ends all connections and lets no new one come.
func (w *wire) Cut() {
	w.mu.Lock()
	w.cut = true
	conns := w.conns
	w.conns = nil
	w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// Mend lets connections come again.
func (w *wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

// end is the stage's end of one connection.
type end struct {
	net.Conn
	wire *wire
	lag  time.Duration

	mu   sync.Mutex
	sent []kmsg.Key // requests that are not answered yet
	size []byte     // the part that has come of the next answer's size
	rest int        // bytes of the current answer that have not come yet
}

func (c *end) Write(b []byte) (int, error) {
	key := kmsg.Key(binary.BigEndian.Uint16(b[4:])) // a request is one write: size, then its key
	if key != kmsg.Heartbeat {
		c.wire.before(key)
	}
	if c.wire.isCut() {
		return 0, net.ErrClosed
	}
	c.mu.Lock()
	c.sent = append(c.sent, key)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *end) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		return n, err
	}
	time.Sleep(c.lag)
	for _, key := range c.answered(b[:n]) {
		if key != kmsg.Heartbeat {
			c.wire.after(key)
		}
	}
	if c.wire.isCut() {
		return 0, net.ErrClosed
	}
	return n, nil
}

// answered gives the requests whose answers begin in b. An answer is its size
// in four bytes, and so many bytes; answers come in the order of the requests.
func (c *end) answered(b []byte) (keys []kmsg.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(b) > 0 {
		if c.rest > 0 {
			n := min(c.rest, len(b))
			c.rest, b = c.rest-n, b[n:]
			continue
		}
		c.size = append(c.size, b[0])
		b = b[1:]
		if len(c.size) == 4 {
			c.rest, c.size = int(binary.BigEndian.Uint32(c.size)), nil
			keys = append(keys, c.sent[0])
			c.sent = c.sent[1:]
		}
	}
	return keys
}
