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
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stack is the whole connector as processes, with a simulated Halo beside it.
type stack struct {
	t       testing.TB
	dir     string // of everything that is written
	data    string // of what the programs write
	offset  int
	apiPort int // of the connect that is asked
	env     []string
	engines

	ingest, processor, sink, connect *process

	ours  []*process // all that were made, engines too
	token string
	http  *http.Client
}

// newStack starts engines and stages on ports of its own and waits until all
// are ready. env is added to every program's environment.
func newStack(t testing.TB, env ...string) *stack {
	t.Helper()
	return newStackOn(t, 1, env...)
}

// newStackOn is newStack on so many brokers.
func newStackOn(t testing.TB, brokers int, env ...string) *stack {
	t.Helper()
	s := prepareStack(t, env...)
	s.begin(brokers)
	return s
}

// begin starts engines and stages and waits until all are ready.
func (s *stack) begin(brokers int) {
	s.t.Helper()
	s.startEngines(brokers)
	s.env = append(s.env,
		"KAFKA_BROKERS="+s.brokers,
		"TOPIC_PREFIX="+s.prefix,
		"CLICKHOUSE_DSN="+s.dsn(s.database),
	)
	s.ingest = s.stage("ingest", 9101, "LISTEN_ADDR="+s.addr(8080))
	s.processor = s.stage("processor", 9102)
	s.sink = s.stage("sink", 9103)
	if s.native != "" {
		s.sink.env = append(s.sink.env, "CLICKHOUSE_DSN="+s.native)
	}
	s.connect = s.stage("connect", 9104, "LISTEN_ADDR="+s.addr(8081))
	for _, p := range s.stages() {
		p.start()
	}
	for _, p := range s.stages() {
		p.ready()
	}
}

// prepareStack makes directories and the environment, and starts nothing.
func prepareStack(t testing.TB, env ...string) *stack {
	t.Helper()
	s := &stack{t: t, dir: t.TempDir(), offset: freeOffset(t), apiPort: 8081, engines: engines{prefix: "halo.", database: "worksights"}}
	s.http = &http.Client{Timeout: 70 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	t.Cleanup(s.http.CloseIdleConnections)
	s.data = filepath.Join(s.dir, "data")
	for _, dir := range []string{s.data, filepath.Join(s.dir, "log")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.env = append([]string{
		"DATA_DIR=" + s.data,
		fmt.Sprintf("PORT_OFFSET=%d", s.offset),
		"KEYSET_FILE=" + filepath.Join(s.data, "keyset.json"),
		"API_TOKENS_FILE=" + filepath.Join(s.data, "api-tokens"),
		"PUBLIC_INGEST_URL=http://" + s.addr(8080),
		"HALO_ALLOW_NETS=127.0.0.0/8",
		"LOG_LEVEL=debug",
		"RATE_LIMIT=0",
	}, env...)
	return s
}

func (s *stack) stages() []*process {
	return []*process{s.ingest, s.processor, s.sink, s.connect}
}

func (s *stack) stage(name string, admin int, env ...string) *process {
	return s.stageAs(name, name, admin, env...)
}

func (s *stack) stageAs(name, logName string, admin int, env ...string) *process {
	own := []string{"ADMIN_ADDR=" + s.addr(admin)}
	if s.rights != nil {
		own = append(own, s.rights(name)...)
	}
	return s.processAs(name, logName, s.offset+admin, nil, append(own, env...))
}

// haloctl runs the operator's tool and returns what it prints.
func (s *stack) haloctl(env []string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), program("haloctl"), args...)
	cmd.Env = slices.Concat(os.Environ(), s.env, env)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("haloctl %v: %v: %s", args, err, complaint.Bytes())
	}
	return strings.TrimSpace(string(out))
}

func (s *stack) addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", s.offset+port) }

// freeOffset takes an offset that no other stack has until the test is over. A
// stack that only looked which ports are free would take those of another one's
// program that was just killed, and keep it from coming back.
func freeOffset(t testing.TB) int {
	t.Helper()
	const (
		claim = 8079        // held for as long as the offset is taken, by whatever process
		span  = 9106 - 8079 // of our ports
		first = 1100        // above the fixed ports
		last  = 10_800      // below the ports of deploy/kafka-local and those that the system gives to clients
	)
	var offset int
	await(t, 5*time.Minute, "a free offset", func() error {
		offsets := (last - first) / (span + 1)
		var err error
		for i, n := rand.IntN(offsets), 0; n < offsets; n++ {
			offset = first + (i+n)%offsets*(span+1)
			var ln net.Listener
			if ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", offset+claim)); err != nil {
				continue
			}
			if err = free(offset); err != nil {
				ln.Close()
				continue
			}
			t.Cleanup(func() { ln.Close() })
			return nil
		}
		return err
	})
	return offset
}

// free returns an error unless all of our ports are free at offset.
func free(offset int) error {
	for _, port := range []int{8080, 8081, 8090, 8123, 9000, 9090, 9092, 9101, 9102, 9103, 9104, 9105, 9106} {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", offset+port))
		if err != nil {
			return err
		}
		ln.Close()
	}
	return nil
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
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr(s.apiPort)+path, payload)
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
	lines, err := s.trySQL(s.database, query)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, query)
	}
	return lines
}

func (s *stack) trySQL(database, query string) ([]string, error) {
	u := s.clickhouseAt
	u.Path, u.RawQuery = "/", url.Values{"database": {database}}.Encode()
	resp, err := s.http.Post(u.String(), "text/plain", strings.NewReader(query))
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
