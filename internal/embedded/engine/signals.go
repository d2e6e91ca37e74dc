package engine

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// lastSignal is the highest ordinary signal on Linux and macOS.
const lastSignal = 31

// sigactionSize holds a struct sigaction of any platform (152 bytes with glibc,
// 16 on macOS).
const sigactionSize = 256

// guardSignals runs f and then puts back every signal handler that f changed.
//
// The library resets the handlers of SIGSEGV and others when it connects, even
// where it was told to install none. Go's runtime lives by its own: without
// them the next nil dereference in the child ends the process without a word.
// Callers serialise, for handlers belong to the process.
func guardSignals(f func() error) error {
	sigaction, err := purego.Dlsym(purego.RTLD_DEFAULT, "sigaction")
	if err != nil {
		return fmt.Errorf("look up sigaction: %w", err)
	}
	var saved [lastSignal + 1][sigactionSize]byte
	var ok [lastSignal + 1]bool
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&saved)
	for sig := range ok {
		r, _, _ := purego.SyscallN(sigaction, uintptr(sig), 0, uintptr(unsafe.Pointer(&saved[sig])))
		ok[sig] = sig != 0 && int32(r) == 0
	}
	err = f()
	for sig := range ok {
		if ok[sig] {
			purego.SyscallN(sigaction, uintptr(sig), uintptr(unsafe.Pointer(&saved[sig])), 0)
		}
	}
	return err
}
