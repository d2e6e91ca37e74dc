package table_test

import (
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

func begin(epoch uint64) *kgo.Record {
	return table.Marker("table", schemas.Term{Epoch: epoch, Instance: "x"})
}

// What a deposed writer writes late was never there, to whoever reads the topic
// and whenever he begins.
func TestARecordOfATermThatEndedDoesNotCount(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	early, _ := follow(t, c)
	catchUp(t, early)
	for _, r := range []*kgo.Record{
		set("before", "no header"), // valid: nothing had begun
		set("gone", "1"),
		begin(3),
		table.Stamp(set("a", "3"), 3),
		table.Stamp(set("b", "3"), 3),
		set("a", "no header"), // epoch 0: late
		table.Stamp(set("a", "2"), 2),
		table.Stamp(tombstone("b"), 2),
		table.Stamp(set("new", "2"), 2),
		table.Stamp(tombstone("gone"), 3),
		begin(5),
		table.Stamp(set("a", "3 late"), 3),
		table.Stamp(set("c", "5"), 5),
		begin(4), // who lost the election of the log
		table.Stamp(set("c", "4"), 4),
		table.Stamp(set("poison", "poison"), 4),
	} {
		c.Produce(t, r)
	}
	catchUp(t, early)
	late, _ := follow(t, c)
	catchUp(t, late)
	want := map[string]string{"before": "no header", "a": "3", "b": "3", "c": "5"}
	for name, tbl := range map[string]*table.Table[string]{"who followed": early, "who came later": late} {
		if got := maps.Collect(tbl.All()); !maps.Equal(got, want) {
			t.Errorf("%s has %v, want %v", name, got, want)
		}
		if epoch, since := tbl.Epoch(); epoch != 5 || since != 10 {
			t.Errorf("%s met epoch %d first at %d, want 5 at 10", name, epoch, since)
		}
	}
}

// A record may raise the epoch without a marker: compaction removes markers that
// were superseded.
func TestARecordFencesWhereItsMarkerIsCompactedAway(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	c.Produce(t, table.Stamp(set("a", "7"), 7))
	c.Produce(t, table.Stamp(set("a", "6"), 6))
	tbl, _ := follow(t, c)
	catchUp(t, tbl)
	if v, _ := tbl.Get("a"); v != "7" {
		t.Errorf("Get(a) = %q", v)
	}
}

// Who writes the table learns which keys must be written anew.
func TestALogTellsWhatCameLateAndKeepsMarkersToItself(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "table"))
	cl, err := kafka.NewReader(c.Config, "table", slog.New(slog.DiscardHandler), nil, c.Opts...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	l := table.NewLog(cl, "table", slog.New(slog.DiscardHandler), func(records []table.Record, _ uint64) {
		for _, r := range records {
			word := string(r.Key)
			if r.Late {
				word += " late"
			}
			got = append(got, word)
		}
	})
	for _, r := range []*kgo.Record{begin(1), table.Stamp(set("a", "1"), 1), set("b", "0"), table.Stamp(set("c", "nonsense"), 1)} {
		c.Produce(t, r)
	}
	nonsense := set("d", "x")
	nonsense.Headers = []kgo.RecordHeader{{Key: schemas.HeaderEpoch, Value: []byte("-1")}}
	c.Produce(t, nonsense)
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- l.Run(ctx) }()
	if err := l.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b late", "c", "d late"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}
