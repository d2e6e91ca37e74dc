package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

// A drill: the vault is lost, and had from the copy again.
func TestALedgerIsCopiedAndRestored(t *testing.T) {
	c, topics := kafkatest.New(t), schemas.NewTopics("halo.")
	c.CreateTopics(t, topics, 1)
	environ := []string{"KAFKA_BROKERS=" + strings.Join(c.Config.Brokers, ",")}
	call := func(args ...string) (int, string) {
		var b strings.Builder
		s := &streams{in: strings.NewReader(""), out: &b, err: &b, environ: environ}
		return run(t.Context(), s, append([]string{"ledger"}, args...)), b.String()
	}
	m := schemas.Mapping{Tenant: "acme", Agent: 7}
	for n := range 3 {
		m = m.Assign(schemas.UserID("u-"+string(rune('a'+n))), time.Date(2026, 10, 1+n, 0, 0, 0, 0, time.UTC), "")
		c.Produce(t, kafka.Record(topics.Mappings, m.Key(), schemas.MappingSchema, m.AppendJSON(nil)))
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if status, out := call("export", copied); status != exitOK || !strings.Contains(out, "1 records") {
		t.Fatalf("%d %s", status, out)
	}
	if status, out := call("export", copied); status == exitOK {
		t.Errorf("a copy is written over another: %s", out)
	}
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if err := c.DeleteTopic(topics.Mappings); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic(topics.Mappings, 1, nil); err != nil {
		t.Fatal(err)
	}
	if status, out := call("restore", copied); status != exitOK || !strings.Contains(out, "1 records") {
		t.Fatalf("%d %s", status, out)
	}
	found := false
	for _, r := range c.Records(t, topics.Mappings) {
		if string(r.Key) == m.Key() {
			back, err := schemas.ParseMapping(r.Value)
			found = err == nil && len(back.Intervals) == 3
		}
	}
	if !found {
		t.Error("the history is not there again")
	}
	if err := os.WriteFile(copied, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := call("restore", copied); status == exitOK || !strings.Contains(out, "no whole copy") {
		t.Errorf("%d %s", status, out)
	}
}
