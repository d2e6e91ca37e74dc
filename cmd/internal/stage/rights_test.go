package stage

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

// A stage with another right than deploy/kafka/acls gives it would never be
// ready where that file was applied, or be ready without one that it needs.
func TestAStageWaitsForTheRightsThatTheFileOfRightsGives(t *testing.T) {
	const prefix = "halo."
	topics := schemas.NewTopics(prefix)
	opts := []kfake.Opt{kfake.EnableACLs(), kfake.Superuser(kafka.Plain, "admin", "secret")}
	for _, program := range []string{"ingest", "processor", "sink", "connect"} {
		// To see a topic is no right to use it.
		opts = append(opts, kfake.User(kafka.Plain, program, "secret", kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: prefix, Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: kmsg.ACLOperationDescribe, Allow: true,
		}))
	}
	cluster := kafkatest.New(t, opts...)
	reach := func(user string) config.Kafka {
		return config.Kafka{
			KafkaBrokers: cluster.Config.Brokers, TopicPrefix: prefix,
			KafkaSASLMechanism: kafka.Plain, KafkaSASLUser: user, KafkaSASLPassword: "secret",
		}
	}
	cluster.Config.SASLMechanism, cluster.Config.SASLUser, cluster.Config.SASLPassword = kafka.Plain, "admin", "secret"
	cluster.CreateTopics(t, topics, 1)

	database := config.ClickHouse{ClickHouseDSN: "http://127.0.0.1:1/worksights"} // not asked
	dir := t.TempDir()
	control := config.Connect{
		ListenAddr: "127.0.0.1:0", PublicIngestURL: "http://127.0.0.1:8080", ClickHouse: database, Kafka: reach("connect"),
		KeysetFile: filepath.Join(dir, "keyset.json"), APITokensFile: filepath.Join(dir, "api-tokens"),
	}
	if err := vault.NewKeyset(control.KeysetFile); err != nil {
		t.Fatal(err)
	}
	if _, err := access.New(control.APITokensFile, access.Grant{Name: "test"}); err != nil {
		t.Fatal(err)
	}
	for program, assemble := range map[string]func(context.Context, *slog.Logger, *prometheus.Registry) ([]daemon.Component, error){
		"ingest": func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
			return Ingest(ctx, config.Ingest{ListenAddr: "127.0.0.1:0", Kafka: reach("ingest")}, log, reg)
		},
		"processor": func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
			return Processor(ctx, config.Processor{
				KafkaGroup: "processor", Kafka: reach("processor"),
				Weights: config.Weights{WeightTicketLogged: 1, WeightStatusChanged: 1, WeightUpdatedByAgent: 1, WeightUpdatedByUser: 0.25},
			}, log, reg)
		},
		"sink": func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
			return Sink(ctx, config.Sink{KafkaGroup: "sink", ClickHouse: database, Kafka: reach("sink")}, log, reg)
		},
		"connect": func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
			return Connect(ctx, control, log, reg)
		},
	} {
		t.Run(program, func(t *testing.T) {
			want := map[string]bool{}
			all := granted(t, program)
			for _, r := range all {
				// The settings of what it only writes complete a complaint: nothing
				// waits for them.
				if r.operation == "DescribeConfigs" && !slices.Contains(all, right{"Read", r.topic}) {
					continue
				}
				want[fmt.Sprintf("%s%s: TOPIC_AUTHORIZATION_FAILED: no right to %s", prefix, r.topic, r.operation)] = true
			}
			got := missing(t, program, assemble)
			if !maps.Equal(got, want) {
				t.Errorf("waits for\n%s\nand is given\n%s", lines(got), lines(want))
			}
		})
	}
}

func lines(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), "\n")
}

type right struct{ operation, topic string }

// granted are the rights to topics that deploy/kafka/acls gives a program.
func granted(t *testing.T, program string) (all []right) {
	t.Helper()
	b, err := os.ReadFile("../../../deploy/kafka/acls")
	if err != nil {
		t.Fatal(err)
	}
	tables := make(map[string]bool)
	for _, spec := range schemas.NewTopics("").Specs() {
		tables[spec.Name] = spec.Compact
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != program {
			continue
		}
		for operation := range strings.SplitSeq(fields[1], ",") {
			for _, resource := range fields[2:] {
				topic, ok := strings.CutPrefix(resource, "topic:")
				// How an output is configured is asked for a line in the log, which
				// says what a record is too large for: nobody waits for the right.
				if ok && (operation != "DescribeConfigs" || tables[topic]) {
					all = append(all, right{operation, topic})
				}
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("the file of rights knows nothing of it: this proves nothing")
	}
	return all
}

// missing is what a stage says that Kafka does not grant.
func missing(t *testing.T, program string, assemble func(context.Context, *slog.Logger, *prometheus.Registry) ([]daemon.Component, error)) map[string]bool {
	t.Helper()
	admin := freeAddr(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- daemon.Run(ctx, daemon.Config{Program: "test", AdminAddr: admin, LogLevel: "error", LogFormat: "text"}, assemble)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		ready, why, err := daemon.Ask(t.Context(), admin)
		if ready {
			t.Fatal("ready without a right")
		}
		for line := range strings.Lines(why) {
			lacks, ok := strings.CutPrefix(strings.TrimSpace(line), program+" topics: ")
			if !ok || !strings.Contains(lacks, "no right") {
				continue
			}
			set := map[string]bool{}
			for lack := range strings.SplitSeq(lacks, "; ") {
				set[lack] = true
			}
			return set
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it says %q, %v", why, err)
		}
	}
}
