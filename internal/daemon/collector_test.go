package daemon_test

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/worksights/halo-connector/internal/daemon"
)

func TestWhatAnOperatorSaysOfTheCollectorStays(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) })
	for _, c := range []struct {
		gogc       int
		memory     int64
		wantGOGC   int
		wantMemory int64
	}{
		{100, math.MaxInt64, 400, 1 << 28},
		{50, math.MaxInt64, 50, 1 << 28},
		{-1, 1 << 30, -1, 1 << 30},
		{100, 1 << 30, 400, 1 << 30},
	} {
		debug.SetGCPercent(c.gogc)
		debug.SetMemoryLimit(c.memory)
		daemon.CollectSeldom(1 << 28)
		if gogc, memory := debug.SetGCPercent(100), debug.SetMemoryLimit(-1); gogc != c.wantGOGC || memory != c.wantMemory {
			t.Errorf("GOGC %d, GOMEMLIMIT %d: became %d, %d", c.gogc, c.memory, gogc, memory)
		}
	}
}
