//go:build synctests

package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var mutants = flag.Bool("mutants", false, "break the code on purpose, one fault at a time, and see each found")

// mutant is a deliberate fault: the first place in a file where old stands is
// made new.
type mutant struct {
	name     string
	file     string
	old, new string
}

// Each of these is a fault of order, or of identity, that a tired engineer could
// make and a reviewer could pass.
func allMutants() []mutant {
	return []mutant{
		{
			"the edge answers before the ack", "ingest/kafkalog.go",
			"\tselect {\n\tcase <-batch.Done():\n\tcase <-timer.C:",
			"\treturn nil\n\tselect {\n\tcase <-batch.Done():\n\tcase <-timer.C:",
		},
		{
			"the processor judges before the barrier", "processor/run.go",
			"if err := p.judge.mappings.CatchUp(ctx); err != nil {",
			"if err := error(nil); err != nil {",
		},
		{
			"the processor commits what it has not produced", "processor/run.go",
			"\tp.judge.judge(p.judged)\n\treturn true",
			"\tp.judge.judge(p.judged)\n\tfor _, r := range p.judged.events {\n\t\tp.member.Settled(r)\n\t}\n\tp.commit(ctx)\n\treturn true",
		},
		{
			"the latest mapping counts, and not the one of the arrival", "processor/mappings.go",
			"func (h History) At(t time.Time) (user schemas.UserID, mapped bool) {",
			"func (h History) At(t time.Time) (user schemas.UserID, mapped bool) {\n\tt = t.AddDate(1, 0, 0)",
		},
		{
			"the sink commits before it appends", "sink/settle.go",
			"\tunder := &insert{began: time.Now(), answered: answered}",
			"\tfor _, p := range b.parts {\n\t\tif p.last != nil {\n\t\t\ts.member.Settled(p.last)\n\t\t}\n\t}\n\ts.commit(ctx)\n\tunder := &insert{began: time.Now(), answered: answered}",
		},
		{
			"an append that failed is taken for one that did not", "sink/settle.go",
			"err := s.store.Append(ctx, &b.rows)",
			"err := s.store.Append(ctx, &b.rows)\n\tif ctx.Err() == nil {\n\t\terr = nil\n\t}",
		},
		{
			"the last arrival wins", "sink/outcome.go",
			"return (arrivals-min(ms, arrivals))<<16",
			"return min(ms, arrivals)<<16",
		},
		{
			"our clock is in the key", "ingest/halopsa/decode.go",
			"e.EventTime = it.time", "e.EventTime = received",
		},
		{
			"an id is drawn", "schemas/id.go",
			"\td := newDigest(o.Tenant, o.Kind)",
			"\to.EscMsgID += strconv.Itoa(rand.Int())\n\td := newDigest(o.Tenant, o.Kind)",
		},
		{
			"a record of a deposed instance counts", "internal/table/log.go",
			"Record{r, own < epoch}", "Record{r, false}",
		},
		{
			"a deposed instance does not see that it is", "connect/ledger/write.go",
			"met > t.epoch.Load() && since < offset", "met > t.epoch.Load()+1<<32 && since < offset",
		},
		{
			"a mapping claims an instant that has passed", "connect/ledger/instant.go",
			"t.l.now().Add(lead)", "t.l.now().Add(-lead)",
		},
		{
			"a mapping is answered before it holds", "connect/ledger/instant.go",
			"\twait := i.from.Add(skew).Sub(now())", "\twait := -i.from.Sub(i.from)",
		},
		{
			"a consumer that finds no place begins at the end", "internal/kafka/client.go",
			"kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),\n\t\tkgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),",
			"kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()),\n\t\tkgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),",
		},
		{
			"events of all tenants have one key", "ingest/kafkalog.go",
			"kafka.Record(l.topics.Events, string(tenant)", "kafka.Record(l.topics.Events, \"all\"",
		},
	}
}

func TestEachDeliberateFaultIsFound(t *testing.T) {
	if !*mutants {
		t.Skip("takes minutes; make sim-mutants")
	}
	root, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(root))
	for _, m := range allMutants() {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			bin := m.build(t, dir)
			const most, chunk = 300, 4
			for from := 1; from <= most; from += chunk {
				cmd := exec.CommandContext(t.Context(), bin, "-test.run", "^TestFivePromises", "-test.timeout", "30m", "-first", strconv.Itoa(from), "-seeds", strconv.Itoa(chunk))
				out, err := cmd.CombinedOutput()
				if err == nil {
					continue
				}
				seed, promise := found(string(out))
				if promise == "" {
					t.Fatalf("it breaks, but no promise is named:\n%.2000s", out)
				}
				t.Logf("found by seed %d: %s", seed, promise)
				return
			}
			t.Errorf("%d seeds do not find it", most)
		})
	}
}

// build makes the test binary with the fault in it. The sources stay as they
// are: the compiler is told to read another file in the place of one.
func (m mutant) build(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, m.file)
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if m.old == "" || !strings.Contains(string(source), m.old) {
		t.Fatalf("%s has no place for the fault any more: this proves nothing", m.file)
	}
	temp := t.TempDir()
	broken, overlay, bin := filepath.Join(temp, "broken.go"), filepath.Join(temp, "overlay.json"), filepath.Join(temp, "sim.test")
	text := strings.Replace(string(source), m.old, m.new, 1)
	for _, pkg := range []string{"strconv", "math/rand"} {
		if name := filepath.Base(pkg); strings.Contains(m.new, name+".") && !strings.Contains(text, `"`+pkg+`"`) {
			text = strings.Replace(text, "import (\n", "import (\n\t\""+pkg+"\"\n", 1)
		}
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{broken: []byte(text), overlay: replace} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-tags", "synctests", "-overlay", overlay, "-c", "-o", bin, "./cmd/internal/sim")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the fault does not compile: %v\n%s", err, out)
	}
	return bin
}

var (
	failed   = regexp.MustCompile(`--- FAIL: TestFivePromises\w*/seeds/(\d+)`)
	promises = regexp.MustCompile(`sim_test\.go:\d+: ((?:Kept|Content-free|Repeatable|As of arrival|Apart): .*)`)
)

// found reads which seed failed first, and what it said.
func found(out string) (seed int, promise string) {
	var all []int
	for _, m := range failed.FindAllStringSubmatch(out, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			panic(fmt.Sprintf("a seed that is no number: %v", err))
		}
		all = append(all, n)
	}
	if m := promises.FindStringSubmatch(out); m != nil {
		promise = m[1]
	}
	if len(all) > 0 {
		seed = slices.Min(all)
	}
	return seed, promise
}
