//go:build !linux

package kafkalocal

import "syscall"

// notAnOrphan has nothing to ask for: only Linux ties a child to its parent.
func notAnOrphan() *syscall.SysProcAttr { return nil }
