package broker_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/worksights/halo-connector/internal/embedded/broker"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

func TestATopicThatIsToBeCompactedIsKeptWholeInstead(t *testing.T) {
	b := start(t, broker.Config{Dir: t.TempDir()})
	cl := client(t, b.Addr())
	specs := []schemas.TopicSpec{{Name: "table", Compact: true, Partitions: 1}, {Name: "log", Retention: 1000, Partitions: 1}}
	ours := broker.TopicOptions()
	for _, c := range []struct {
		name    string
		options kafka.TopicOptions
	}{
		{"as haloctl creates it", kafka.TopicOptions{}},
		{"as we make it", ours},
		{"as haloctl alters it", kafka.TopicOptions{}},
	} {
		if err := kafka.EnsureTopics(t.Context(), cl, specs, c.options); err != nil {
			t.Fatal(err)
		}
		described, err := kadm.NewClient(cl).DescribeTopicConfigs(t.Context(), "table")
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]string{}
		for _, config := range described[0].Configs {
			have[config.Key] = config.MaybeValue()
		}
		for name, want := range map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"} {
			if have[name] != want {
				t.Errorf("%s: %s is %q, want %q", c.name, name, have[name], want)
			}
		}
	}
	described, err := kadm.NewClient(cl).DescribeTopicConfigs(t.Context(), "log")
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range described[0].Configs {
		if config.Key == "retention.ms" && config.MaybeValue() == "-1" {
			t.Error("a topic that is not compacted is kept for ever too")
		}
	}
}
