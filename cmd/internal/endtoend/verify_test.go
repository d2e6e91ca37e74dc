package endtoend

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

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
	verify := func(args ...string) (status int, said string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program("haloctl"), append([]string{"verify"}, args...)...)
		cmd.Env = slices.Concat(os.Environ(), s.env)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
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
