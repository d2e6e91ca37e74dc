package console

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/worksights/halo-connector/internal/control"
)

// work is something that takes longer than an answer should: a connect asks
// Halo a dozen things. It goes on when the browser leaves, and who comes back
// finds it where it is.
type work struct {
	Name    string // connect, reconnect or refresh
	Typed   control.Credentials
	Started time.Time
	step    atomic.Int32 // at which a connect is; -1 while that is not known
	done    chan struct{}
	err     error     // after done
	ended   time.Time // after done
}

// forgotten is how long the end of a work is remembered: a person comes back to
// a page within minutes.
const forgotten = 10 * time.Minute

// swift is how long an answer waits for a work to end, so that one which ends
// at once shows no page of its steps.
const swift = 400 * time.Millisecond

// begin starts a work for the visit's tenant, unless one of that name is under
// way, and returns the one that is. An error means that the console is stopping.
func (v *visit) begin(name string, typed control.Credentials, do func(context.Context) error) (*work, error) {
	g, key := &v.c.work, string(v.tenant)+"/"+name
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return nil, control.ErrUnavailable
	}
	if w := g.work[key]; w != nil && !w.Over() {
		return w, nil
	}
	ctx, cancel := context.WithTimeout(g.ctx, control.Patience)
	typed.ClientSecret = ""
	w := &work{Name: name, Typed: typed, Started: v.now, done: make(chan struct{})}
	w.step.Store(-1)
	ctx = control.WithProgress(ctx, func(step string) { w.step.Store(int32(slices.Index(control.ConnectSteps(), step))) })
	for k, old := range g.work {
		if old.Over() && v.now.Sub(old.ended) > forgotten {
			delete(g.work, k)
		}
	}
	g.work[key] = w
	now := v.c.cfg.Now
	g.wait.Go(func() {
		defer cancel()
		w.err = do(ctx)
		w.ended = now()
		close(w.done)
	})
	return w, nil
}

// stop cuts off what is under way and waits for it. The API completes or undoes
// what it was asked; only the page's knowledge of it is lost.
func (g *registry) stop() {
	g.mu.Lock()
	g.over = true
	g.cancel()
	g.mu.Unlock()
	g.wait.Wait()
}

// under is the tenant's work of a name that is under way, or ended a while ago.
func (v *visit) under(name string) *work {
	g := &v.c.work
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.work[string(v.tenant)+"/"+name]
	if w == nil || w.Over() && v.now.Sub(w.ended) > forgotten {
		return nil
	}
	return w
}

// drop forgets a work that ended, so that its end is told once.
func (v *visit) drop(name string) {
	g := &v.c.work
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.work[string(v.tenant)+"/"+name]; w != nil && w.Over() {
		delete(g.work, string(v.tenant)+"/"+name)
	}
}

// Over reports whether it ended.
func (w *work) Over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// shortly waits a moment for the end.
func (w *work) shortly(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, swift)
	defer cancel()
	select {
	case <-w.done:
	case <-ctx.Done():
	}
}

// Refusal is what the API said when it failed.
func (w *work) Refusal() *control.Refusal {
	if !w.Over() || w.err == nil {
		return nil
	}
	if r, ok := errors.AsType[*control.Refusal](w.err); ok {
		return r
	}
	return control.Refuse(503, "unavailable", "The connector did not answer. Look at the integration page before you try again: it may have gone through.")
}
