package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// errMute is the end of a child that reported nothing.
var errMute = errors.New("the engine's child process ended before it was ready: does the program call engine.Child first?")

// errKilled is the end of a child that a signal ended before it reported.
var errKilled = errors.New("the engine's child process was killed before it was ready")

// starts is how often a child may be killed at the start of the parent. What it
// said itself is final. But who killed it (the kernel, short of memory; a person)
// may let the next one live.
const starts = 3

// supervise keeps one child running until ctx is done. The outcome of the start
// goes to first; if it failed there is no further one.
func (e *Engine) supervise(ctx context.Context, first chan<- error) {
	defer e.closing()
	// The kernel kills the child when the thread that started it ends, not the
	// process: this goroutine keeps its thread for as long as there is a child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	pause, told := firstPause, false
	for n := 0; ; n++ {
		began := time.Now()
		err := e.runChild(ctx, func(version string) {
			e.log.Info("embedded engine ready", "addr", e.Addr(), "clickhouse", version, "took", time.Since(began), "restarts", n)
			if !told {
				told = true
				first <- nil
			}
		})
		if ctx.Err() != nil {
			e.left = err
			return
		}
		if !told && (!errors.Is(err, errKilled) || n+1 == starts) {
			first <- err
			return
		}
		if time.Since(began) > steady {
			pause = firstPause
		}
		e.setHealth(fmt.Errorf("the engine is down and starts again in %v: %w", pause, err), 0)
		e.log.Error("embedded engine ended", "err", err, "again_in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, longPause)
	}
}

// runChild runs one child to its end. It calls ready when the child answers.
// When ctx is done it asks the child to end, and kills it if it does not.
func (e *Engine) runChild(ctx context.Context, ready func(version string)) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find our own executable: %w", err)
	}
	socket, err := e.ln.File()
	if err != nil {
		return fmt.Errorf("hand over the listener: %w", err)
	}
	defer socket.Close()
	reports, reportsChild, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer reports.Close()
	defer reportsChild.Close()

	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childMark+"=1")
	cmd.ExtraFiles = []*os.File{socket, reportsChild} // listenerFD, reportFD
	cmd.SysProcAttr = dieWithParent()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the child: %w", err)
	}
	_ = reportsChild.Close()
	lines := make(chan struct{})
	go func() {
		defer close(lines)
		e.forward(stderr)
	}()

	// Asked to end, a child has its grace; then it is killed.
	over := make(chan struct{})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		_ = stdin.Close()
		select {
		case <-over:
		case <-time.After(grace + time.Second):
			_ = cmd.Process.Kill()
		}
	}()

	rep, err := e.converse(stdin, reports)
	if err == nil {
		e.setHealth(nil, cmd.Process.Pid)
		ready(rep.Version)
	} else {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
	}
	<-lines
	ended := cmd.Wait()
	close(over)
	<-asked
	if err != nil {
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && errors.Is(err, errMute) && status.Signaled() {
			return fmt.Errorf("%w: %w", errKilled, ended)
		}
		return err
	}
	switch {
	case ended == nil && ctx.Err() != nil:
		return nil
	case ended == nil:
		ended = errors.New("it left without being asked")
	}
	return fmt.Errorf("the engine's child process: %w", ended)
}

// converse gives the child its order and reads its report.
func (e *Engine) converse(stdin io.Writer, reports io.Reader) (report, error) {
	o := order{Library: e.cfg.Library, Dir: e.cfg.Dir, Memory: e.cfg.Memory, Users: e.cfg.Users, Extra: e.cfg.Extra, Sessions: sessions, Patience: patience}
	if err := json.NewEncoder(stdin).Encode(o); err != nil {
		return report{}, fmt.Errorf("%w (give it its order: %w)", errMute, err)
	}
	var rep report
	if err := json.NewDecoder(reports).Decode(&rep); err != nil {
		return report{}, errMute
	}
	switch {
	case rep.Locked:
		return rep, fmt.Errorf("%s: %w", e.cfg.Dir, ErrLocked)
	case rep.Error != "":
		return rep, errors.New(rep.Error)
	}
	return rep, nil
}

// forward logs what the child says on its standard error: a line of our own,
// or the last words of the library.
func (e *Engine) forward(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(make([]byte, 4<<10), 1<<20)
	for lines.Scan() {
		e.log.Warn("embedded engine says", "line", lines.Text())
	}
	_, _ = io.Copy(io.Discard, stderr)
}
