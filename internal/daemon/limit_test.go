package daemon

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// exhaust makes the test's process one that serves the admin port and has no
// descriptor left.
const exhaust = "HALO_TEST_EXHAUST_DESCRIPTORS"

func TestMain(m *testing.M) {
	if os.Getenv(exhaust) == "" {
		os.Exit(m.Run())
	}
	if err := serveWithoutDescriptors(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveWithoutDescriptors() error {
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a, err := serveAdmin(context.Background(), "127.0.0.1:0", &health{up: true}, reg, slog.New(slog.NewTextHandler(os.Stdout, nil)))
	if err != nil {
		return err
	}
	var all []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		all = append(all, f)
	}
	fmt.Println("exhausted", len(all))
	_, err = io.Copy(io.Discard, os.Stdin) // until the test has seen enough
	a.close()
	return err
}

// A process at its limit of descriptors, in which deliveries hold all of them,
// still says how it is, and logs the shortage once while it lasts.
func TestTheAdminPortAnswersAtTheDescriptorLimit(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), exhaust+"=1")
	var stderr bytes.Buffer
	child.Stderr = &stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "exhausted") {
		if _, after, ok := strings.Cut(lines.Text(), "addr="); ok {
			addr = after
		}
	}
	if addr == "" {
		t.Fatalf("it does not serve: %s", &stderr)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 5 {
		for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": "process_open_fds 6"} {
			resp, err := client.Get("http://" + addr + path)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
				t.Errorf("%s: %d without %q: %v", path, resp.StatusCode, want, err)
			}
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	said := 0
	for lines.Scan() {
		said += strings.Count(lines.Text(), "no file descriptor left")
	}
	if err := child.Wait(); err != nil {
		t.Errorf("%v: %s", err, &stderr)
	}
	if said != 1 {
		t.Errorf("the shortage was said %d times, want once", said)
	}
}
