package table_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
	"github.com/worksights/halo-connector/internal/table"
)

var errPoison = errors.New("poison")

// parse takes the value as it is, unless it is "poison".
func parse(r *kgo.Record) (string, error) {
	if string(r.Value) == "poison" {
		return "", errPoison
	}
	return string(r.Value), nil
}

// follow runs a table of topic "table" until the test ends.
func follow(t *testing.T, c *kafkatest.Cluster) (tbl *table.Table[string], stop func() error) {
	t.Helper()
	return followInto(t, c, prometheus.NewRegistry())
}

// followInto is follow with the metrics in reg.
func followInto(t *testing.T, c *kafkatest.Cluster, reg *prometheus.Registry) (tbl *table.Table[string], stop func() error) {
	t.Helper()
	cl, err := kafka.NewReader(c.Config, "table", slog.New(slog.DiscardHandler), nil, c.Opts...)
	if err != nil {
		t.Fatal(err)
	}
	tbl = table.New(cl, "table", parse, slog.New(slog.DiscardHandler), reg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		err = tbl.Run(ctx)
		close(ended)
	}()
	stop = func() error {
		cancel()
		<-ended
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return tbl, stop
}

func set(key, value string) *kgo.Record {
	return &kgo.Record{Topic: "table", Key: []byte(key), Value: []byte(value)}
}

func tombstone(key string) *kgo.Record { return &kgo.Record{Topic: "table", Key: []byte(key)} }

func catchUp(t *testing.T, tbl *table.Table[string]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := tbl.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestATableHoldsTheLastRecordOfEachKey(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	tbl, _ := follow(t, c)
	catchUp(t, tbl)
	if tbl.Len() != 0 {
		t.Errorf("an empty topic has %d keys", tbl.Len())
	}
	c.Produce(t, set("a", "1"), set("b", "1"), set("c", "1"))
	c.Produce(t, set("a", "2"), tombstone("b"), tombstone("never"))
	catchUp(t, tbl)

	if got, want := maps.Collect(tbl.All()), map[string]string{"a": "2", "c": "1"}; !maps.Equal(got, want) {
		t.Errorf("table = %v, want %v", got, want)
	}
	if v, ok := tbl.Get("a"); v != "2" || !ok {
		t.Errorf("Get(a) = %q, %v", v, ok)
	}
	if v, ok := tbl.GetBytes([]byte("c")); v != "1" || !ok {
		t.Errorf("GetBytes(c) = %q, %v", v, ok)
	}
	if _, ok := tbl.Get("b"); ok {
		t.Error("b is there after its tombstone")
	}
	if n := testing.AllocsPerRun(100, func() { tbl.GetBytes([]byte("c")) }); n != 0 {
		t.Errorf("GetBytes allocates %v times", n)
	}
}

func TestAfterCatchUpEveryAcknowledgedRecordIsThere(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	tbl, _ := follow(t, c)
	writer := c.Client(t)
	for i := range 1000 {
		key := fmt.Sprint("agent-", i%50)
		if err := writer.ProduceSync(t.Context(), set(key, fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		catchUp(t, tbl)
		if v, _ := tbl.Get(key); v != fmt.Sprint(i) {
			t.Fatalf("round %d: Get(%s) = %q", i, key, v)
		}
	}
}

func TestAQuestionOnItsWayIsNotSharedWithWhoComesLater(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	tbl, _ := follow(t, c)
	catchUp(t, tbl)

	// The answer to the first question is held back, with the end as it was.
	var asked atomic.Int32
	entered, release := make(chan struct{}), make(chan struct{})
	c.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if asked.Add(1) == 1 {
			resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = "table"
			part := kmsg.NewListOffsetsResponseTopicPartition()
			part.Offset = 0
			topic.Partitions = append(topic.Partitions, part)
			resp.Topics = append(resp.Topics, topic)
			c.SleepControl(func() { close(entered); <-release })
			return resp, nil, true
		}
		return nil, nil, false
	})
	first := make(chan error, 1)
	go func() { first <- tbl.CatchUp(t.Context()) }()
	<-entered
	c.Produce(t, set("a", "new"))

	const later = 20
	errs := make(chan error, later)
	for range later {
		go func() {
			err := tbl.CatchUp(t.Context())
			if v, _ := tbl.Get("a"); err == nil && v != "new" {
				err = errors.New("caught up without the record acknowledged before the call")
			}
			errs <- err
		}()
	}
	close(release)
	for range later {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n < 2 || n > later/2 {
		t.Errorf("%d questions for %d callers; want at least one after the first, and shared ones", n, later+1)
	}
}

// Two partitions have no order between them: of two records of one key, or of a
// marker and what it fences, nobody could say which came first.
func TestATopicOfOtherThanOnePartitionIsRefused(t *testing.T) {
	t.Parallel()
	c := kafkatest.New(t, kfake.SeedTopics(2, "table"))
	tbl, stop := follow(t, c)
	<-waitStopped(t, tbl)
	if err := stop(); !errors.Is(err, table.ErrPartitions) || !strings.Contains(err.Error(), "table has 2") {
		t.Errorf("Run = %v, want %v that names topic and number", err, table.ErrPartitions)
	}
}

func TestAPartitionThatIsAddedLaterEndsTheTableOnceItHoldsARecord(t *testing.T) {
	t.Parallel()
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	c.Opts = append(c.Opts, kgo.MetadataMaxAge(250*time.Millisecond))
	tbl, stop := follow(t, c)
	catchUp(t, tbl)
	writer := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if _, err := kadm.NewClient(writer).UpdatePartitions(t.Context(), 3, "table"); err != nil {
		t.Fatal(err)
	}
	r := set("a", "1")
	r.Partition = 2
	if err := writer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	<-waitStopped(t, tbl)
	if err := stop(); !errors.Is(err, table.ErrPartitions) {
		t.Errorf("Run = %v, want %v", err, table.ErrPartitions)
	}
}

func TestAPoisonRecordLeavesThePreviousValueAndIsReported(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	reg := prometheus.NewRegistry()
	tbl, _ := followInto(t, c, reg)
	c.Produce(t, set("a", "good"), set("a", "poison"), set("b", "after"), set("c", "poison"))
	catchUp(t, tbl)
	if v, _ := tbl.Get("a"); v != "good" {
		t.Errorf("Get(a) = %q, want the value before the poison", v)
	}
	if v, _ := tbl.Get("b"); v != "after" {
		t.Errorf("Get(b) = %q: the poison stopped the table", v)
	}
	if _, ok := tbl.Get("c"); ok {
		t.Error("c is there, though its only record is poison")
	}
	if got := metrictest.Series(t, reg, "halo_table_bad_records_total", "table"); got != 2 {
		t.Errorf("%v bad records were reported, want 2", got)
	}
}

func TestAKeyIsBadUntilItIsWrittenAgain(t *testing.T) {
	c, reg := kafkatest.New(t, kfake.SeedTopics(1, "table")), prometheus.NewRegistry()
	tbl, _ := followInto(t, c, reg)
	for _, step := range []struct {
		what string
		r    *kgo.Record
		keys float64
	}{
		{"a bad record", set("a", "poison"), 1},
		{"a bad one of the same key", set("a", "poison"), 1},
		{"one of another key", set("b", "poison"), 2},
		{"a good record", set("a", "good"), 1},
		{"a tombstone", tombstone("b"), 0},
	} {
		c.Produce(t, step.r)
		catchUp(t, tbl)
		if got := metrictest.Series(t, reg, "halo_table_bad_keys", "table"); got != step.keys {
			t.Errorf("after %s: %v bad keys, want %v", step.what, got, step.keys)
		}
	}
	if got := metrictest.Series(t, reg, "halo_table_bad_records_total", "table"); got != 3 {
		t.Errorf("%v bad records, want 3", got)
	}
}

func TestRunEndsQuietlyWithItsContextAndReleasesWhoWaits(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	tbl, stop := follow(t, c)
	catchUp(t, tbl)
	if err := stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if err := tbl.CatchUp(t.Context()); !errors.Is(err, table.ErrStopped) {
		t.Errorf("CatchUp after the end = %v, want %v", err, table.ErrStopped)
	}
	if err := tbl.Ready(); !errors.Is(err, table.ErrStopped) {
		t.Errorf("Ready after the end = %v, want %v", err, table.ErrStopped)
	}
}
