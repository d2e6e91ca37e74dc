package endtoend

import (
	"slices"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/daemon"
)

func TestAnOrderlyRestartUnderLoadLosesNothingAndEndsInTime(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	l := s.connected("orderly", 10).underLoad(8, 4*time.Millisecond)
	for range 2 {
		for _, p := range s.stages() {
			pause(t, 500*time.Millisecond)
			if status, took := p.stop(); status != 0 || took > daemon.DefaultDrain {
				t.Errorf("%s: exit status %d, %v after SIGTERM; want 0 within %v", p.name, status, took, daemon.DefaultDrain)
			} else {
				t.Logf("%s ended after %v", p.name, took.Round(time.Millisecond))
			}
			p.start()
			p.ready()
		}
	}
	l.seen(500)
	l.stop()
	l.settled()
	t.Log(l)
	for _, p := range slices.Backward(s.ours) { // the engines were first and go last
		if status, took := p.stop(); status != 0 || took > daemon.DefaultDrain {
			t.Errorf("%s: exit status %d, %v after SIGTERM; want 0 within %v", p.name, status, took, daemon.DefaultDrain)
		}
	}
}
