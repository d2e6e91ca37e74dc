package daemon

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
)

const (
	// most bounds the connections to the admin listener: Prometheus, a probe and
	// somebody who looks have one each.
	most = 16
	// reserve is how many descriptors are kept for it: one for the connection,
	// the others for what a scrape reads of the process itself.
	reserve = 4
)

// reserved is a listener that can still be reached when the process has no
// descriptor left. Deliveries hold on to those that they have and go on; the
// one place that could tell somebody would be deaf.
type reserved struct {
	net.Listener
	log    *slog.Logger
	slots  chan struct{}
	closed chan struct{}
	end    sync.Once

	mu   sync.Mutex
	held []*os.File
	said bool
}

func newReserved(ln net.Listener, log *slog.Logger) *reserved {
	l := &reserved{Listener: ln, log: log, slots: make(chan struct{}, most), closed: make(chan struct{})}
	l.refill()
	return l
}

// Accept spends the reserve where there is no other descriptor, and lets no more
// than most connections be open at once.
func (l *reserved) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := l.Listener.Accept()
		switch {
		case err == nil:
			return &admitted{Conn: conn, of: l}, nil
		case exhausted(err) && l.spend():
			continue
		}
		<-l.slots
		return nil, err
	}
}

// Close also ends an Accept that waits for a connection to go.
func (l *reserved) Close() error {
	l.end.Do(func() {
		close(l.closed)
		l.spendQuietly()
	})
	return l.Listener.Close()
}

func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// spend gives the reserve away; false: there was none.
func (l *reserved) spend() bool {
	spent := l.spendQuietly()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.said {
		l.said = true
		l.log.Error("the process has no file descriptor left; new connections wait, and this port lives on a reserve: raise the limit (ulimit -n)")
	}
	return spent
}

func (l *reserved) spendQuietly() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	spent := len(l.held) > 0
	for _, f := range l.held {
		_ = f.Close() // nothing was written
	}
	l.held = nil
	return spent
}

// refill takes descriptors back as far as there are any. Once there is one more
// than those, the next shortage is another one, and is said: the reserve itself is
// whole after each connection that lived on it.
func (l *reserved) refill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		return
	default:
	}
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		if len(l.held) == reserve {
			_ = f.Close() // nothing was written
			break
		}
		l.held = append(l.held, f)
	}
	l.said = false
}

// admitted is a connection that gives its place back.
type admitted struct {
	net.Conn
	of   *reserved
	once sync.Once
}

func (c *admitted) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.of.refill()
		<-c.of.slots
	})
	return err
}
