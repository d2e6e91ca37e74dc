package ingest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/internal/costtest"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// contenderMark is the environment variable that makes a process of this test
// binary one of the two that a benchmark compares: "edge" or "naive", a broker
// the prefix of the topics and the number of tenants, with blanks between.
const contenderMark = "HALO_INGEST_CONTENDER"

func TestMain(m *testing.M) {
	if what := os.Getenv(contenderMark); what != "" {
		if err := contend(what, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// contend serves, says where, and tells its processor time whenever it is asked
// by a line, until in ends.
func contend(what string, in io.Reader, out io.Writer) error {
	f := strings.Fields(what)
	serve := map[string]func(context.Context, kafka.Config, schemas.Topics, int, net.Listener) error{"edge": serveEdge, "naive": serveNaive}[f[0]]
	if len(f) != 4 || serve == nil {
		return errors.New("want a contender, a broker, a prefix and a number of tenants")
	}
	tenants, err := strconv.Atoi(f[3])
	if err != nil {
		return err
	}
	if f[0] == "edge" {
		daemon.CollectSeldom(ingest.Memory) // as cmd/ingest does
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, kafka.Config{Brokers: f[1:2]}, schemas.NewTopics(f[2]), tenants, ln) }()
	fmt.Fprintln(out, ln.Addr())
	for asked := bufio.NewScanner(in); asked.Scan(); {
		fmt.Fprintln(out, int64(costtest.CPU()))
	}
	cancel()
	<-served
	return nil
}

// contender is such a process as the benchmark sees it.
type contender struct {
	pid  int
	addr string
	ask  io.Writer
	said *bufio.Scanner
}

func startContender(b testing.TB, name string, cfg kafka.Config, tenants int) *contender {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %d", contenderMark, name, cfg.Brokers[0], schemas.DefaultTopicPrefix, tenants))
	cmd.Stderr = os.Stderr
	ask, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ask.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("%s: %v", name, err)
		}
	})
	c := &contender{pid: cmd.Process.Pid, ask: ask, said: bufio.NewScanner(said)}
	c.addr = c.line(b)
	return c
}

func (c *contender) line(b testing.TB) string {
	b.Helper()
	if !c.said.Scan() {
		b.Fatal("the process ended")
	}
	return c.said.Text()
}

// cpu is the processor time that it has used.
func (c *contender) cpu(b testing.TB) time.Duration {
	b.Helper()
	if _, err := fmt.Fprintln(c.ask); err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseInt(c.line(b), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(n)
}
