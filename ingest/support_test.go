package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/schemas"
)

const (
	demoSecret  = "correct horse battery staple, forty-three ch"
	demoWebhook = "c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5"
)

func demoConnection() schemas.Connection {
	id := schemas.ConnectionIDOf("demo")
	return schemas.Connection{
		ID: id, Tenant: "demo", WebhookID: demoWebhook,
		Verifiers:     []schemas.Verifier{schemas.NewVerifier(id, demoSecret)},
		Notifications: map[int64]schemas.Kind{57: schemas.StatusChanged},
	}
}

// connectionOf is a tenant's connection, with the secret that all of them have.
func connectionOf(tenant schemas.Tenant) schemas.Connection {
	c := demoConnection()
	c.ID, c.Tenant = schemas.ConnectionIDOf(tenant), tenant
	c.Verifiers = []schemas.Verifier{schemas.NewVerifier(c.ID, demoSecret)}
	return c
}

// tenant is the i-th of many.
func tenant(i int) schemas.Tenant { return schemas.Tenant(fmt.Sprint("tenant", i)) }

// memory is a table of one connection, which may change when it catches up, and of
// others, which do not.
type memory struct {
	mu         sync.RWMutex
	connection schemas.Connection
	others     map[string]schemas.Connection
	later      *schemas.Connection             // what the next catch-up brings
	catchUp    func(ctx context.Context) error // nil: at once
	asked      int
}

func (m *memory) Get(id string) (schemas.Connection, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if id == string(m.connection.ID) {
		return m.connection, true
	}
	c, ok := m.others[id]
	return c, ok
}

// add adds n tenants.
func (m *memory) add(n int) {
	m.others = make(map[string]schemas.Connection, n)
	for i := range n {
		c := connectionOf(tenant(i))
		m.others[string(c.ID)] = c
	}
}

func (m *memory) CatchUp(ctx context.Context) error {
	m.mu.Lock()
	m.asked++
	wait := m.catchUp
	m.mu.Unlock()
	if wait != nil {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.later != nil {
		m.connection, m.later = *m.later, nil
	}
	return nil
}

// tape is a log in memory.
type tape struct {
	mu      sync.Mutex
	events  []schemas.Event
	refused []schemas.Refused
	reached []schemas.Reached
	append  func(ctx context.Context) error // is given the caller's patience; nil: keeps at once
}

func (l *tape) Append(ctx context.Context, events []schemas.Event, patience time.Duration) error {
	if l.append != nil {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := l.append(ctx); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, events...)
	return nil
}

func (l *tape) Note(r schemas.Refused) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, r)
}

func (l *tape) Reached(r schemas.Reached) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reached = append(l.reached, r)
}

func (l *tape) notes() []schemas.Refused {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.refused)
}

func (l *tape) kept() []schemas.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// bench is an edge with everything around it in reach.
type bench struct {
	table *memory
	log   *tape
	said  *bytes.Buffer // the log file
	reg   *prometheus.Registry
	edge  *ingest.Edge
}

func newBench(t testing.TB, cfg ingest.Config) *bench {
	t.Helper()
	b := &bench{table: &memory{connection: demoConnection()}, log: &tape{}, said: &bytes.Buffer{}, reg: prometheus.NewRegistry()}
	edge, err := ingest.New(cfg, b.table, b.log, slog.New(slog.NewTextHandler(b.said, &slog.HandlerOptions{Level: slog.LevelDebug})), b.reg)
	if err != nil {
		t.Fatal(err)
	}
	b.edge = edge
	return b
}

// count reads a counter of halo_ingest_deliveries_total.
func (b *bench) count(t testing.TB, result string) int {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "halo_ingest_deliveries_total" && m.GetLabel()[0].GetValue() == result {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	t.Fatalf("there is no result %q", result)
	return 0
}

// serve runs the edge on a network in memory, until the test ends. It works in
// a bubble.
func (b *bench) serve(t testing.TB) (dial func() net.Conn, stop func() error) {
	t.Helper()
	ln := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	served := make(chan struct{})
	go func() {
		defer close(served)
		err = b.edge.Run(ctx, ln)
	}()
	stop = func() error {
		cancel()
		<-served
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	dial = func() net.Conn {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = ours.Close() })
		select {
		case ln.conns <- theirs:
			return ours
		case <-ln.closed:
			t.Fatal("the listener is closed")
			return nil
		}
	}
	return dial, stop
}

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// request is a genuine delivery of body; tests then break it.
func request(body string) *http.Request {
	return requestOf(strings.NewReader(body))
}

func requestOf(body io.Reader) *http.Request {
	id := string(demoConnection().ID)
	r, err := http.NewRequest(http.MethodPost, "http://edge/v1/webhooks/halo/"+id, body)
	if err != nil {
		panic(err)
	}
	r.SetBasicAuth(id, demoSecret)
	return r
}

// by makes the request one of another tenant.
func by(t schemas.Tenant, r *http.Request) *http.Request {
	id := string(schemas.ConnectionIDOf(t))
	r.URL.Path = "/v1/webhooks/halo/" + id
	r.SetBasicAuth(id, demoSecret)
	return r
}

// answer is what the edge said.
type answer struct {
	status int
	header http.Header
	body   string
	closes bool // the connection ends with it
}

// head is a request up to the end of its header, announcing length bytes.
func head(authorization string, length string) string {
	return "POST /v1/webhooks/halo/" + string(demoConnection().ID) + " HTTP/1.1\r\nHost: edge\r\n" +
		"Authorization: " + authorization + "\r\n" + length + "\r\n\r\n"
}

func authorization(secret string) string {
	r := request("")
	r.SetBasicAuth(string(demoConnection().ID), secret)
	return r.Header.Get("Authorization")
}

func readAnswer(t testing.TB, conn net.Conn) answer {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body), res.Close}
}

// send makes one request over a connection of its own.
func send(t testing.TB, dial func() net.Conn, r *http.Request) answer {
	t.Helper()
	conn := dial()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = r.Write(conn) // who is refused early does not get rid of his body
	}()
	a := readAnswer(t, conn)
	_ = conn.Close()
	<-written
	return a
}
