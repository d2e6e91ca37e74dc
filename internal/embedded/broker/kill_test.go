package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/embedded/broker"
	"github.com/worksights/halo-connector/internal/kafka"
)

// The test binary is the process that is killed: started with these set, it is
// a broker and nothing else.
const childDir, childAddr = "BROKER_TEST_DIR", "BROKER_TEST_ADDR"

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	_, err := broker.Start(context.Background(), broker.Config{Dir: dir, Addr: os.Getenv(childAddr)}, silent)
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {} // until killed
}

func TestNothingAcknowledgedIsLostToKill9(t *testing.T) {
	const rounds, writers, acksPerRound = 4, 8, 1500
	dir, addr := t.TempDir(), freeAddr(t)
	kill := startChild(t, dir, addr)
	adm := client(t, addr)
	createTopic(t, adm)

	var mu sync.Mutex
	acked := make(map[string]bool) // values
	var committed int64            // the last offset whose commit was acknowledged
	enough := make(chan struct{})  // a token each acksPerRound acks

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	for w := range writers {
		cl := client(t, addr)
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				v := fmt.Sprintf("%d/%d", w, i)
				if cl.ProduceSync(ctx, &kgo.Record{Topic: "log", Key: []byte("k"), Value: []byte(v)}).FirstErr() != nil {
					continue
				}
				mu.Lock()
				acked[v] = true
				n := len(acked)
				mu.Unlock()
				if n%acksPerRound == 0 {
					select {
					case enough <- struct{}{}:
					case <-ctx.Done():
					}
				}
			}
		})
	}
	load.Go(func() {
		cl := kadm.NewClient(client(t, addr))
		for at := int64(1); ctx.Err() == nil; at++ {
			offsets := kadm.Offsets{}
			offsets.Add(kadm.Offset{Topic: "log", Partition: 0, At: at})
			if cl.CommitAllOffsets(ctx, "sink", offsets) == nil {
				mu.Lock()
				committed = at
				mu.Unlock()
			}
		}
	})

	for range rounds {
		<-enough
		kill()
		kill = startChild(t, dir, addr)
	}
	<-enough
	stop()
	load.Wait()
	kill()
	startChild(t, dir, addr)

	reader, err := kafka.NewReader(kafka.Config{Brokers: []string{addr}}, "log", silent, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	rctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends, err := kafka.EndOffsets(rctx, reader, "log")
	if err != nil {
		t.Fatal(err)
	}
	for next := int64(0); next < ends[0]; {
		fetches := reader.PollFetches(rctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			delete(acked, string(r.Value))
			next = r.Offset + 1
		}
	}
	if ends[0] < rounds*acksPerRound {
		t.Errorf("the topic ends at %d: this proves little", ends[0])
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged records are gone", len(acked))
	}
	offsets, err := kadm.NewClient(reader).FetchOffsets(rctx, "sink")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := offsets.Lookup("log", 0); committed == 0 || o.At < committed {
		t.Errorf("committed offset is %d, want at least the %d acknowledged", o.At, committed)
	}
}

func TestASecondProcessOnTheDirectoryIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	startChild(t, dir, freeAddr(t))
	_, err := broker.Start(t.Context(), broker.Config{Dir: dir, Addr: "127.0.0.1:0"}, silent)
	if err == nil || !strings.Contains(err.Error(), broker.ErrLocked.Error()) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Start = %v, want the reason and the directory", err)
	}
}

// startChild starts a broker in a process of its own and returns once it
// answers; kill ends it with SIGKILL.
func startChild(t *testing.T, dir, addr string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childAddr+"="+addr)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("the broker's process says %q", line)
	}
	return kill
}

// freeAddr is an address that nobody listens on, so that a broker can come back
// to it.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}
