// Package freeze stops a process without ending it: its connections stay open
// and nobody answers on them. To those who talk to it that is the state of a
// machine that swaps, or of a lost network.
package freeze

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// patience is how long a process may take to stand still. It needs no more than
// a few milliseconds of a processor.
const patience = 10 * time.Second

// Process freezes p, and returns once none of its threads runs. Where there is
// no Linux to tell, it returns once p was told. One that has ended is
// [os.ErrProcessDone].
//
// The signal alone is not enough. It goes to one thread, which stops the others
// when its turn comes; on a busy machine that takes milliseconds, and meanwhile
// the others answer.
func Process(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze process %d: %w", p.Pid, err)
	}
	if runtime.GOOS != "linux" {
		return nil
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		running, err := moving(p.Pid)
		if err != nil {
			return fmt.Errorf("freeze process %d: %w", p.Pid, err)
		}
		if !running {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("freeze process %d: it runs on after %v", p.Pid, patience)
		}
	}
}

// Thaw lets a frozen process go on, unaware of the time that passed.
func Thaw(p *os.Process) error {
	if err := p.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("thaw process %d: %w", p.Pid, err)
	}
	return nil
}

// moving reports whether a thread of the process runs or may run.
func moving(pid int) (bool, error) {
	tasks := filepath.Join("/proc", strconv.Itoa(pid), "task")
	threads, err := os.ReadDir(tasks)
	if errors.Is(err, fs.ErrNotExist) {
		return false, os.ErrProcessDone
	}
	if err != nil {
		return false, err
	}
	ended := 0
	for _, t := range threads {
		stat, err := os.ReadFile(filepath.Join(tasks, t.Name(), "stat"))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
			ended++ // between the list and now
			continue
		case err != nil:
			return false, err
		}
		switch state(stat) {
		case 'T', 't': // stopped, by a signal or a debugger
		case 'Z', 'X':
			ended++
		default:
			return true, nil
		}
	}
	if ended == len(threads) {
		return false, os.ErrProcessDone
	}
	return false, nil
}

// state is the state of a thread in its stat file, "pid (name) state …" as
// proc(5) has it, where the name may hold anything.
func state(stat []byte) byte {
	after := stat[bytes.LastIndexByte(stat, ')')+1:]
	if len(after) < 2 {
		return 'X'
	}
	return after[1]
}
