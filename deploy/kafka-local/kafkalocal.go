// Package kafkalocal runs a real Apache Kafka cluster for a test, and breaks it
// on request.
//
// What it promises to the test:
//
//   - When [Start] and [Cluster.Restart] return, every node that was asked for
//     is in the cluster and says so itself.
//   - [Cluster.Kill] is kill -9 to exactly one broker's process, and
//     [Cluster.Freeze] stops all its threads: nothing is flushed, nobody is told.
//   - After [Cluster.Close] no process is left, and none outlives a test binary
//     that dies (on Linux; elsewhere it has to be ended by hand).
//
// The brokers come from Maven jars through kafka.sh beside this file; where
// Java or Maven is absent, Start says so with [ErrAbsent].
package kafkalocal

import (
	"context"
	_ "embed" // the script and its pom travel with the test binary
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/worksights/halo-connector/internal/freeze"
)

//go:embed kafka.sh
var script []byte

//go:embed pom.xml
var pom []byte

// ErrAbsent says that this machine cannot run Kafka: no Java, or no Maven and
// no jars fetched before.
var ErrAbsent = errors.New("no Apache Kafka on this machine")

// exitAbsent is the script's exit code for that.
const exitAbsent = 69

// Cluster is a running cluster. Its nodes are numbered from 0; to Kafka, node i
// is broker i+1. Of one node there may be one call at a time.
type Cluster struct {
	dir        string
	properties string
	nodes      []*node
}

type node struct {
	client, controller int // ports
	secure             int // of the listener SECURE; 0: it has none
	process            *exec.Cmd
	gone               chan struct{} // closed when process has ended and was waited for
}

// Present is nil where this machine can run Kafka, and brings the jars here
// where they are not yet. Its error is [ErrAbsent], or says what went wrong.
func Present(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "kafkalocal-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := &Cluster{dir: dir}
	if err := c.unpack(); err != nil {
		return err
	}
	return c.fetch(ctx)
}

// Start runs nodes brokers (each is a controller too) on free loopback ports,
// with their data in dir, and returns when all of them are in the cluster.
// properties are lines for every node's server.properties; they win over the
// script's. Where some of them are of a listener SECURE, each node has one beside
// the one in clear: see [Cluster.Secure]. The first start on a machine downloads
// 43 MB.
//
// Canceling ctx ends the wait, not the cluster: that is for Close.
func Start(ctx context.Context, nodes int, dir string, properties ...string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, properties: strings.Join(properties, "\n")}
	if err := c.unpack(); err != nil {
		return nil, err
	}
	if err := c.fetch(ctx); err != nil {
		return nil, err
	}
	ports, err := freePorts(3 * nodes)
	if err != nil {
		return nil, err
	}
	secure := slices.ContainsFunc(properties, func(line string) bool { return strings.HasPrefix(line, "listener.name.secure.") })
	for i := range nodes {
		n := &node{client: ports[3*i], controller: ports[3*i+1]}
		if secure {
			n.secure = ports[3*i+2]
		}
		c.nodes = append(c.nodes, n)
	}
	for i := range c.nodes {
		if err := c.start(i); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	var all errgroup.Group
	for i := range c.nodes {
		all.Go(func() error { return c.awaitMembers(ctx, i, nodes) })
	}
	if err := all.Wait(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Brokers are the addresses of all nodes, dead or alive, as for KAFKA_BROKERS.
func (c *Cluster) Brokers() []string {
	all := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		all[i] = n.address()
	}
	return all
}

// Secure are the addresses of the listener SECURE of all nodes.
func (c *Cluster) Secure() []string {
	all := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		all[i] = loopback(n.secure)
	}
	return all
}

// Kill ends node i as a power cut would end its process, and returns when it
// is gone. Its data stays.
func (c *Cluster) Kill(i int) error {
	if err := c.signal(i, syscall.SIGKILL); err != nil {
		return err
	}
	<-c.nodes[i].gone
	return nil
}

// Freeze stops node i without ending it: its connections stay open and nobody
// answers on them. The state of a machine that swaps, or of a lost network.
func (c *Cluster) Freeze(i int) error { return c.tell(i, freeze.Process) }

// Thaw lets a frozen node go on, unaware of the time that passed.
func (c *Cluster) Thaw(i int) error { return c.tell(i, freeze.Thaw) }

// Restart stops node i in an orderly way where it still runs, starts it on its
// data and ports, and returns when it has joined again. It has then caught up
// with the cluster's metadata, not necessarily with every partition.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	if c.alive(i) {
		if err := c.signal(i, syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case <-c.nodes[i].gone:
		case <-ctx.Done():
			return fmt.Errorf("node %d does not stop: %w", i, context.Cause(ctx))
		}
	}
	if err := c.start(i); err != nil {
		return err
	}
	return c.awaitMembers(ctx, i, 1)
}

// Close kills what is left of the cluster and waits for it. The data stays in
// the directory. Closing twice is closing once.
func (c *Cluster) Close() error {
	var errs []error
	for i := range c.nodes {
		if c.alive(i) {
			errs = append(errs, c.Kill(i))
		}
	}
	return errors.Join(errs...)
}

func (n *node) address() string { return loopback(n.client) }

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func (c *Cluster) alive(i int) bool {
	n := c.nodes[i]
	if n.process == nil {
		return false
	}
	select {
	case <-n.gone:
		return false
	default:
		return true
	}
}

func (c *Cluster) signal(i int, s syscall.Signal) error {
	return c.tell(i, func(p *os.Process) error { return p.Signal(s) })
}

// tell does something to node i's process.
func (c *Cluster) tell(i int, do func(*os.Process) error) error {
	if !c.alive(i) {
		return fmt.Errorf("node %d does not run", i)
	}
	if err := do(c.nodes[i].process.Process); err != nil {
		return fmt.Errorf("node %d: %w", i, err)
	}
	return nil
}

func (c *Cluster) unpack() error {
	for name, text := range map[string][]byte{"kafka.sh": script, "pom.xml": pom} {
		if err := os.WriteFile(filepath.Join(c.dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) fetch(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "bash", filepath.Join(c.dir, "kafka.sh"), "lib").CombinedOutput()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == exitAbsent || errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: %s", ErrAbsent, strings.TrimSpace(string(out)))
	}
	if err != nil {
		return fmt.Errorf("jars of Kafka: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// start begins node i's process. The script replaces itself by the broker, so
// the process that we hold is the broker.
func (c *Cluster) start(i int) error {
	args := []string{filepath.Join(c.dir, "kafka.sh"), "run", c.dir, strconv.Itoa(i + 1)}
	for _, n := range c.nodes {
		arg := fmt.Sprintf("%d:%d", n.client, n.controller)
		if n.secure != 0 {
			arg += fmt.Sprintf(":%d", n.secure)
		}
		args = append(args, arg)
	}
	if err := os.MkdirAll(filepath.Dir(c.logFile(i)), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(c.logFile(i), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own copy of the descriptor
	cmd := exec.Command("bash", args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "KAFKA_LOCAL_PROPERTIES="+c.properties)
	cmd.SysProcAttr = notAnOrphan()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("node %d: %w", i, err)
	}
	n := c.nodes[i]
	n.process, n.gone = cmd, make(chan struct{})
	go func(gone chan struct{}) {
		defer close(gone)
		_ = cmd.Wait() // how it ended is of no interest: mostly by our own kill
	}(n.gone)
	return nil
}

func (c *Cluster) logFile(i int) string {
	return filepath.Join(c.dir, strconv.Itoa(i+1), "server.log")
}

// logTail is the end of node i's log, for an error that nobody could explain
// without it.
func (c *Cluster) logTail(i int) string {
	text, err := os.ReadFile(c.logFile(i))
	if err != nil {
		return err.Error()
	}
	const enough = 2000
	return string(text[max(0, len(text)-enough):])
}

// freePorts finds n ports that nobody listens on, below the range from which
// the kernel takes the ports of outgoing connections. From that range, a
// client's connection could sit on a killed broker's port when it comes back.
func freePorts(n int) ([]int, error) {
	const low, high, tries = 20_000, 30_000, 1000
	var ports []int
	taken := make(map[int]bool)
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		port := low + rand.IntN(high-low)
		if taken[port] {
			continue
		}
		taken[port] = true
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, low, high)
}

// pollEvery is how often a starting node is asked whether it is up.
const pollEvery = 100 * time.Millisecond
