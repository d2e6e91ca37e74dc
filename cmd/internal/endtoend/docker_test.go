//go:build integration

package endtoend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// dockerAnswers is nil where a Docker daemon answers. It asks itself and does
// not wait for long: libraries wait for ever on a daemon that accepts
// connections and says nothing.
func dockerAnswers(ctx context.Context) error {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	u, err := url.Parse(host)
	if err != nil {
		return fmt.Errorf("DOCKER_HOST: %w", err)
	}
	network, addr := "tcp", u.Host
	if u.Scheme == "unix" {
		network, addr = "unix", u.Path
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var dialer net.Dialer
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

func TestADaemonThatSaysNothingIsNoDocker(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	began := time.Now()
	if err := dockerAnswers(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("given up after %v, want two seconds", took)
	}
}

// containers are engines that the program beside these tests runs.
type containers struct {
	brokers    string
	clickhouse url.URL
	native     string

	mu      sync.Mutex
	orders  io.Writer
	answers *bufio.Reader
}

// startContainers starts the engines that are asked for; nil where none is.
func (s *stack) startContainers(kafka, clickhouse bool) *containers {
	s.t.Helper()
	if !kafka && !clickhouse {
		return nil
	}
	program := filepath.Join(bin, "docker")
	build := exec.CommandContext(s.t.Context(), "go", "build", "-C", "docker", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		s.t.Fatalf("building the program that runs containers: %v: %s", err, out)
	}
	c, args := &containers{}, []string(nil)
	if kafka {
		args = append(args, fmt.Sprintf("-kafka=%d", s.offset+9092))
	}
	if clickhouse {
		args = append(args, fmt.Sprintf("-clickhouse-http=%d", s.offset+8123), fmt.Sprintf("-clickhouse-native=%d", s.offset+nativePort))
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		orders.Close() // which ends it, and its containers with it
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("the program that runs containers: %v", err)
		}
	})
	c.orders, c.answers = orders, bufio.NewReader(answers)
	var at struct{ Host string }
	line, err := c.answers.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		s.t.Fatalf("the containers did not start: %v", err)
	}
	c.brokers = fmt.Sprintf("%s:%d", at.Host, s.offset+9092)
	// As the program gave it to the server.
	user := url.UserPassword("test", "test")
	c.clickhouse = url.URL{Scheme: "http", User: user, Host: fmt.Sprintf("%s:%d", at.Host, s.offset+8123)}
	native := url.URL{Scheme: "clickhouse", User: user, Host: fmt.Sprintf("%s:%d", at.Host, s.offset+nativePort), Path: "/" + s.database}
	c.native = native.String()
	return c
}

// nativePort is ClickHouse's, among the ports that a stack shifts.
const nativePort = 9000

// container is an engine in a container, to be broken.
type container struct {
	stack  *stack
	of     *containers
	engine string
}

func (c container) kill()   { c.order("kill") }
func (c container) start()  { c.order("start") }
func (c container) freeze() { c.order("freeze") }
func (c container) thaw()   { c.order("thaw") }

func (c container) order(what string) {
	t := c.stack.t
	t.Helper()
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if _, err := fmt.Fprintln(c.of.orders, c.engine, what); err != nil {
		t.Fatal(err)
	}
	answer, err := c.of.answers.ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "ok" {
		t.Fatalf("%s %s: %s%v", what, c.engine, answer, err)
	}
}

func (c container) ready() {
	c.stack.t.Helper()
	await(c.stack.t, 90*time.Second, c.engine+" answers", func() error {
		if c.engine == "clickhouse" {
			_, err := c.stack.trySQL("default", "SELECT 1")
			return err
		}
		ctx, cancel := context.WithTimeout(c.stack.t.Context(), 3*time.Second)
		defer cancel()
		cl := c.stack.kafkaClient()
		defer cl.Close()
		return cl.Ping(ctx)
	})
}
