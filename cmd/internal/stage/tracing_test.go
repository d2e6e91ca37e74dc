package stage

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

// spans is a collector that keeps what it is sent.
type spans struct {
	mu  sync.Mutex
	all []*otlp.Span
	raw bytes.Buffer
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(b, &req) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(b)
	for _, resource := range req.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			s.all = append(s.all, scope.Spans...)
		}
	}
}

func TestATraceFollowsADeliveryToItsRowAndHoldsIdsOnly(t *testing.T) {
	traces := &spans{}
	collect := httptest.NewServer(traces)
	t.Cleanup(collect.Close)
	h := newHouse(t, config.Tracing{TraceEndpoint: collect.URL, TraceRatio: 1})
	h.deliver(`"summary":"MARKER in the summary","agent_id":7`)
	h.deliver(`"summary":"MARKER in the summary","agent_id":8`) // nobody is mapped: a skip
	h.settled(2)
	h.stop() // which sends the last spans

	byTrace := map[string][]string{}
	for _, span := range traces.all {
		id := hex.EncodeToString(span.TraceId)
		byTrace[id] = append(byTrace[id], span.Name)
	}
	if len(byTrace) != 2 {
		t.Errorf("%d traces of two deliveries: %v", len(byTrace), byTrace)
	}
	for _, outcome := range []string{"halo.activities", "halo.skipped"} {
		way := []string{"delivery", "halo.events publish", "halo.events receive", outcome + " publish", outcome + " receive", "append"}
		found := false
		for _, names := range byTrace {
			slices.Sort(names)
			want := slices.Clone(way)
			slices.Sort(want)
			found = found || slices.Equal(names, want)
		}
		if !found {
			t.Errorf("no trace goes the way %v: %v", way, byTrace)
		}
	}
	for _, content := range []string{"MARKER", "hunter2"} {
		if bytes.Contains(traces.raw.Bytes(), []byte(content)) {
			t.Errorf("%s is in what was sent to the collector", content)
		}
	}
	rows := 0
	for _, span := range traces.all {
		for _, a := range span.Attributes {
			if span.Name == "append" && a.Key == "event" {
				if _, err := schemas.ParseID(a.Value.GetStringValue()); err != nil {
					t.Errorf("the row that was appended: %v", err)
				}
				rows++
			}
		}
	}
	if rows != 2 {
		t.Errorf("%d traces say which row they end in, want 2", rows)
	}
	if !bytes.Contains(traces.raw.Bytes(), []byte("acme")) {
		t.Error("the tenant is not in the traces: a search of them proves nothing")
	}
}

// It lasts as long as the component waits for a collector, two seconds.
func TestACollectorThatHangsMakesNoFailureOfACleanStop(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	collect := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	t.Cleanup(collect.Close)
	t.Cleanup(func() { close(release) })
	var log bytes.Buffer
	traces, component, err := follow(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), config.Tracing{TraceEndpoint: collect.URL, TraceRatio: 1}, "test")
	if err != nil {
		t.Fatal(err)
	}
	_, span := traces.Tracer().Start(t.Context(), "delivery")
	span.End()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := component.Run(ctx); err != nil {
		t.Errorf("the stop failed: %v", err)
	}
	select {
	case <-asked:
	default:
		t.Error("the collector was not asked: this proves nothing")
	}
	if !strings.Contains(log.String(), "traces are not sent") {
		t.Errorf("nothing is said of the spans: %q", log.String())
	}
}

// What ingest does not follow, nobody does: a trace that begins in the middle
// answers no question, and at each stage there would be more of them.
func TestNoStageBehindTheEdgeBeginsATrace(t *testing.T) {
	traces := &spans{}
	collect := httptest.NewServer(traces)
	t.Cleanup(collect.Close)
	h := newHouse(t, config.Tracing{TraceEndpoint: collect.URL, TraceRatio: 1})
	event := schemas.Event{
		ID: schemas.ID{1}, Tenant: "acme", Connection: schemas.ConnectionIDOf("acme"), Kind: schemas.Kinds()[0], Ticket: 1, Assignee: 7,
		EventTime: time.UnixMilli(1), OccurredAt: schemas.Truncate(time.Now()), ReceivedAt: schemas.Truncate(time.Now()),
	}
	h.cluster.Produce(t, kafka.Record(h.topics.Events, "acme", schemas.EventSchema, event.AppendJSON(nil)))
	h.settled(1)
	h.stop()
	for _, span := range traces.all {
		t.Errorf("%s of a record that carries no trace", span.Name)
	}
}

func TestWithoutAnEndpointRecordsCarryNoTrace(t *testing.T) {
	h := newHouse(t, config.Tracing{})
	h.deliver(`"agent_id":7`)
	h.settled(1)
	for _, topic := range []string{h.topics.Events, h.topics.Activities} {
		for _, r := range h.cluster.Records(t, topic) {
			for _, header := range r.Headers {
				if header.Key != schemas.HeaderSchema {
					t.Errorf("%s: header %s", topic, header.Key)
				}
			}
		}
	}
}

// house is the three stages of the data path in this process, with one tenant
// whose agent 7 is mapped.
type house struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	topics  schemas.Topics
	url     string
	secret  schemas.Secret
	count   func() uint64
	sent    int
	stop    func()
}

func newHouse(t *testing.T, tracing config.Tracing) *house {
	t.Helper()
	h := &house{t: t, cluster: kafkatest.New(t), topics: schemas.NewTopics("halo."), secret: "hunter2"}
	h.cluster.CreateTopics(t, h.topics, 1)
	log := slog.New(slog.DiscardHandler)
	dsn := clickhousetest.FreshDatabase(t, clickhousetest.DSN(t))
	if err := clickhouse.Migrate(t.Context(), dsn, 25, log); err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	h.count = func() (n uint64) {
		if err := conn.QueryRow(context.Background(), "SELECT count() FROM outcomes_log").Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}

	id := schemas.ConnectionIDOf("acme")
	connection := schemas.Connection{ID: id, Tenant: "acme", Verifiers: []schemas.Verifier{schemas.NewVerifier(id, h.secret)}}
	mapping := schemas.Mapping{Tenant: "acme", Agent: 7}.Assign("user-7", time.Now().Add(-time.Hour), "")
	h.cluster.Produce(t,
		kafka.Record(h.topics.Connections, string(id), schemas.ConnectionSchema, connection.AppendJSON(nil)),
		kafka.Record(h.topics.Mappings, mapping.Key(), schemas.MappingSchema, mapping.AppendJSON(nil)))

	addr := freeAddr(t)
	h.url = "http://" + addr + "/v1/webhooks/halo/" + string(id)
	reach := config.Kafka{KafkaBrokers: h.cluster.Config.Brokers, TopicPrefix: "halo."}
	weights := config.Weights{WeightTicketLogged: 1, WeightStatusChanged: 1, WeightUpdatedByAgent: 1, WeightUpdatedByUser: 0.25}
	var stops []func()
	for _, assemble := range []func(context.Context, *slog.Logger, *prometheus.Registry) ([]daemon.Component, error){
		func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
			return Sink(ctx, config.Sink{
				KafkaGroup: "sink", ClickHouse: config.ClickHouse{ClickHouseDSN: config.DSN(dsn)},
				Batch: config.Batch{BatchRows: 100, BatchWait: 10 * time.Millisecond}, Kafka: reach, Tracing: tracing,
			}, log, reg)
		},
		func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
			return Processor(ctx, config.Processor{KafkaGroup: "processor", Weights: weights, Kafka: reach, Tracing: tracing}, log, reg)
		},
		func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
			return Ingest(ctx, config.Ingest{ListenAddr: addr, Kafka: reach, Tracing: tracing}, log, reg)
		},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- daemon.Run(ctx, daemon.Config{Program: "test", LogLevel: "error", LogFormat: "text"}, assemble)
		}()
		stops = append(stops, func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("a stage ended with %v", err)
			}
		})
	}
	h.stop = sync.OnceFunc(func() {
		for _, stop := range slices.Backward(stops) {
			stop()
		}
	})
	t.Cleanup(h.stop)
	return h
}

// deliver posts a ticket that was logged, with more members of the ticket.
func (h *house) deliver(members string) {
	h.t.Helper()
	h.sent++
	body := fmt.Sprintf(`{"id":"5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c%02d","event":"New Ticket Logged","object_id":%d,"ticket":{"id":%d,%s}}`, h.sent, h.sent, h.sent, members)
	h.until("the delivery is taken", func() bool {
		req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url, strings.NewReader(body))
		if err != nil {
			h.t.Fatal(err)
		}
		req.SetBasicAuth(h.url[strings.LastIndex(h.url, "/")+1:], h.secret.Reveal())
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false // not listening yet
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
			h.t.Fatalf("answered %s", resp.Status)
		}
		return resp.StatusCode == http.StatusOK
	})
}

func (h *house) settled(rows uint64) {
	h.t.Helper()
	h.until("the rows are there", func() bool { return h.count() == rows })
}

func (h *house) until(what string, cond func() bool) {
	h.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-patience.C:
			h.t.Fatalf("waited 30 s in vain until %s", what)
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
