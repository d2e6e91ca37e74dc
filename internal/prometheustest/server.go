// Package prometheustest runs a Prometheus for tests: the program that
// operators run, on data of its own, which scrapes programs on loopback.
package prometheustest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// Config is what a Prometheus is told.
type Config struct {
	// Interval is between two scrapes, and between two evaluations of the rules.
	Interval time.Duration
	// Lookback is for how long a sample answers for a series that is scraped no
	// more; 0 is Prometheus's own five minutes.
	Lookback time.Duration
	// Rules is the text of a rule file; "" for none.
	Rules string
	// Targets are the scraped addresses by job.
	Targets map[string]string
}

// Start starts a Prometheus that ends with the test, and returns a client of
// its API once it is ready. A machine without the program fails the test.
func Start(t testing.TB, cfg Config) v1.API {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("%v: install Debian's package prometheus, or put the program on the PATH", err)
	}
	dir := t.TempDir()
	config := write(t, dir, cfg)
	addr := freeAddr(t)
	args := []string{
		"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + addr, "--log.level=warn",
	}
	if cfg.Lookback > 0 {
		args = append(args, fmt.Sprintf("--query.lookback-delta=%dms", cfg.Lookback.Milliseconds()))
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it goes with a test binary that is killed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is ended by a signal
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended on its own
		<-ended
	})
	ready(t, "http://"+addr+"/-/ready", ended, log.Name())
	client, err := api.NewClient(api.Config{Address: "http://" + addr})
	if err != nil {
		t.Fatal(err)
	}
	return v1.NewAPI(client)
}

// write writes the configuration, as JSON, which is YAML too, and the rules.
func write(t testing.TB, dir string, cfg Config) (file string) {
	t.Helper()
	type object = map[string]any
	interval := fmt.Sprintf("%dms", cfg.Interval.Milliseconds())
	scraped := []object{}
	for job, addr := range cfg.Targets {
		scraped = append(scraped, object{"job_name": job, "static_configs": []object{{"targets": []string{addr}}}})
	}
	b, err := json.Marshal(object{
		"global":         object{"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
		"rule_files":     []string{"rules.yml"},
		"scrape_configs": scraped,
	})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "prometheus.yml")
	for name, text := range map[string]string{file: string(b), filepath.Join(dir, "rules.yml"): cfg.Rules} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// freeAddr is an address that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// ready returns once url answers 200.
func ready(t testing.TB, url string, ended <-chan struct{}, log string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); ; {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ended:
			b, _ := os.ReadFile(log)
			t.Fatalf("prometheus ended: %s", b)
		case <-late:
			t.Fatal("prometheus is not ready after a minute")
		}
	}
}
