package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Config says where the engine keeps its data and listens.
type Config struct {
	// Dir is the data directory. It is made with mode 0700.
	Dir string
	// Addr is host:port on loopback; port 0 takes a free one.
	Addr string
	// Library is the path of libchdb.so, "" to look for it: see [FindLibrary].
	Library string
	// Memory caps what the engine allocates, in bytes; 0 is [DefaultMemory].
	Memory int64
	// Users is what a server calls users.xml. Its user "default" is who every
	// statement runs as. "" is one who may do everything but manage access.
	Users string
	// Extra is put into what a server calls config.xml: macros, a keeper. For
	// tests of what one engine can show of a server with replicas.
	Extra string
}

// DefaultMemory leaves room under 1 GB for the four stages and the broker. The
// engine's program text, some 200 MB of mapped file, counts towards it.
const DefaultMemory = 512 << 20

// sessions is the number of statements that run at a time. The stages need two
// (the sink's insert and a query of the control plane); the rest is for people.
const sessions = 4

// patience is how long a start waits for the child of a killed parent to leave
// the data directory: a child ends within [grace] of losing its parent.
const patience = 2 * grace

// ErrNotLoopback refuses an address that other machines could reach.
var ErrNotLoopback = errors.New("the embedded engine listens on loopback only: it has no users and its SQL can read local files")

// Engine is a running engine. Its address stays the same, whatever becomes of
// the child that answers there.
type Engine struct {
	cfg  Config
	log  *slog.Logger
	lock *os.File
	ln   *net.TCPListener

	end  context.CancelFunc
	done chan struct{} // the supervisor has ended

	mu     sync.Mutex
	health error
	pid    int
	left   error // how the last child left when it was asked to
}

var errStarting = errors.New("the engine is starting")

// Start starts the engine and returns when it answers. ctx bounds the start
// only; the engine runs until [Engine.Close].
//
// Errors: [ErrNotLoopback]; [ErrNoLibrary]; [ErrLocked] when another process
// uses cfg.Dir; what the operating system says to the address or the directory;
// what the engine says to the data.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (_ *Engine, err error) {
	if cfg.Memory == 0 {
		cfg.Memory = DefaultMemory
	}
	addr, err := loopback(cfg.Addr)
	if err != nil {
		return nil, err
	}
	if cfg.Library, err = FindLibrary(cfg.Library); err != nil {
		return nil, err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("engine directory: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("engine directory: %w", err)
	}
	e := &Engine{cfg: cfg, log: log, done: make(chan struct{}), health: errStarting}
	if e.lock, err = lock(filepath.Join(cfg.Dir, "parent.lock")); err != nil {
		return nil, err
	}
	// The parent binds and every child inherits the socket. So the address
	// survives a crash: who connects meanwhile waits in the backlog.
	if e.ln, err = bind(ctx, addr, cfg.Dir); err != nil {
		_ = e.lock.Close()
		return nil, fmt.Errorf("engine address: %w", err)
	}
	life, end := context.WithCancel(context.Background())
	e.end = end
	first := make(chan error, 1)
	go e.supervise(life, first)
	select {
	case err = <-first:
	case <-ctx.Done():
		err = fmt.Errorf("start the engine: %w", ctx.Err())
	}
	if err != nil {
		_ = e.Close()
		return nil, err
	}
	return e, nil
}

// bind listens on addr. The child of a parent that was killed holds the socket
// as it holds the data, until it has left: a supervisor that starts us again at
// once must not find our own port taken.
func bind(ctx context.Context, addr *net.TCPAddr, dir string) (*net.TCPListener, error) {
	left, err := lockWithin(ctx, filepath.Join(dir, "child.lock"), patience)
	if err != nil {
		return nil, err
	}
	_ = left.Close()
	// A process that ends gives up its files one after the other, and the lock
	// may be the first. Somebody else's port is still taken a moment later.
	const moment = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	again := time.NewTicker(moment / 20)
	defer again.Stop()
	for {
		ln, err := net.ListenTCP("tcp", addr)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return ln, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

func loopback(addr string) (*net.TCPAddr, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("engine address: %w", err)
	}
	// No lookup: a name may resolve to one address now and another later.
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("engine address %s: %w", addr, ErrNotLoopback)
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("engine address: %w", err)
	}
	if !tcp.IP.IsLoopback() {
		return nil, fmt.Errorf("engine address %s: %w", addr, ErrNotLoopback)
	}
	return tcp, nil
}

// Addr is host:port of the HTTP interface.
func (e *Engine) Addr() string { return e.ln.Addr().String() }

// DSN is what clickhouse-go takes for the connector's database. The database
// itself is made by the migrations.
func (e *Engine) DSN() string { return "http://" + e.Addr() + "/worksights" }

// Health is nil while a child answers, else the reason why none does.
func (e *Engine) Health() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.health
}

func (e *Engine) setHealth(err error, pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.health, e.pid = err, pid
}

// Close ends the child in order, killing what it still runs, and releases the
// address and the directory. It takes [grace] at most; its error says that the
// child left otherwise, which harms no data. It may be called more than once.
func (e *Engine) Close() error {
	e.end()
	<-e.done
	return e.left
}

// closing is what the supervisor leaves last.
func (e *Engine) closing() {
	e.setHealth(errors.New("the engine is closed"), 0)
	_ = e.ln.Close()
	_ = e.lock.Close()
	close(e.done)
}

// Restart pauses: a crash is followed at once by a new child. One that keeps
// crashing, say because a client repeats the query that kills it, is started
// ever less often, but never so rarely that a stage's own retries give up.
const (
	firstPause = 50 * time.Millisecond
	longPause  = 2 * time.Second
	steady     = 5 * time.Second // a child that lived so long starts the count anew
)
