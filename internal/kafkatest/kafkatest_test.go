package kafkatest_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafkatest"
)

func TestWhatIsProducedIsReadBackInOrderOfPartitionAndOffset(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(3, "letters"))
	manual := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, r := range []*kgo.Record{
		{Topic: "letters", Partition: 2, Value: []byte("c")},
		{Topic: "letters", Partition: 0, Value: []byte("a")},
		{Topic: "letters", Partition: 0, Value: []byte("b")},
	} {
		if err := manual.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	for _, r := range c.Records(t, "letters") {
		got += string(r.Value)
	}
	if got != "abc" {
		t.Errorf("read %q, want %q", got, "abc")
	}
}

func TestAnEmptyTopicHasNoRecords(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(2, "nothing"))
	if got := c.Records(t, "nothing"); len(got) != 0 {
		t.Errorf("read %d records of a topic that has none", len(got))
	}
}
