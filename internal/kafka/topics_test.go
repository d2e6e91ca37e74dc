package kafka_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

func TestTopicsAreCreatedAsSpecifiedAndMayBeAppliedAgain(t *testing.T) {
	specs := []schemas.TopicSpec{
		{Name: "table", Compact: true, Partitions: 1},
		{Name: "log", Retention: 30 * 24 * time.Hour, Partitions: 12},
		{Name: "dead", Retention: 90 * 24 * time.Hour, Partitions: 1},
	}
	for _, tt := range []struct {
		name       string
		o          kafka.TopicOptions
		partitions map[string]int
		configs    map[string]map[string]string
	}{
		{"cluster", kafka.TopicOptions{}, map[string]int{"table": 1, "log": 12, "dead": 1}, map[string]map[string]string{
			"table": {"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000", "delete.retention.ms": "604800000"},
			"log":   {"cleanup.policy": "delete", "retention.ms": "2592000000"},
		}},
		{"embedded", kafka.TopicOptions{NoCompaction: true, MaxBytes: 1 << 20, Partitions: 3}, map[string]int{"table": 1, "log": 3, "dead": 1}, map[string]map[string]string{
			"table": {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"},
			"log":   {"cleanup.policy": "delete", "retention.ms": "2592000000", "retention.bytes": "1048576"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cl := kafkatest.New(t).Client(t)
			for range 2 {
				if err := kafka.EnsureTopics(t.Context(), cl, specs, tt.o); err != nil {
					t.Fatal(err)
				}
			}
			details, err := kadm.NewClient(cl).ListTopics(t.Context(), "table", "log", "dead")
			if err != nil {
				t.Fatal(err)
			}
			for topic, want := range tt.partitions {
				if got := len(details[topic].Partitions); got != want {
					t.Errorf("%s has %d partitions, want %d", topic, got, want)
				}
			}
			for topic, want := range tt.configs {
				got := config(t, cl, topic)
				for name, value := range want {
					if got[name] != value {
						t.Errorf("%s: %s = %q, want %q", topic, name, got[name], value)
					}
				}
			}
		})
	}
}

func TestApplyingAgainBringsAnExistingTopicToItsSpecAndKeepsItsPartitions(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(5, "log"))
	cl := c.Client(t)
	specs := []schemas.TopicSpec{{Name: "log", Retention: time.Hour, Partitions: 2}}
	if err := kafka.EnsureTopics(t.Context(), cl, specs, kafka.TopicOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := config(t, cl, "log")["retention.ms"]; got != "3600000" {
		t.Errorf("retention.ms = %q, want 3600000", got)
	}
	if got := len(c.PartitionInfos("log")); got != 5 {
		t.Errorf("the topic now has %d partitions, want the 5 it had", got)
	}
}

func TestThreeReplicasAcknowledgeWithTwoWhoeverChoseTheirNumber(t *testing.T) {
	specs := []schemas.TopicSpec{{Name: "log", Partitions: 2}}
	three := []kfake.Opt{kfake.NumBrokers(3), kfake.BrokerConfigs(map[string]string{"default.replication.factor": "3"})}
	for _, tt := range []struct {
		name     string
		cluster  []kfake.Opt
		replicas []int16 // as asked for in each round
		want     string  // min.insync.replicas
	}{
		{"asked for", three, []int16{3}, "2"},
		{"the cluster's default", three, []int16{0}, "2"},
		{"those of a topic that exists", three, []int16{3, 0}, "2"},
		{"not those of a topic that has one", three, []int16{1, 3}, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cl := kafkatest.New(t, tt.cluster...).Client(t)
			for _, n := range tt.replicas {
				if err := kafka.EnsureTopics(t.Context(), cl, specs, kafka.TopicOptions{Replication: n}); err != nil {
					t.Fatal(err)
				}
			}
			if got := config(t, cl, "log")["min.insync.replicas"]; got != tt.want {
				t.Errorf("min.insync.replicas = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestARefusedTopicIsReported(t *testing.T) {
	c := kafkatest.New(t)
	specs := []schemas.TopicSpec{{Name: "log", Partitions: 1}}
	err := kafka.EnsureTopics(t.Context(), c.Client(t), specs, kafka.TopicOptions{Replication: 3})
	if !errors.Is(err, kerr.InvalidReplicationFactor) {
		t.Errorf("three replicas on one broker: %v, want %v", err, kerr.InvalidReplicationFactor)
	}
}

func TestEndOffsetsKnowAPartitionThatWasJustAdded(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "log"))
	cl := c.Client(t, kgo.MetadataMinAge(time.Minute), kgo.MetadataMaxAge(time.Hour))
	end := func() map[int32]int64 {
		t.Helper()
		offsets, err := kafka.EndOffsets(t.Context(), cl, "log")
		if err != nil {
			t.Fatal(err)
		}
		return offsets
	}
	if got := end(); len(got) != 1 || got[0] != 0 {
		t.Errorf("end offsets of an empty topic = %v", got)
	}
	// By another client: cl has no reason of its own to look again.
	writer := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if _, err := kadm.NewClient(writer).UpdatePartitions(t.Context(), 2, "log"); err != nil {
		t.Fatal(err)
	}
	if err := writer.ProduceSync(t.Context(), &kgo.Record{Topic: "log", Partition: 1}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := end(); len(got) != 2 || got[0] != 0 || got[1] != 1 {
		t.Errorf("end offsets after a record on the new partition = %v", got)
	}
}

func TestEndOffsetsOfATopicThatDoesNotExistFail(t *testing.T) {
	_, err := kafka.EndOffsets(t.Context(), kafkatest.New(t).Client(t), "nowhere")
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("EndOffsets = %v, want %v", err, kerr.UnknownTopicOrPartition)
	}
}

func config(t *testing.T, cl *kgo.Client, topic string) map[string]string {
	t.Helper()
	rcs, err := kadm.NewClient(cl).DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, rc := range rcs {
		if rc.Err != nil {
			t.Fatal(rc.Err)
		}
		for _, c := range rc.Configs {
			if c.Value != nil {
				got[c.Key] = *c.Value
			}
		}
	}
	return got
}

func TestApplyingNamesATableInPiecesAndAppliesTheOthers(t *testing.T) {
	cl := kafkatest.New(t, kfake.SeedTopics(3, "mappings")).Client(t)
	specs := []schemas.TopicSpec{{Name: "mappings", Compact: true, Partitions: 1}, {Name: "vault", Compact: true, Partitions: 1}, {Name: "log", Retention: time.Hour, Partitions: 2}}
	applied, err := kafka.ApplyTopics(t.Context(), cl, specs, kafka.TopicOptions{})
	if !errors.Is(err, kafka.ErrPartitions) || !strings.Contains(err.Error(), "topic mappings") || !strings.Contains(err.Error(), "it has 3") || strings.Contains(err.Error(), "vault") {
		t.Errorf("error %v", err)
	}
	if len(applied) != 2 || !applied["vault"].Created || applied["log"].Partitions != 2 {
		t.Errorf("applied %+v", applied)
	}
	if got := config(t, cl, "mappings")["cleanup.policy"]; got != "compact" {
		t.Errorf("the table in pieces has the policy %q", got)
	}
}

func TestApplyingMendsATableThatLosesRecordsAndSaysWhatItHad(t *testing.T) {
	cl := kafkatest.New(t, kfake.SeedTopics(1, "vault")).Client(t)
	hour := "3600000"
	if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &hour}}, "vault"); err != nil {
		t.Fatal(err)
	}
	specs := []schemas.TopicSpec{{Name: "vault", Compact: true, Partitions: 1}}
	applied, err := kafka.ApplyTopics(t.Context(), cl, specs, kafka.TopicOptions{})
	if err != nil || !slices.Contains(applied["vault"].Mended, "cleanup.policy=delete") {
		t.Errorf("%+v, %v", applied, err)
	}
	if applied, err = kafka.ApplyTopics(t.Context(), cl, specs, kafka.TopicOptions{}); err != nil || len(applied["vault"].Mended) != 0 {
		t.Errorf("the second time %+v, %v", applied, err)
	}
}

// A broker may take a setting and keep its own, as the embedded one does.
func TestApplyingNamesATableThatLosesRecordsAfterAll(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "vault"))
	c.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := kreq.(*kmsg.IncrementalAlterConfigsRequest)
		for i := range req.Resources {
			req.Resources[i].Configs = nil
		}
		return nil, nil, false
	})
	_, err := kafka.ApplyTopics(t.Context(), c.Client(t), []schemas.TopicSpec{{Name: "vault", Compact: true, Partitions: 1}}, kafka.TopicOptions{})
	if err == nil || !strings.Contains(err.Error(), "topic vault") || !strings.Contains(err.Error(), "retention.ms") {
		t.Errorf("error %v", err)
	}
}

func TestPartitionsAreRaisedWhereAskedForAndNeverThoseOfOne(t *testing.T) {
	c := kafkatest.New(t)
	cl := c.Client(t)
	specs := []schemas.TopicSpec{{Name: "mappings", Compact: true, Partitions: 1}, {Name: "events", Retention: time.Hour, Partitions: 12}, {Name: "dead", Retention: time.Hour, Partitions: 1}}
	has := func(o kafka.TopicOptions, want int) error {
		t.Helper()
		_, err := kafka.ApplyTopics(t.Context(), cl, specs, o)
		for topic, n := range map[string]int{"mappings": 1, "events": want, "dead": 1} {
			if got := len(c.PartitionInfos(topic)); got != n {
				t.Errorf("%s has %d partitions, want %d", topic, got, n)
			}
		}
		return err
	}
	for _, step := range []struct {
		o    kafka.TopicOptions
		want int
	}{{kafka.TopicOptions{Partitions: 3}, 3}, {kafka.TopicOptions{Partitions: 24}, 3}, {kafka.TopicOptions{Partitions: 3, Raise: 24}, 24}, {kafka.TopicOptions{Raise: 24}, 24}} {
		if err := has(step.o, step.want); err != nil {
			t.Errorf("%+v: %v", step.o, err)
		}
	}
	if err := has(kafka.TopicOptions{Raise: 6}, 24); !errors.Is(err, kafka.ErrFewer) || !strings.Contains(err.Error(), "topic events") {
		t.Errorf("fewer: %v", err)
	}
}
