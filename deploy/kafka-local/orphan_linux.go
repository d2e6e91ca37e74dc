package kafkalocal

import "syscall"

// notAnOrphan has the kernel kill the broker when we die: a test that panics or
// runs into its time limit calls no Close. The kernel means the thread that
// started the process; Go ends a thread only with a goroutine that locked it,
// so do not start a cluster from such a one.
func notAnOrphan() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
