package endtoend

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/worksights/halo-connector/internal/embedded/engine"
	"github.com/worksights/halo-connector/internal/freeze"
)

// breakable is an engine as a test sees it that breaks it, whoever runs it.
type breakable interface {
	kill()   // at once: nothing is flushed, nobody is told
	start()  // again, on its data
	freeze() // alive, and answering nobody
	thaw()
	ready() // returns once it serves
}

// engines are Kafka and ClickHouse of one stack.
type engines struct {
	brokers    string   // as for KAFKA_BROKERS
	properties []string //nolint:unused // further ones of brokers of our own; set under the tag integration
	// rights is the environment by which a stage comes to Kafka as itself; nil:
	// all come in clear, and may do anything.
	rights       func(stage string) []string
	prefix       string  // as for TOPIC_PREFIX
	clickhouseAt url.URL // its HTTP interface, with user and password
	native       string  // DSN of its native protocol, "" where it has none
	database     string

	// nil: it was given to us and is not ours to break.
	kafka, clickhouse breakable
}

// dsn is as for CLICKHOUSE_DSN.
func (e *engines) dsn(database string) string {
	u := e.clickhouseAt
	u.Path = "/" + database
	return u.String()
}

// startEmbedded starts both embedded engines, as bin/local --engines-only.
func (s *stack) startEmbedded() {
	s.t.Helper()
	s.brokers = s.addr(9092)
	s.clickhouseAt = url.URL{Scheme: "http", Host: s.addr(8123)}
	local := s.process("local", s.offset+9090, []string{"--engines-only"}, nil)
	local.start()
	local.ready()
	s.kafka, s.clickhouse = local, clickhouseChild{s, local}
	b, err := os.ReadFile(filepath.Join(s.data, "api-token"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.token, _, _ = strings.Cut(string(b), "\n")
}

// clickhouseMark is the environment variable that makes a process of this test
// binary the embedded ClickHouse alone. Its value is the address.
const clickhouseMark = "HALO_ENDTOEND_CLICKHOUSE"

// serveClickHouse is the process that startClickHouse starts.
func serveClickHouse() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	e, err := engine.Start(starting, engine.Config{
		Dir: filepath.Join(os.Getenv("DATA_DIR"), "clickhouse"), Addr: os.Getenv(clickhouseMark), Library: os.Getenv("LIBCHDB_PATH"),
	}, log)
	if err != nil {
		log.Error("embedded ClickHouse", "err", err)
		return 1
	}
	<-ctx.Done()
	if err := e.Close(); err != nil {
		log.Error("embedded ClickHouse", "err", err)
		return 1
	}
	return 0
}

// clickhouseChild is the embedded ClickHouse: the child of a process that
// starts another one when it dies.
type clickhouseChild struct {
	stack  *stack
	parent *process
}

func (c clickhouseChild) kill()   { c.child("killed", (*os.Process).Kill) }
func (c clickhouseChild) start()  {} // the parent does
func (c clickhouseChild) freeze() { c.child("frozen", freeze.Process) }
func (c clickhouseChild) thaw()   { c.child("thawed", freeze.Thaw) }

func (c clickhouseChild) ready() {
	c.stack.t.Helper()
	c.parent.ready()
	await(c.stack.t, 60*time.Second, "ClickHouse answers", func() error {
		_, err := c.stack.trySQL(c.stack.database, "SELECT 1")
		return err
	})
}

// child does something to the child that lives now.
func (c clickhouseChild) child(done string, do func(*os.Process) error) {
	c.stack.t.Helper()
	await(c.stack.t, 60*time.Second, "ClickHouse "+done, func() error {
		pid, err := childOf(c.parent.cmd.Process.Pid)
		if err != nil {
			return err
		}
		child, err := os.FindProcess(pid)
		if err != nil {
			return err
		}
		return do(child)
	})
}

// childOf is the only child of a process.
func childOf(parent int) (int, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", parent))
	if err != nil {
		return 0, err
	}
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", parent, task.Name()))
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(b)) {
			return strconv.Atoi(f)
		}
	}
	return 0, fmt.Errorf("process %d has no child", parent)
}
