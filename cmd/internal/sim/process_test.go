//go:build synctests

package sim

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
)

// process is one program of ours. What it is to the others is what comes over
// its link: cut, it is dead; held back, it is frozen.
type process struct {
	name string
	// begin starts it. What it starts ends with ctx; end waits for that.
	begin func(l *life) (end func(), err error)

	*life
	frozen bool
	clock  atomic.Int64 // by how much it is ahead, in ns
}

// drift is how far apart two clocks of ours are at most: NTP's care, and what the
// answer to a mapping allows for.
const drift = 10 * time.Millisecond

func (p *process) now() time.Time { return time.Now().Add(time.Duration(p.clock.Load())) }

// life is a process from one start to the next kill.
type life struct {
	ctx    context.Context
	cancel context.CancelFunc
	link   *kafkatest.Link
	kafka  kafka.Config
	opts   []kgo.Opt
	log    *slog.Logger
	reg    *prometheus.Registry
	ended  sync.WaitGroup

	mu    sync.Mutex
	dead  bool
	broke bool // a part of it ended by itself, and with it, in production, the process
}

// alive says whether what this life did still reaches anybody.
func (l *life) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dead
}

func (w *world) start(p *process) {
	ctx, cancel := context.WithCancel(context.Background())
	link := w.Link()
	p.clock.Store(int64(between(w.rng, -drift/2, drift/2)))
	own := w.Config
	own.ClientID = p.name
	l := &life{
		ctx: ctx, cancel: cancel, link: link, kafka: own, log: w.log.With("process", p.name), reg: prometheus.NewRegistry(),
		opts: append(append([]kgo.Opt{}, w.Opts...), link.Opt()),
	}
	end, err := p.begin(l)
	if err != nil {
		w.t.Fatalf("start %s: %v", p.name, err)
	}
	p.life, p.frozen = l, false
	l.ended.Go(func() { <-ctx.Done(); end() })
}

// kill is kill -9: from now on nothing of it is seen. What it was doing ends by
// itself, unseen.
func (w *world) kill(p *process) {
	l := p.life
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
	l.link.Thaw()
	l.link.Cut()
	l.cancel()
	w.dead = append(w.dead, l)
	p.life, p.frozen = nil, false
}

func (p *process) up() bool { return p.life != nil }

func (p *process) String() string {
	switch {
	case !p.up():
		return fmt.Sprintf("%s (dead)", p.name)
	case p.frozen:
		return fmt.Sprintf("%s (frozen)", p.name)
	}
	return p.name
}
