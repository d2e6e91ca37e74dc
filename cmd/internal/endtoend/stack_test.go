package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// stack is the whole connector as processes, with a simulated Halo beside it.
type stack struct {
	t      testing.TB
	dir    string
	offset int
	env    []string

	engines, ingest, processor, sink, connect *process

	token string
	http  *http.Client
}

// newStack starts engines and stages on ports of its own and waits until all
// are ready. env is added to every program's environment.
func newStack(t testing.TB, env ...string) *stack {
	t.Helper()
	s := &stack{t: t, dir: t.TempDir(), offset: freeOffset(t)}
	s.http = &http.Client{Timeout: 70 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	t.Cleanup(s.http.CloseIdleConnections)
	if err := os.Mkdir(filepath.Join(s.dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(s.dir, "data")
	s.env = append([]string{
		"DATA_DIR=" + data,
		fmt.Sprintf("PORT_OFFSET=%d", s.offset),
		"KAFKA_BROKERS=" + s.addr(9092),
		"CLICKHOUSE_DSN=http://" + s.addr(8123) + "/worksights",
		"KEYSET_FILE=" + filepath.Join(data, "keyset.json"),
		"API_TOKENS_FILE=" + filepath.Join(data, "api-tokens"),
		"PUBLIC_INGEST_URL=http://" + s.addr(8080),
		"HALO_ALLOW_NETS=127.0.0.0/8",
		"LOG_LEVEL=debug",
		"RATE_LIMIT=0",
	}, env...)
	s.engines = s.process("local", s.offset+9090, []string{"--engines-only"}, nil)
	s.ingest = s.stage("ingest", 9101, "LISTEN_ADDR="+s.addr(8080))
	s.processor = s.stage("processor", 9102)
	s.sink = s.stage("sink", 9103)
	s.connect = s.stage("connect", 9104, "LISTEN_ADDR="+s.addr(8081))

	s.engines.start()
	s.engines.ready()
	b, err := os.ReadFile(filepath.Join(data, "api-token"))
	if err != nil {
		t.Fatal(err)
	}
	s.token, _, _ = strings.Cut(string(b), "\n")
	for _, p := range s.stages() {
		p.start()
	}
	for _, p := range s.stages() {
		p.ready()
	}
	return s
}

func (s *stack) stages() []*process {
	return []*process{s.ingest, s.processor, s.sink, s.connect}
}

func (s *stack) stage(name string, admin int, env ...string) *process {
	return s.stageAs(name, name, admin, env...)
}

func (s *stack) stageAs(name, logName string, admin int, env ...string) *process {
	return s.processAs(name, logName, s.offset+admin, nil, append([]string{"ADMIN_ADDR=" + s.addr(admin)}, env...))
}

func (s *stack) addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", s.offset+port) }

// freeOffset finds an offset at which all of our ports are free.
func freeOffset(t testing.TB) int {
	t.Helper()
search:
	for range 100 {
		// Below the range from which the system gives ports to clients: while a
		// program is down, one of them could get its port.
		offset := 1000 + rand.IntN(22_000)
		for _, port := range []int{8080, 8081, 8090, 8123, 9090, 9092, 9101, 9102, 9103, 9104, 9105, 9106} {
			ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", offset+port))
			if err != nil {
				continue search
			}
			ln.Close()
		}
		return offset
	}
	t.Fatal("no free ports")
	return 0
}

// api calls the control API and returns the status and the body.
func (s *stack) api(method, path string, body any) (int, []byte) {
	s.t.Helper()
	status, b, err := s.tryAPI(s.t.Context(), method, path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, b
}

func (s *stack) tryAPI(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr(8081)+path, payload)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// must calls the control API and fails the test unless it answers 2xx.
func (s *stack) must(method, path string, body any) []byte {
	s.t.Helper()
	status, b := s.api(method, path, body)
	if status/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, path, status, b)
	}
	return b
}

// sql asks ClickHouse and returns the lines of its answer, tab separated.
func (s *stack) sql(query string) []string {
	s.t.Helper()
	lines, err := s.trySQL("worksights", query)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, query)
	}
	return lines
}

func (s *stack) trySQL(database, query string) ([]string, error) {
	u := "http://" + s.addr(8123) + "/?" + url.Values{"database": {database}}.Encode()
	resp, err := s.http.Post(u, "text/plain", strings.NewReader(query))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ClickHouse: %s %s", resp.Status, b)
	}
	text := strings.TrimSuffix(string(b), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// tenant is a connected tenant with its simulated Halo.
type tenant struct {
	*stack
	id         schemas.Tenant
	sim        *halotest.Sim
	connection schemas.ConnectionID
	webhook    halotest.Webhook
}

// connected connects a tenant with n agents, ids from 10 on, of whom the even
// ones have a user of the same e-mail.
func (s *stack) connected(id schemas.Tenant, n int) *tenant {
	s.t.Helper()
	sim := halotest.New(halotest.Config{ClientID: "client-" + string(id), ClientSecret: "secret-" + schemas.Secret(id)})
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { server.Close() })
	users := []map[string]string{}
	for i := range n {
		agent := schemas.AgentID(10 + i)
		email := fmt.Sprintf("agent%d@%s.example", agent, id)
		sim.AddAgent(halotest.Agent{ID: agent, Name: fmt.Sprintf("Agent %d", agent), Email: email})
		if agent%2 == 0 {
			users = append(users, map[string]string{"user_id": user(agent), "email": email})
		}
	}
	s.must("PUT", "/v1/tenants/"+string(id)+"/users", users)
	b := s.must("PUT", "/v1/tenants/"+string(id)+"/connection", map[string]string{
		"tenant_url": server.URL, "client_id": "client-" + string(id), "client_secret": "secret-" + string(id),
	})
	var conn struct{ State, Connection string }
	if err := json.Unmarshal(b, &conn); err != nil || conn.State != "active" {
		s.t.Fatalf("connected, but %s, %v", b, err)
	}
	tn := &tenant{stack: s, id: id, sim: sim, connection: schemas.ConnectionID(conn.Connection)}
	tn.readWebhook()
	return tn
}

// readWebhook takes the current webhook, with its secret, from the simulated
// Halo, which is where the secret is in clear.
func (tn *tenant) readWebhook() {
	tn.t.Helper()
	for _, w := range tn.sim.Webhooks() {
		if !w.Deleted {
			tn.webhook = w
			return
		}
	}
	tn.t.Fatal("Halo has no webhook of ours")
}

func user(agent schemas.AgentID) string { return fmt.Sprintf("user-%d", agent) }
