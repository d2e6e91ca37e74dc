package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// allowed are the fields that may be read; a marker is planted in all others.
var allowed = map[string]bool{
	"id": true, "webhook_id": true, "notification_id": true, "escmsg_id": true, "event": true, "object_id": true, "objectid": true,
	"ticket_id": true, "ticketid": true, "agent_id": true, "timestamp": true, "ticket": true, "action": true, "actions": true, "object": true, "data": true,
	"status_id": true, "tickettype_id": true, "hasbeenclosed": true, "last_update": true, "who_type": true, "who_agentid": true,
	"actionby_agent_id": true, "old_status": true, "new_status": true, "datetime": true,
}

const marker = "MARKER7f3a91e04c"

// planted replaces every text of a field that is off the list by the marker,
// and adds it to every object as a new field, name and value.
func planted(v any, webhook string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{marker + "Key": marker + "NewField", "x" + marker: map[string]any{"deep": []any{marker}}}
		for name, value := range v {
			_, text := value.(string)
			switch {
			case strings.EqualFold(name, "webhook_id"):
				out[name] = webhook // else the edge refuses it as stale, and little happens
			case !allowed[strings.ToLower(name)] && text:
				out[name] = marker + strings.ToUpper(name)
			default:
				out[name] = planted(value, webhook)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = planted(v[i], webhook)
		}
		return out
	}
	return v
}

func TestNoContentIsFoundAnywhere(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	tn := s.connected("content", 4)
	golden, err := filepath.Glob("../../../ingest/halopsa/testdata/*.json")
	if err != nil || len(golden) < 4 {
		t.Fatalf("%d golden deliveries, %v: too few to prove anything", len(golden), err)
	}
	var answers bytes.Buffer
	posted := 0
	for _, file := range golden {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if json.Unmarshal(b, &v) != nil {
			continue
		}
		body, err := json.Marshal(planted(v, tn.webhook.ID))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(body, []byte(marker)) {
			t.Errorf("%s: nothing to plant in", file)
		}
		for _, b := range [][]byte{body, body[:len(body)-1], append([]byte(`"`+marker+`",`), body...)} {
			status, answer := tn.post(t.Context(), b)
			if status == 0 {
				t.Errorf("%s: no answer", file)
			}
			if status == http.StatusOK {
				posted++
			}
			fmt.Fprintln(&answers, status, answer)
		}
	}
	// A secret is content too, the guessed one and the right one.
	tn.post(t.Context(), []byte(`{"`+marker+`":"`+marker+`"}`))
	if posted < len(golden)/2 {
		t.Fatalf("only %d deliveries were taken: this proves nothing", posted)
	}
	await(t, 30e9, "skips and activities in ClickHouse", func() error {
		if n := s.sql("SELECT count() > 0 FROM outcomes_log"); n[0] != "1" {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	for _, p := range s.ours {
		admin, ok := strings.CutSuffix(p.health, "/readyz")
		if !ok {
			continue
		}
		resp, err := http.Get(admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(&answers, resp.Body)
		resp.Body.Close()
	}
	leaks := func(where string, b []byte) {
		for _, secret := range []string{marker, tn.webhook.Password.Reveal(), "secret-content", "agent10@content.example"} {
			if i := bytes.Index(b, []byte(secret)); i >= 0 {
				t.Errorf("%s holds %.20s… at %d: %q", where, secret, i, b[max(0, i-60):min(len(b), i+60)])
			}
		}
	}
	leaks("an answer or a metric", answers.Bytes())
	// The rows as values too: ClickHouse's files are compressed.
	for _, table := range []string{"activities", "skipped", "outcomes_log", "daily_activity"} {
		leaks(table, []byte(strings.Join(s.sql("SELECT * FROM "+table+" FORMAT JSONEachRow"), "\n")))
	}
	// And the records: they are compressed too.
	records := s.records()
	if len(records) < posted {
		t.Errorf("%d records for %d deliveries", len(records), posted)
	}
	for _, r := range records {
		leaks("a record of "+r.Topic, slices.Concat(r.Key, r.Value))
		for _, h := range r.Headers {
			leaks("a header on "+r.Topic, slices.Concat([]byte(h.Key), h.Value))
		}
	}
	for _, p := range slices.Backward(s.ours) {
		p.stop() // everything is on disk then
	}
	files := 0
	err = filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "keyset.json" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		leaks(path, b)
		return nil
	})
	few := 20
	if _, err := os.Stat(filepath.Join(s.data, "clickhouse")); err != nil {
		few = len(s.stages()) // the engines' files are not here; the logs are
	}
	if err != nil || files < few {
		t.Errorf("%d files searched, %v", files, err)
	}
}
