// Package costtest tells what a process spends, for benchmarks and tests. On a
// machine that has other work too, processor time is the figure to go by.
package costtest

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// CPU is the processor time that this process has used, on all cores.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // of the arguments, which are right
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Peak is the most memory, in bytes, that the process pid (0: this one) ever
// had, or has had since [ResetPeak]. Only Linux tells; elsewhere it is 0.
func Peak(pid int) int64 {
	self := "self"
	if pid != 0 {
		self = fmt.Sprint(pid)
	}
	status, err := os.ReadFile("/proc/" + self + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kB int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kB); n == 1 {
			return kB << 10
		}
	}
	return 0
}

// ResetPeak lets [Peak] of this process count anew. Without the right to, the
// peak counts from the start of the process, and the log says so.
func ResetPeak(t testing.TB) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Log("the peak counts from the start of the process:", err)
	}
}
