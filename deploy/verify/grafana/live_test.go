package grafana

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/worksights/halo-connector/internal/prometheustest"
)

// startLocal builds the local mode and runs it with its simulated HaloPSA until
// the test ends. It returns where it is scraped.
func startLocal(t *testing.T) (admin string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "local")
	build := exec.Command("go", "build", "-o", program, "./cmd/local")
	build.Dir = deploy + "/.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	offset := 14_000 + rand.IntN(3000) // below the ports that the system gives to clients
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "DATA_DIR="+dir, fmt.Sprintf("PORT_OFFSET=%d", offset), "SIMULATE=1", "HEALTH_INTERVAL=1s")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it goes with a test binary that is killed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended on its own
		_ = cmd.Wait()
		if b, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("the log of the local mode ends:\n%s", b[max(0, len(b)-4000):])
		}
	})
	admin = fmt.Sprintf("127.0.0.1:%d", 9090+offset)
	await(t, "the local mode", func() error {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
	return admin
}

// await asks until cond is met, and fails the test with its last answer after a
// minute and a half.
func await(t *testing.T, what string, cond func() error) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(90 * time.Second); ; {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// TestEveryQueryIsAnsweredByALivePrometheus loads the local mode with the
// traffic of its simulated HaloPSA and asks a real Prometheus, which scrapes it
// and evaluates our rules, everything that the dashboards ask. A panel that
// stays empty looks like a panel where nothing happens: every query is answered
// with a series at least, but for those that look for what is wrong, of which
// the metrics are.
func TestEveryQueryIsAnsweredByALivePrometheus(t *testing.T) {
	rules, err := os.ReadFile(deploy + "/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	expressions, err := Expressions(all(t))
	if err != nil {
		t.Fatal(err)
	}
	prom := prometheustest.Start(t, prometheustest.Config{
		Interval: time.Second, Rules: string(rules), Targets: map[string]string{"local": startLocal(t)},
	})
	for _, e := range expressions {
		ask(t, prom, e.Where, e.Expr) // whatever the answer: none is refused
	}
	left := slices.Clone(expressions)
	await(t, "every query is answered with a series", func() error {
		left = slices.DeleteFunc(left, func(e Expression) bool {
			return ask(t, prom, e.Where, e.Expr) > 0 || looksForTrouble(t, e.Expr) && allThere(t, prom, e)
		})
		if len(left) > 0 {
			return fmt.Errorf("no series for %q", left)
		}
		return nil
	})
	for _, e := range expressions {
		twice(t, prom, e)
	}
	t.Logf("%d queries, each answered", len(expressions))
}

var inBraces = regexp.MustCompile(`\{\{ *(\w+) *\}\}`)

// twice fails the test where two lines of a panel have one legend: nobody can
// tell which of them he looks at.
func twice(t *testing.T, prom v1.API, e Expression) {
	t.Helper()
	value, _, _, err := prom.Query(t.Context(), e.Expr, time.Now())
	series, ok := value.(model.Vector)
	if err != nil || !ok || e.Legend == "" {
		return
	}
	seen := map[string]model.Metric{}
	for _, s := range series {
		legend := inBraces.ReplaceAllStringFunc(e.Legend, func(label string) string {
			return string(s.Metric[model.LabelName(inBraces.FindStringSubmatch(label)[1])])
		})
		if other, ok := seen[legend]; ok {
			t.Errorf("%s: the legend %q is that of %v and of %v", e.Where, legend, other, s.Metric)
		}
		seen[legend] = s.Metric
	}
}

// unseen are series that are not there before something goes wrong.
var unseen = []string{"ALERTS", "halo_kafka_connect_errors_total", "halo_ingest_throttled_total", "halo_ingest_last_test_timestamp_seconds", "halo_connect_repairs_total"}

// looksForTrouble reports whether a query is meant to be without an answer
// while all is well: it compares, or asks for what is unseen.
func looksForTrouble(t *testing.T, expr string) (yes bool) {
	t.Helper()
	parser.Inspect(parse(t, expr), func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.BinaryExpr:
			yes = yes || n.Op.IsComparisonOperator()
		case *parser.VectorSelector:
			yes = yes || slices.Contains(unseen, n.Name)
		}
		return nil
	})
	return yes
}

// allThere reports whether each metric that a query asks for is there.
func allThere(t *testing.T, prom v1.API, e Expression) bool {
	t.Helper()
	there := true
	parser.Inspect(parse(t, e.Expr), func(node parser.Node, _ []parser.Node) error {
		if n, ok := node.(*parser.VectorSelector); ok && !slices.Contains(unseen, n.Name) {
			there = there && ask(t, prom, e.Where, n.String()) > 0
		}
		return nil
	})
	return there
}

func parse(t *testing.T, expr string) parser.Expr {
	t.Helper()
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// ask returns how many series answer. A query that Prometheus refuses, or has a
// warning for, fails the test.
func ask(t *testing.T, prom v1.API, where, expr string) int {
	t.Helper()
	value, warnings, _, err := prom.Query(t.Context(), expr, time.Now())
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%s: %s: %v %v", where, expr, err, warnings)
	}
	switch v := value.(type) {
	case model.Vector:
		return len(v)
	case *model.Scalar:
		return 1
	default:
		t.Fatalf("%s: %s: a %s is no line of a panel", where, expr, value.Type())
		return 0
	}
}
