package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// scarce is a listener of a process whose descriptors are used up but for those
// that the reserve gives back.
type scarce struct {
	net.Listener
	l     *reserved
	short bool
}

func (s *scarce) Accept() (net.Conn, error) {
	s.l.mu.Lock()
	held := len(s.l.held)
	s.l.mu.Unlock()
	if s.short && held > 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	ours, theirs := net.Pipe()
	_ = theirs.Close()
	return ours, nil
}

func (s *scarce) Close() error { return nil }

func TestWithoutADescriptorLeftTheAdminPortLivesOnItsReserve(t *testing.T) {
	var log bytes.Buffer
	s := &scarce{}
	l := newReserved(s, slog.New(slog.NewTextHandler(&log, nil)))
	s.l = l
	if len(l.held) != reserve {
		t.Fatalf("%d descriptors are held: this proves nothing", len(l.held))
	}
	s.short = true
	for range 3 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if len(l.held) != 0 {
			t.Error("it was let in without the reserve being spent: this proves nothing")
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if len(l.held) != reserve {
			t.Errorf("afterwards %d descriptors are held", len(l.held))
		}
	}
	if !strings.Contains(log.String(), "no file descriptor left") {
		t.Errorf("nobody was told: %q", log.String())
	}
}

func TestTheShortageIsSaidOnceWhileItLasts(t *testing.T) {
	var log bytes.Buffer
	l := newReserved(&scarce{}, slog.New(slog.NewTextHandler(&log, nil)))
	for range 5 {
		l.spend()
	}
	if n := strings.Count(log.String(), "no file descriptor left"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
}

func TestTheAdminPortHasABoundOfConnections(t *testing.T) {
	s := &scarce{}
	l := newReserved(s, slog.New(slog.DiscardHandler))
	s.l = l
	conns := make([]net.Conn, most)
	for i := range conns {
		var err error
		if conns[i], err = l.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	next := make(chan error, 2)
	accept := func() { _, err := l.Accept(); next <- err }
	go accept()
	select {
	case err := <-next:
		t.Fatalf("one more than the bound was accepted: %v", err)
	default:
	}
	_ = conns[0].Close()
	_ = conns[0].Close() // gives back one place only
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	go accept()
	_ = l.Close()
	if err := <-next; !errors.Is(err, net.ErrClosed) {
		t.Errorf("an accept that waits when the listener is closed: %v", err)
	}
}
