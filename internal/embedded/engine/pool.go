package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// pool keeps the sessions of the engine. A session runs one statement at a
// time, so the pool's size is the number of statements in flight; one more
// session is kept aside for KILL QUERY, which must not wait for those it kills.
//
// A session that comes back has every setting as it left: the pool resets what
// a request set, and closes a session that a request may have changed in
// another way.
type pool struct {
	lib  *clib
	args []string
	base []setting // in force in every session
	log  *slog.Logger

	idle chan *session // nil entries: a session to be opened on demand
	open sync.Mutex    // guards connecting and closing: signal handlers are process-wide

	killing sync.Mutex
	killer  *session
}

// setting is one ClickHouse setting by name.
type setting struct{ name, value string }

// newPool starts the engine by opening its first session.
func newPool(lib *clib, args []string, base []setting, size int, log *slog.Logger) (*pool, error) {
	p := &pool{lib: lib, args: args, base: base, log: log, idle: make(chan *session, size)}
	killer, err := p.connect()
	if err != nil {
		return nil, err
	}
	p.killer = killer
	for range size {
		p.idle <- nil
	}
	return p, nil
}

func (p *pool) connect() (*session, error) {
	p.open.Lock()
	defer p.open.Unlock()
	var s *session
	err := guardSignals(func() (err error) {
		s, err = p.lib.open(p.args)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.exec(setStatement(p.base)); err != nil {
		p.lib.closeConn(s.conn)
		return nil, err
	}
	return s, nil
}

func (p *pool) discard(s *session) {
	p.open.Lock()
	defer p.open.Unlock()
	_ = guardSignals(func() error { s.close(); return nil })
}

// lease is a session on loan to one request.
type lease struct {
	*session
	pool   *pool
	tag    string
	set    []setting
	spoilt bool // may not go back
	stop   func()
}

// acquire waits for a session and prepares it: current database, the request's
// settings, and a tag by which the statement is killed when ctx ends first.
func (p *pool) acquire(ctx context.Context, tag, database string, set []setting) (*lease, error) {
	var s *session
	select {
	case s = <-p.idle:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s == nil {
		var err error
		if s, err = p.connect(); err != nil {
			p.idle <- nil
			return nil, err
		}
	}
	l := &lease{session: s, pool: p, tag: tag, set: set, stop: func() {}}
	comment := tag
	for _, kv := range set {
		if kv.name == "log_comment" {
			comment = tag + " " + kv.value
		}
	}
	err := s.exec(setStatement(append(set[:len(set):len(set)], setting{"log_comment", comment})))
	if err == nil {
		err = s.exec("USE " + quoteName(database))
	}
	if err != nil {
		l.release()
		return nil, err
	}
	l.stop = p.killWhenDone(ctx, tag)
	return l, nil
}

// release resets the session and gives it back. The order matters: first the
// watch must be over, or a late KILL meets the next request's statement.
func (l *lease) release() {
	l.stop()
	if !l.spoilt && len(l.set) > 0 {
		if err := l.exec(l.pool.resetStatement(l.set)); err != nil {
			l.spoilt = true
		}
	}
	if l.spoilt {
		l.pool.discard(l.session)
		l.pool.idle <- nil
		return
	}
	l.pool.idle <- l.session
}

// killRetry is the pause between two KILLs of one statement: the first may come
// before the statement is in the process list.
const killRetry = 50 * time.Millisecond

// killWhenDone watches ctx until the returned function is called, which waits
// for the watcher.
func (p *pool) killWhenDone(ctx context.Context, tag string) (stop func()) {
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		for {
			p.kill(tag)
			select {
			case <-over:
				return
			case <-time.After(killRetry):
			}
		}
	}()
	return func() { close(over); <-gone }
}

func (p *pool) kill(tag string) {
	p.killing.Lock()
	defer p.killing.Unlock()
	err := p.killer.exec("KILL QUERY WHERE startsWith(Settings['log_comment'], " + quote(tag) + ") ASYNC")
	if err != nil {
		p.log.Warn("a statement of a client that went away could not be killed", "code", codeOf(err))
	}
}

// close waits for all sessions to come back, at most until ctx is done, and
// closes them; the last one stops the engine. It reports whether it got so far.
// (chdb_shutdown, which would join the library's threads too, fails now and then
// with tables open, and a process that exits has no use for it.)
func (p *pool) close(ctx context.Context) bool {
	for range cap(p.idle) {
		select {
		case s := <-p.idle:
			if s != nil {
				p.discard(s)
			}
		case <-ctx.Done():
			return false
		}
	}
	p.killing.Lock()
	defer p.killing.Unlock()
	p.discard(p.killer)
	return true
}

func setStatement(set []setting) string {
	var b strings.Builder
	for i, kv := range set {
		sep := ", "
		if i == 0 {
			sep = "SET "
		}
		fmt.Fprintf(&b, "%s%s = %s", sep, kv.name, quote(kv.value))
	}
	return b.String()
}

// resetStatement undoes setStatement. DEFAULT means the value compiled into the
// engine, so what the pool itself sets is set again by value.
func (p *pool) resetStatement(set []setting) string {
	var b strings.Builder
	for i, kv := range set {
		sep, value := ", ", "DEFAULT"
		if i == 0 {
			sep = "SET "
		}
		for _, own := range p.base {
			if own.name == kv.name {
				value = quote(own.value)
			}
		}
		fmt.Fprintf(&b, "%s%s = %s", sep, kv.name, value)
	}
	return b.String()
}

var literal = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

func quote(s string) string { return "'" + literal.Replace(s) + "'" }

var identifier = strings.NewReplacer("\\", "\\\\", "`", "\\`")

func quoteName(s string) string { return "`" + identifier.Replace(s) + "`" }
