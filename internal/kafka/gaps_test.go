package kafka_test

import (
	"log/slog"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
)

func TestRecordsThatWereDeletedBeforeTheyWereReadAreMissed(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "events"))
	produce := func(n int) {
		for range n {
			c.Produce(t, &kgo.Record{Topic: "events", Value: []byte("x")})
		}
	}
	// read reads n records in a process of its own, commits them, and returns
	// how many it missed.
	read := func(n int) (missing int64) {
		cl, err := kafka.NewConsumer(c.Config, "readers", []string{"events"}, slog.New(slog.DiscardHandler), nil, c.Opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.CloseAllowingRebalance()
		var gaps kafka.Gaps
		for n > 0 {
			fetches := cl.PollRecords(t.Context(), 2)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			missing += gaps.Missing(cl, fetches)
			n -= fetches.NumRecords()
			if err := cl.CommitUncommittedOffsets(t.Context()); err != nil {
				t.Fatal(err)
			}
			cl.AllowRebalance()
		}
		return missing
	}

	produce(5)
	if got := read(5); got != 0 {
		t.Fatalf("missed %d of a topic that is whole", got)
	}
	produce(5)
	var until kadm.Offsets
	until.AddOffset("events", 0, 8, -1)
	if _, err := kadm.NewClient(c.Client(t)).DeleteRecords(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	if got := read(2); got != 3 {
		t.Errorf("missed %d records, want the 3 that were deleted unread", got)
	}
	produce(3)
	if got := read(3); got != 0 {
		t.Errorf("missed %d of what was there", got)
	}
}
