package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// pool keeps the sessions of the engine. A session runs one statement at a
// time, so the pool's size is the number of statements in flight; one more
// session is kept aside for KILL QUERY, which must not wait for those it kills.
//
// A request finds every setting as the pool gives it, or as the request itself
// says: a session remembers what it was set to last, and is closed when a request
// may have changed it in another way.
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
	if err := s.exec(p.setStatement(nil, p.base, "")); err != nil {
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
	l := &lease{session: s, pool: p, tag: tag, stop: func() {}}
	err := s.exec(p.setStatement(s.set, set, tag))
	if err == nil {
		s.set = set
		err = s.use(database)
	} else {
		l.spoilt = true // some of them may be in force
	}
	if err != nil {
		l.release()
		return nil, err
	}
	l.stop = p.killWhenDone(ctx, tag)
	return l, nil
}

// use makes database the current one. A statement costs some tenths of a
// millisecond whatever it does, and nearly all requests are about one database.
// It may have been dropped and made again meanwhile: it is current by its name.
func (s *session) use(database string) error {
	if s.database == database {
		return nil
	}
	err := s.exec("USE " + quoteName(database))
	if err == nil {
		s.database = database
	}
	return err
}

// release gives the session back. First the watch must be over, or a late KILL
// meets the next request's statement.
func (l *lease) release() {
	l.stop()
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

// setStatement turns the settings that a request left into those that the next
// one wants, which nearly always are the same: a client sends its own with every
// request. DEFAULT means the value compiled into the engine, so what the pool
// itself sets is set again by value. The tag is new each time.
func (p *pool) setStatement(have, want []setting, tag string) string {
	var b strings.Builder
	b.WriteString("SET ")
	for _, old := range have {
		if old.name == "log_comment" || slices.ContainsFunc(want, func(kv setting) bool { return kv.name == old.name }) {
			continue // is set below
		}
		value := "DEFAULT"
		for _, own := range p.base {
			if own.name == old.name {
				value = quote(own.value)
			}
		}
		fmt.Fprintf(&b, "%s = %s, ", old.name, value)
	}
	for _, kv := range want {
		if kv.name == "log_comment" {
			tag += " " + kv.value
			continue
		}
		if !slices.Contains(have, kv) {
			fmt.Fprintf(&b, "%s = %s, ", kv.name, quote(kv.value))
		}
	}
	return b.String() + "log_comment = " + quote(tag)
}

var literal = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

func quote(s string) string { return "'" + literal.Replace(s) + "'" }

var identifier = strings.NewReplacer("\\", "\\\\", "`", "\\`")

func quoteName(s string) string { return "`" + identifier.Replace(s) + "`" }
