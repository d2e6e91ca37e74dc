package manifests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// TestTheStagesDoTheirWorkWithTheirRightsAndCanDoNothingElse runs all programs
// as their principals, from the making of the topics to rows in ClickHouse:
// what acls grants is enough. Then each principal tries everything that it is
// not granted.
func TestTheStagesDoTheirWorkWithTheirRightsAndCanDoNothingElse(t *testing.T) {
	g := brokers(t)
	s := &local{t: t, dir: t.TempDir(), offset: 20_000 + rand.IntN(3000)}
	// For ClickHouse, the keyset and the token; its Kafka is not used.
	s.start("local", []string{"--engines-only"}, 9090, "DATA_DIR="+s.dir, fmt.Sprintf("PORT_OFFSET=%d", s.offset))
	for range 2 { // made, and then brought up to date
		topics := exec.Command(filepath.Join(bin, "haloctl"), "topics", "apply")
		// One partition, so that below there is a record in each of them.
		topics.Env = append(g.env("haloctl"), "TOPIC_REPLICATION=1", "TOPIC_PARTITIONS=1")
		if out, err := topics.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	dsn := "CLICKHOUSE_DSN=http://" + s.addr(8123) + "/worksights"
	s.start("ingest", nil, 9101, append(g.env("ingest"), "LISTEN_ADDR="+s.addr(8080))...)
	s.start("processor", nil, 9102, g.env("processor")...)
	s.start("sink", nil, 9103, append(g.env("sink"), dsn)...)
	s.start("connect", nil, 9104, append(g.env("connect"), dsn, "LISTEN_ADDR="+s.addr(8081), "PUBLIC_INGEST_URL=http://"+s.addr(8080),
		"KEYSET_FILE="+s.dir+"/keyset.json", "API_TOKENS_FILE="+s.dir+"/api-tokens", "HALO_ALLOW_NETS=127.0.0.0/8")...)

	sim := halotest.New(halotest.Config{ClientID: "client", ClientSecret: "secret"})
	halo, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { halo.Close() })
	mapped := sim.AddAgent(halotest.Agent{ID: 10, Name: "Ann", Email: "ann@acme.example"})
	unmapped := sim.AddAgent(halotest.Agent{ID: 11, Name: "Bob"})
	s.put("/v1/tenants/acme/users", []map[string]string{{"user_id": "ann", "email": "ann@acme.example"}})
	s.put("/v1/tenants/acme/connection", map[string]string{"tenant_url": halo.URL, "client_id": "client", "client_secret": "secret"})
	for _, agent := range []schemas.AgentID{mapped, unmapped} {
		_, deliveries := sim.NewTicket(t.Context(), agent)
		for _, d := range deliveries {
			if d.Status != http.StatusOK {
				t.Fatalf("a delivery was answered %d, %v", d.Status, d.Err)
			}
		}
	}
	s.await("one activity and one skip in ClickHouse", func() error {
		got := s.sql("SELECT (SELECT count() FROM activities), (SELECT count() FROM skipped)")
		if got != "1\t1\n" {
			return fmt.Errorf("%q", got)
		}
		return nil
	})

	// Records that will never parse: the processor and the sink put them aside.
	for principal, topic := range map[string]string{"ingest": "halo.events", "processor": "halo.activities"} {
		if err := g.client(t, principal).ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	admin := kadm.NewClient(g.client(t, "haloctl"))
	s.await("two dead letters", func() error {
		ends, err := admin.ListEndOffsets(t.Context(), "halo.dead")
		letters := int64(0)
		ends.Each(func(o kadm.ListedOffset) { letters += o.Offset })
		if err == nil && letters < 2 {
			err = fmt.Errorf("%d only", letters)
		}
		return err
	})

	// An edge that may read events and not write them would refuse deliveries.
	s.run("ingest", nil, 9105, append(g.env("processor"), "LISTEN_ADDR="+s.addr(8082))...)
	s.await("an ingest without its right says so", func() error {
		_, err := s.get("http://" + s.addr(9105) + "/readyz")
		if err == nil {
			t.Fatal("it is ready")
		}
		if !strings.Contains(err.Error(), "halo.events: TOPIC_AUTHORIZATION_FAILED: no right to Write") {
			return err
		}
		return nil
	})

	allowed := rights(t)
	refused := 0
	for principal := range g.password {
		for _, spec := range schemas.NewTopics("").Specs() {
			for _, operation := range []string{"Read", "Write"} {
				if slices.Contains(allowed, right{principal, operation, "topic", spec.Name}) {
					continue // the run above needed it
				}
				if !g.denied(t, principal, operation, schemas.DefaultTopicPrefix+spec.Name) {
					t.Errorf("%s may %s %s", principal, operation, spec.Name)
				}
				refused++
			}
		}
	}
	if refused < 50 {
		t.Errorf("%d tries were refused: this proves little", refused)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	thief := g.client(t, "sink", kgo.ConsumerGroup("halo.processor"), kgo.ConsumeTopics("halo.activities"))
	if err := thief.PollFetches(ctx).Err(); !errors.Is(err, kerr.GroupAuthorizationFailed) {
		t.Errorf("the sink may join the processor's group: %v", err)
	}
	t.Logf("%d tries without a right were refused", refused)
}

// local is the connector as processes on this machine.
type local struct {
	t      *testing.T
	dir    string
	offset int
}

func (s *local) addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", s.offset+port) }

// start starts a program and waits until it is ready.
func (s *local) start(program string, args []string, admin int, env ...string) {
	s.t.Helper()
	s.run(program, args, admin, env...)
	s.await(program+" ready", func() error {
		_, err := s.get("http://" + s.addr(admin) + "/readyz")
		return err
	})
}

// run starts a program, which ends with the test.
func (s *local) run(program string, args []string, admin int, env ...string) {
	s.t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(bin, program), args...)
	cmd.Env = slices.Clone(env)
	for _, name := range []string{"HOME", "LIBCHDB_PATH", "XDG_CACHE_HOME"} {
		if value, ok := os.LookupEnv(name); ok { // set and empty, it would be refused
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if program != "local" {
		cmd.Env = append(cmd.Env, "ADMIN_ADDR="+s.addr(admin))
	}
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("the log of %s ends:\n%s", program, log.String()[max(0, log.Len()-3000):])
		}
	})
}

func (s *local) await(what string, cond func() error) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("%s: not within a minute: %v", what, err)
		}
	}
}

func (s *local) get(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return string(b), err
}

func (s *local) sql(query string) string {
	s.t.Helper()
	resp, err := http.Post("http://"+s.addr(8123)+"/?database=worksights", "text/plain", strings.NewReader(query))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s %v", resp.Status, b, err)
	}
	return string(b)
}

func (s *local) put(path string, body any) {
	s.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := os.ReadFile(s.dir + "/api-token")
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, "http://"+s.addr(8081)+path, bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		s.t.Fatalf("PUT %s: %s %s", path, resp.Status, answer)
	}
}
