package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/schemas"
)

// One person among a thousand is erased. Store by store nothing names him
// afterwards, but for the list of erasures; the others' rows are what they were,
// byte by byte; and a replay of all topics brings nothing back.
func TestAnErasedPersonIsFoundInNoStore(t *testing.T) {
	t.Parallel()
	const people, each = 1000, 2
	const erased = schemas.AgentID(110)
	s := newStack(t)
	tn := s.connected("forget", 2*people)
	email := fmt.Sprintf("agent%d@forget.example", erased)
	// What is written of him from here on names him in every topic that can.
	s.must("PUT", tn.path(fmt.Sprintf("/agents/%d/user", erased)), map[string]string{"user_id": user(erased)})

	sent := tn.each(people, each)
	tn.settled(sent)
	if n := len(s.sql("SELECT activity_id FROM activities WHERE user_id = '" + user(erased) + "'")); n != each {
		t.Fatalf("he has %d rows: this proves nothing", n)
	}
	others := func(database, view string) string {
		rows, err := s.trySQL(database, fmt.Sprintf("SELECT * FROM %s WHERE user_id != '%s' ORDER BY ALL FORMAT TabSeparatedWithNamesAndTypes", view, user(erased)))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(rows, "\n")
	}
	before := map[string]string{"activities": "", "daily_activity": ""}
	for view := range before {
		before[view] = others(s.database, view)
	}

	s.must("POST", tn.path("/erasures"), map[string]string{"user_id": user(erased)})
	await(t, 60*time.Second, "the erasure", func() error {
		var list struct {
			Erasures []struct {
				State string
				Rows  int
			}
		}
		if err := json.Unmarshal(s.must("GET", tn.path("/erasures"), nil), &list); err != nil {
			return err
		}
		if len(list.Erasures) != 1 || list.Erasures[0].State != "done" || list.Erasures[0].Rows != each {
			return fmt.Errorf("%+v", list.Erasures)
		}
		return nil
	})

	// The next event of his agent is nobody's.
	d := tn.statusChange(sent+1, erased)
	if status, answer := tn.post(t.Context(), d.body); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	await(t, 30*time.Second, "the event after it", func() error {
		if n := s.sql("SELECT count() FROM skipped WHERE event_id = '" + d.id.String() + "'"); n[0] != "1" {
			return fmt.Errorf("%s rows", n[0])
		}
		return nil
	})

	names := [][]byte{[]byte(user(erased) + `"`), []byte(user(erased) + "\t"), []byte(email)}
	found := func(b []byte) bool {
		return slices.ContainsFunc(names, func(name []byte) bool { return bytes.Contains(b, name) })
	}
	if !found([]byte(`{"user":"` + user(erased) + `"}`)) {
		t.Fatal("he is not recognised: this proves nothing")
	}
	for view, rows := range before {
		if after := others(s.database, view); after != rows {
			t.Errorf("%s of the others: %s", view, difference(strings.Split(after, "\n"), strings.Split(rows, "\n")))
		}
	}
	for _, view := range []string{"activities", "skipped", "daily_activity", "outcomes_log"} {
		if rows := strings.Join(s.sql("SELECT * FROM "+view+" FORMAT JSONEachRow"), "\n"); found([]byte(rows)) {
			t.Errorf("he is in %s", view)
		}
	}

	// Before the retention has passed: a replay of all topics.
	s.replayed(erased)

	// The retention, and of tables what compaction leaves: the last of each key.
	topics := schemas.NewTopics(s.prefix)
	passed := []string{topics.Activities, topics.Changes}
	s.emptied(passed...)
	last := make(map[string]*kgo.Record)
	for _, spec := range topics.Specs() {
		if slices.Contains(passed, spec.Name) {
			continue // nothing is left to be read
		}
		for _, r := range s.records(spec.Name) {
			key := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
			if spec.Compact {
				key = r.Topic + "/" + string(r.Key)
			}
			last[key] = r
		}
	}
	listed := false
	for _, r := range last {
		if !found(slices.Concat(r.Key, []byte(`"`), r.Value)) {
			continue
		}
		if r.Topic == topics.Erasures {
			listed = true
			continue
		}
		t.Errorf("he is in a record of %s: %s %s", r.Topic, r.Key, r.Value)
	}
	if !listed || len(last) < sent {
		t.Errorf("%d records searched, in the list of erasures: %v", len(last), listed)
	}

	// The files: those of ClickHouse, which gives up the old parts after a while,
	// and our own.
	await(t, 10*time.Minute, "the parts written anew", func() error {
		if n := s.sql("SELECT count() FROM system.parts WHERE table = 'outcomes_log' AND has_lightweight_delete AND active"); n[0] != "0" {
			return fmt.Errorf("%s parts", n[0])
		}
		return nil
	})
	for _, p := range slices.Backward(s.ours) {
		p.stop()
	}
	files := 0
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.Contains(path, string(filepath.Separator)+"kafka"+string(filepath.Separator)) {
			return err // the log was read record by record
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if files++; found(b) {
			t.Errorf("he is in %s", path)
		}
		return nil
	})
	if err != nil || files < len(s.stages()) {
		t.Errorf("%d files searched, %v", files, err)
	}
}

// each sends so many events of each of the agents who have a user, several at a
// time.
func (tn *tenant) each(people, times int) (sent int) {
	tn.t.Helper()
	var wg sync.WaitGroup
	work := make(chan []byte)
	for range 8 {
		wg.Go(func() {
			for body := range work {
				if status, answer := tn.post(tn.t.Context(), body); status != http.StatusOK {
					tn.t.Errorf("%d %s", status, answer)
				}
			}
		})
	}
	for range times {
		for i := range people {
			sent++
			work <- tn.statusChange(sent, schemas.AgentID(10+2*i)).body
		}
	}
	close(work)
	wg.Wait()
	return sent
}

// replayed judges all topics anew into a database of their own.
func (s *stack) replayed(erased schemas.AgentID) {
	s.t.Helper()
	s.replay(1)
	got, err := s.trySQL(s.database+"_again", "SELECT count() FROM activities WHERE user_id = '"+user(erased)+"'")
	if err != nil || got[0] != "0" {
		s.t.Errorf("after a replay he has %v rows, %v", got, err)
	}
}

// emptied deletes what topics hold, as their retention does.
func (s *stack) emptied(topics ...string) {
	s.t.Helper()
	cl := s.kafkaClient()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(s.t.Context(), topics...)
	if err != nil {
		s.t.Fatal(err)
	}
	deleted, err := adm.DeleteRecords(s.t.Context(), ends.Offsets())
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if r, _ := deleted.Lookup(o.Topic, o.Partition); r.LowWatermark != o.Offset {
			s.t.Fatalf("topic %s, partition %d: records from %d on are left, of %d", o.Topic, o.Partition, r.LowWatermark, o.Offset)
		}
	})
}
