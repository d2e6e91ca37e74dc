package endtoend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

func TestVerifyNamesTheRowThatWasAlteredDeletedOrAddedByHand(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	tn := s.connected("acme", 4)
	const events = 40
	for n := range events {
		d := tn.statusChange(n, schemas.AgentID(10+n%4))
		if a := tn.deliver(t.Context(), d.body); a.status != 200 {
			t.Fatalf("delivery %d was answered %d", n, a.status)
		}
	}
	tn.settled(events)
	verify := s.verify
	if status, said := verify(); status != 0 || !strings.Contains(said, fmt.Sprintf("%d events, %d rows: 0 missing, 0 different, 0 unexpected.", events, events)) {
		t.Fatalf("before anything was touched: exit %d\n%s", status, said)
	}

	ids := s.sql("SELECT toString(activity_id) FROM activities WHERE tenant_id = 'acme' ORDER BY toString(activity_id) LIMIT 2")
	altered, deleted, added := ids[0], ids[1], "5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11"
	for _, change := range []string{
		"ALTER TABLE outcomes_log UPDATE user_id = 'somebody-else' WHERE activity_id = '" + altered + "' SETTINGS mutations_sync = 1",
		"ALTER TABLE outcomes_log DELETE WHERE activity_id = '" + deleted + "' SETTINGS mutations_sync = 1",
		`INSERT INTO outcomes_log SELECT * REPLACE (toUUID('` + added + `') AS activity_id) FROM outcomes_log WHERE user_id = 'somebody-else'`,
	} {
		s.sql(change)
	}
	status, said := verify("--wait", "0s")
	if status != 1 {
		t.Errorf("exit %d, want 1", status)
	}
	for what, id := range map[string]string{"different": altered, "missing": deleted, "unexpected": added} {
		if !slices.ContainsFunc(strings.Split(said, "\n"), func(line string) bool {
			return strings.HasPrefix(line, what) && strings.HasSuffix(line, id)
		}) {
			t.Errorf("%s is not named as %s", id, what)
		}
	}
	if !strings.Contains(said, "1 missing, 1 different, 1 unexpected.") {
		t.Error("more or less than what was done is named")
	}
	if t.Failed() {
		t.Log(said)
	}
	if status, said := verify("--wait", "0s", "--tenant", "other"); status != 0 {
		t.Errorf("of another tenant: exit %d: %s", status, said)
	}
	if status, said := verify("--from", "2026-11-02", "--to", "2026-11-01"); status != 2 {
		t.Errorf("an inverted range: exit %d: %s", status, said)
	}

	// As after the loss of a disk: the sink appends again what Kafka still has.
	// Only what never came from there stays.
	s.sink.stop()
	if said := s.haloctl(nil, "rewind", "sink", "--by", "1h", "--yes"); !strings.Contains(said, fmt.Sprintf("appends %d records again", events)) {
		t.Errorf("haloctl rewind says\n%s", said)
	}
	s.sink.start()
	s.sink.ready()
	await(t, 30*time.Second, "the rows are as they were, but for the one added by hand", func() error {
		status, said := verify("--wait", "0s")
		if status != 1 || !strings.Contains(said, "0 missing, 0 different, 1 unexpected.") || !strings.Contains(said, added) {
			return fmt.Errorf("exit %d: %s", status, said)
		}
		return nil
	})
}

// verify runs haloctl verify.
func (s *stack) verify(args ...string) (status int, said string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), program("haloctl"), append([]string{"verify"}, args...)...)
	cmd.Env = slices.Concat(os.Environ(), s.env)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// BenchmarkVerify compares a million events with their rows, as one who doubts
// them does.
func BenchmarkVerify(b *testing.B) {
	const events = 1_000_000
	s := newStack(b, "LOG_LEVEL=warn")
	tn := s.connected("big", 200)
	cl := s.kafkaClient(kgo.MaxBufferedRecords(50_000))
	defer cl.Close()
	topic := schemas.NewTopics(s.prefix).Events
	var failed atomic.Pointer[error]
	for i := range events {
		now := schemas.Truncate(time.Now())
		e := schemas.Event{
			Tenant: tn.id, Connection: tn.connection, Kind: schemas.StatusChanged, Ticket: uint64(1 + i/5), Actor: schemas.AgentID(10 + i%200),
			ActorType: schemas.ActorAgent, Status: 9, EventTime: now, OccurredAt: now, ReceivedAt: now,
		}
		binary.BigEndian.PutUint64(e.ID[:], uint64(i+1)*0x9E3779B97F4A7C15)
		cl.Produce(b.Context(), kafka.Record(topic, string(tn.id), schemas.EventSchema, e.AppendJSON(nil)), func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil || failed.Load() != nil {
		b.Fatal(err, failed.Load())
	}
	await(b, 10*time.Minute, "a million rows", func() error {
		if n := s.sql("SELECT count() >= " + fmt.Sprint(events) + ", count() FROM outcomes_log"); !strings.HasPrefix(n[0], "1") {
			return fmt.Errorf("%s of them", n[0])
		}
		return nil
	})
	for b.Loop() {
		if status, said := s.verify(); status != 0 || !strings.Contains(said, fmt.Sprintf("%d events, %d rows: 0 missing, 0 different, 0 unexpected.", events, events)) {
			b.Fatalf("exit %d\n%s", status, said)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/million")
	b.ReportMetric(0, "ns/op")
}
