//go:build synctests

package kafkatest

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Link is one process's way to the cluster. What happens to it happens to the
// process as others see it: they see nothing of it but its requests.
//
// A process is dead once its link is cut: nothing that it does reaches anybody,
// and nothing reaches it. It is frozen while its link is: what it sends is
// delivered when it thaws, however much the clients have given up by then. That
// is more than a stopped process does, whose clock stands still too; it makes the
// late request, which is the point, certain.
type Link struct {
	// At, where not nil, is told of each request before it is sent. Set it before
	// the link is used.
	At func(kmsg.Key)

	dial func(context.Context, string, string) (net.Conn, error)

	late atomic.Int64 // what each write takes beside Latency, in ns

	mu     sync.Mutex
	cut    bool
	thawed chan struct{} // closed when it is; nil: not frozen
	conns  []net.Conn
}

// Link returns a way to the cluster of its own. Its option comes after those of
// the cluster.
func (c *Cluster) Link() *Link { return &Link{dial: c.dial} }

// Opt makes a client use the link.
func (l *Link) Opt() kgo.Opt { return kgo.Dialer(l.connect) }

// Cut ends all connections, and there will be no others.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// Freeze holds everything back until Thaw.
func (l *Link) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.thawed == nil {
		l.thawed = make(chan struct{})
	}
}

// Thaw has what was held back delivered.
func (l *Link) Thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.thawed != nil {
		close(l.thawed)
		l.thawed = nil
	}
}

// Slow makes each request take that much longer from now on.
func (l *Link) Slow(by time.Duration) { l.late.Store(int64(by)) }

var errCut = errors.New("the process is cut off")

// wait returns when the link is not frozen.
func (l *Link) wait() error {
	l.mu.Lock()
	thawed, cut := l.thawed, l.cut
	l.mu.Unlock()
	if thawed != nil {
		<-thawed
		l.mu.Lock()
		cut = l.cut
		l.mu.Unlock()
	}
	if cut {
		return errCut
	}
	return nil
}

func (l *Link) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if err := l.wait(); err != nil {
		return nil, err
	}
	conn, err := l.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = conn.Close()
		return nil, errCut
	}
	l.conns = append(l.conns, conn)
	return &wire{Conn: conn, link: l, sending: make(chan struct{}, 1)}, nil
}

// wire is a connection of a link. kgo writes each request whole.
type wire struct {
	net.Conn
	link    *Link
	sending chan struct{} // holds a token while a request waits to be delivered
}

func (w *wire) Write(b []byte) (int, error) {
	if w.link.At != nil && len(b) > 6 {
		w.link.At(kmsg.Key(binary.BigEndian.Uint16(b[4:])))
	}
	w.sending <- struct{}{}
	defer func() { <-w.sending }()
	if err := w.link.wait(); err != nil {
		return 0, err
	}
	time.Sleep(Latency + time.Duration(w.link.late.Load())) // virtual
	return w.Conn.Write(b)
}

// SetWriteDeadline sets none: what was held back is delivered after it.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

func (w *wire) SetDeadline(t time.Time) error { return w.Conn.SetReadDeadline(t) }

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if gone := w.link.wait(); gone != nil {
		return 0, gone
	}
	return n, err
}

// Close leaves the connection open until what was held back is delivered.
func (w *wire) Close() error {
	w.link.mu.Lock()
	frozen := w.link.thawed != nil
	w.link.mu.Unlock()
	if !frozen {
		return w.Conn.Close()
	}
	go func() {
		w.sending <- struct{}{} // no mutex: a bubble's clock would stand still
		_ = w.Conn.Close()
	}()
	return nil
}
