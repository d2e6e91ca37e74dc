package daemon

import (
	"math"
	"runtime/debug"
)

// seldom is the collector's target in percent. At the runtime's 100 a heap of a
// few megabytes is collected twenty-five times a second under load, which is a
// tenth of what a delivery costs.
const seldom = 400

// CollectSeldom lets garbage grow to four times of what is alive, in a program
// whose live data are few megabytes, until all its memory comes near limit,
// in bytes: from there on it is collected as it comes. What an operator says
// with GOGC or GOMEMLIMIT stays.
func CollectSeldom(limit int64) {
	if percent := debug.SetGCPercent(seldom); percent != 100 {
		debug.SetGCPercent(percent)
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(limit)
	}
}
