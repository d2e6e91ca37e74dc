//go:build !linux

package engine

import "syscall"

// dieWithParent leaves it to the child to notice: its standard input ends with
// the parent.
func dieWithParent() *syscall.SysProcAttr { return nil }
