package ingest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/internal/costtest"
	"github.com/worksights/halo-connector/internal/embedded/broker"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// The edge as a process of its own, over loopback, against the embedded broker
// in this one, which sends too. cpu-µs/op is the processor time of the edge, its
// Kafka client included; all-cpu-µs/op that of both processes. The naive handler
// beside it is measured in the same way.
func BenchmarkEdge18K(b *testing.B)  { benchmarkAlone(b, "edge", 18<<10, 0) }
func BenchmarkEdge2K(b *testing.B)   { benchmarkAlone(b, "edge", 2<<10, 0) }
func BenchmarkNaive18K(b *testing.B) { benchmarkAlone(b, "naive", 18<<10, 0) }
func BenchmarkNaive2K(b *testing.B)  { benchmarkAlone(b, "naive", 2<<10, 0) }

// The same with 100,000 tenants, whose deliveries come in turn.
func BenchmarkEdge2KOf100000(b *testing.B) { benchmarkAlone(b, "edge", 2<<10, 100_000) }

func benchmarkAlone(b *testing.B, name string, size, tenants int) {
	cfg, _ := benchBroker(b)
	c := startContender(b, name, cfg, tenants)
	b.ReportAllocs() // of the sender and the broker
	as := credentials(tenants)
	ours, theirs := costtest.CPU(), c.cpu(b)
	post(b, c.addr, size, as)
	ours, theirs = costtest.CPU()-ours, c.cpu(b)-theirs
	perOp := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(b.N) }
	b.ReportMetric(perOp(theirs), "cpu-µs/op")
	b.ReportMetric(perOp(ours+theirs), "all-cpu-µs/op")
}

// serveEdge serves an edge until ctx is done.
func serveEdge(ctx context.Context, cfg kafka.Config, topics schemas.Topics, tenants int, ln net.Listener) error {
	silent, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	cl, err := kafka.NewProducer(cfg, silent, reg)
	if err != nil {
		return err
	}
	defer cl.Close()
	table := &memory{connection: demoConnection()}
	table.add(tenants)
	edge, err := ingest.New(ingest.Config{}, table, ingest.NewKafkaLog(cl, topics, reg), silent, reg)
	if err != nil {
		return err
	}
	return edge.Run(ctx, ln)
}

// serveNaive serves what an afternoon gives: the standard library and the
// client's defaults.
func serveNaive(ctx context.Context, cfg kafka.Config, topics schemas.Topics, _ int, ln net.Listener) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		return err
	}
	defer cl.Close()
	connection := demoConnection()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, ok := r.BasicAuth(); !ok || !connection.Verify(schemas.Secret(password), time.Now()) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		var in struct {
			EscMsgID  string    `json:"escmsg_id"`
			Event     string    `json:"event"`
			ObjectID  uint64    `json:"object_id"`
			AgentID   uint64    `json:"agent_id"`
			Timestamp time.Time `json:"timestamp"`
			Ticket    struct {
				ID       uint64 `json:"id"`
				AgentID  uint64 `json:"agent_id"`
				StatusID int32  `json:"status_id"`
			} `json:"ticket"`
			Action struct {
				ID      uint64 `json:"id"`
				WhoType int    `json:"who_type"`
				AgentID uint64 `json:"who_agentid"`
			} `json:"action"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		value, err := json.Marshal(in)
		if err != nil {
			http.Error(w, "internal", http.StatusInternalServerError)
			return
		}
		if err := cl.ProduceSync(r.Context(), &kgo.Record{Topic: topics.Events, Key: []byte(connection.Tenant), Value: value}).FirstErr(); err != nil {
			http.Error(w, "unavailable", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]int{"events": 1, "skipped": 0})
	})}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	return srv.Serve(ln)
}

// benchEdge serves an edge in this process until the benchmark ends.
func benchEdge(b *testing.B) (addr string) {
	cfg, topics := benchBroker(b)
	ln := listen(b)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serveEdge(ctx, cfg, topics, 0, ln) }()
	b.Cleanup(func() { cancel(); <-served })
	return ln.Addr().String()
}

// benchBroker is the broker of the local mode, with its topics.
func benchBroker(b testing.TB) (kafka.Config, schemas.Topics) {
	silent := slog.New(slog.DiscardHandler)
	local, err := broker.Start(b.Context(), broker.Config{Dir: b.TempDir(), Addr: "127.0.0.1:0"}, silent)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = local.Close() })
	cfg, topics := kafka.Config{Brokers: []string{local.Addr()}}, schemas.NewTopics(schemas.DefaultTopicPrefix)
	cl, err := kafka.NewProducer(cfg, silent, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	if err := kafka.EnsureTopics(b.Context(), cl, topics.Specs(), broker.TopicOptions()); err != nil {
		b.Fatal(err)
	}
	return cfg, topics
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return ln
}

// post sends b.N deliveries of about size bytes over a few kept connections,
// with a sender that costs next to nothing. They are the demo tenant's, or those
// of the tenants whose credentials are given, in turn.
func post(b *testing.B, addr string, size int, as []credential) {
	const senders = 16
	var next atomic.Uint64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range senders {
		wg.Go(func() {
			s, err := newSender(addr, size)
			if err != nil {
				b.Error(err)
				return
			}
			defer s.conn.Close()
			for i := next.Add(1); i <= uint64(b.N); i = next.Add(1) {
				if len(as) > 0 {
					s.as(as[i%uint64(len(as))])
				}
				if err := s.send(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

// credential is how a tenant's deliveries prove themselves; all are of one length.
type credential struct{ id, authorization string }

func credentials(tenants int) []credential {
	all := make([]credential, tenants)
	for i := range all {
		r := by(tenant(i), request(""))
		all[i] = credential{string(schemas.ConnectionIDOf(tenant(i))), r.Header.Get("Authorization")}
	}
	return all
}

// sender posts deliveries over one connection.
type sender struct {
	conn   net.Conn
	out    []byte
	serial int // where the number of the delivery stands, so that no two are the same event
	in     [4096]byte

	id, authorization int // where they stand
}

func newSender(addr string, size int) (*sender, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	body := demoDelivery(size)
	request := head(authorization(demoSecret), fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d", len(body))) + body
	return &sender{conn: conn, out: []byte(request), serial: strings.Index(request, demoSerial)}, nil
}

// as makes the next delivery one of another tenant.
func (s *sender) as(c credential) {
	demo := string(demoConnection().ID)
	if s.id == 0 {
		s.id = bytes.Index(s.out, []byte(demo))
		s.authorization = bytes.Index(s.out, []byte("Basic "))
	}
	copy(s.out[s.id:], c.id)
	copy(s.out[s.authorization:], c.authorization)
}

// send returns once the delivery is answered 200.
func (s *sender) send(number uint64) error {
	var digits [8]byte
	binary.BigEndian.PutUint64(digits[:], number)
	hex.Encode(s.out[s.serial:], digits[2:])
	if _, err := s.conn.Write(s.out); err != nil {
		return err
	}
	n, err := s.conn.Read(s.in[:]) // both handlers answer in one segment
	if err != nil || !bytes.HasPrefix(s.in[:n], []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %q, %w", s.in[:n], err)
	}
	return nil
}

const demoSerial = "0a1b2c3d4e5f"

// demoDelivery is a full object, with a text that fills it up to size.
func demoDelivery(size int) string {
	const form = `{"id":"5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11","webhook_id":"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5","notification_id":57,` +
		`"escmsg_id":"d41f7b90-aac1-f111-9a10-` + demoSerial + `","event":"ticket status changed","message":"Ticket 1337 was changed",` +
		`"object_id":1337,"agent_id":3,"timestamp":"2026-10-02T14:03:27.4410387Z","ticket":{"id":1337,"summary":"Printer",` +
		`"status_id":9,"tickettype_id":25,"client_id":1,"team_id":5,"agent_id":3,"customfields":[],"hasbeenclosed":true,"details":"%s"},` +
		`"action":{"id":4,"ticket_id":1337,"who_type":1,"who_agentid":12,"old_status":2,"new_status":9,"note":"done"}}`
	const line = `the third floor printer says \"PC LOAD LETTER\" again, and nobody knows why.\r\n`
	return fmt.Sprintf(form, strings.Repeat(line, max(0, size-len(form))/len(line)))
}
