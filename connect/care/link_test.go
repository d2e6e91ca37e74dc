//go:build synctests

package care_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafkatest"
)

// A moment is when, of a step, an instance is cut off.
type moment int

const (
	never  moment = iota
	before        // the step does not happen
	after         // the step happens, and the instance never learns of it
)

// link is one instance's way to the world: its connections to Kafka, and the
// switch that its calls to Halo ask. Once it is cut nothing that the instance
// does reaches anybody, and nothing reaches the instance: what kill -9, or a
// pulled cable, looks like from outside.
type link struct {
	network *kfake.VirtualNetwork

	// step is asked before each step of the instance that others can see: a
	// call of Halo by its name, "produce" for a write to Kafka.
	step func(name string) moment

	mu    sync.Mutex
	gone  bool
	conns []net.Conn
	dead  chan struct{} // closed with the cut
}

var errCut = errors.New("the instance is cut off")

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return
	}
	l.gone = true
	close(l.dead)
	for _, c := range l.conns {
		c.Close()
	}
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// at says what is to become of a step, and cuts where it is the last one.
func (l *link) at(name string) moment {
	if l.isCut() {
		return before
	}
	if l.step == nil {
		return never
	}
	m := l.step(name)
	if m == before {
		l.cut()
	}
	return m
}

func (l *link) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if l.isCut() {
		return nil, errCut
	}
	conn, err := l.network.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conn)
	return &wire{conn, l}, nil
}

// wire is a connection to Kafka. kgo writes each request whole.
type wire struct {
	net.Conn
	link *link
}

func (w *wire) Write(b []byte) (int, error) {
	time.Sleep(kafkatest.Latency) // virtual
	if w.link.isCut() {
		return 0, errCut
	}
	m := never
	if len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == uint16(kmsg.Produce) {
		m = w.link.at("produce")
	}
	if m == before {
		return 0, errCut
	}
	n, err := w.Conn.Write(b)
	if m == after {
		time.Sleep(kafkatest.Latency) // for the broker to have it
		w.link.cut()
	}
	return n, err
}
