package endtoend

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/freeze"
)

// process is one program of ours, which can be killed and started again.
type process struct {
	t      testing.TB
	name   string
	path   string
	args   []string
	env    []string
	health string // URL that answers 200 once it is ready
	log    string // file

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts the program. Its log is appended to one file over all its lives.
func (p *process) start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	// A test binary that is killed takes its programs along.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // most of them are killed
	}()
	p.cmd, p.ended = cmd, ended
}

// signal sends sig and waits until the process has ended.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig) // it may have ended on its own
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		p.t.Errorf("%s did not end within 30 s of %v", p.name, sig)
		_ = cmd.Process.Kill()
		<-ended
	}
}

func (p *process) kill()   { p.signal(syscall.SIGKILL) }
func (p *process) freeze() { p.t.Helper(); p.must(freeze.Process(p.cmd.Process)) }
func (p *process) thaw()   { p.t.Helper(); p.must(freeze.Thaw(p.cmd.Process)) }

func (p *process) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Errorf("%s: %v", p.name, err)
	}
}

// stop ends the process as a supervisor does, and returns its exit status and
// how long it took.
func (p *process) stop() (status int, took time.Duration) {
	p.t.Helper()
	began := time.Now()
	p.signal(syscall.SIGTERM)
	return p.cmd.ProcessState.ExitCode(), time.Since(began)
}

// dead reports whether the process ended.
func (p *process) dead() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// ready waits until the process says that it is.
func (p *process) ready() {
	p.t.Helper()
	await(p.t, 60*time.Second, p.name+" ready", func() error {
		if p.dead() {
			return fmt.Errorf("it ended; its log ends: %s", p.tail())
		}
		return p.unready()
	})
}

// unready is why the process is not ready, by its own account; nil when it is.
func (p *process) unready() error {
	resp, err := http.Get(p.health)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var why bytes.Buffer
		_, _ = why.ReadFrom(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, why.String())
	}
	return nil
}

// tail is the end of the process's log.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

func (s *stack) process(name string, port int, args, env []string) *process {
	return s.processAs(name, name, port, args, env)
}

// processAs is process for a second one of a program, with a log of its own.
func (s *stack) processAs(name, logName string, port int, args, env []string) *process {
	p := &process{
		t: s.t, name: name, path: program(name), args: args, env: slices.Concat(s.env, env),
		health: fmt.Sprintf("http://127.0.0.1:%d/readyz", port), log: filepath.Join(s.dir, "log", logName+".log"),
	}
	s.ours = append(s.ours, p)
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("the log of %s ends:\n%s", logName, p.tail())
		}
	})
	return p
}
