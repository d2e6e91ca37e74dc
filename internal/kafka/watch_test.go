//go:build synctests

package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
)

// asking is a watch of a stage's topics.
type asking struct {
	*kafka.Watch
	log   *bytes.Buffer // to be read in a bubble at rest only
	reg   *prometheus.Registry
	ended chan error
}

func ask(t *testing.T, cfg kafka.Config, needs kafka.Needs, opts ...kgo.Opt) asking {
	t.Helper()
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	w := kafka.NewWatch(cfg, "stage", needs, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), reg, opts...)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	a := asking{w, &log, reg, ended}
	t.Cleanup(func() {
		stop()
		began := time.Now()
		if err := <-ended; err != nil || time.Since(began) > time.Second {
			t.Errorf("ended with %v after %v", err, time.Since(began))
		}
	})
	return a
}

// ends waits until the watch ends by itself.
func (a asking) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-a.ended:
		a.ended <- nil // for the cleanup
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("it did not end")
		return nil
	}
}

// faults are the series of the metric, as topic/fault.
func (a asking) faults(t *testing.T) (all []string) {
	t.Helper()
	families, err := a.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			all = append(all, labels["topic"]+"/"+labels["fault"])
		}
	}
	return all
}

// says checks what Ready says after a minute, and that the log said it once.
func (a asking) says(t *testing.T, wants ...string) {
	t.Helper()
	time.Sleep(time.Minute)
	synctest.Wait()
	err := a.Ready()
	if err == nil {
		t.Fatal("ready")
	}
	if got := strings.Count(err.Error(), "; ") + 1; got != len(wants) {
		t.Errorf("%d reasons, want %d: %v", got, len(wants), err)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
		if n := strings.Count(a.log.String(), want); n != 1 {
			t.Errorf("the log says %q %d times", want, n)
		}
	}
}

func (a asking) ready(t *testing.T) {
	t.Helper()
	time.Sleep(time.Minute)
	if err := a.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

func TestATopicThatIsNotThereIsNamedUntilItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "vault"))
		a := ask(t, c.Config, kafka.Needs{Read: []string{"vault", "misspelt.events"}, Write: []string{"vault", "misspelt.events", "misspelt.dead"}}, c.Opts...)
		a.says(t, "misspelt.events: UNKNOWN_TOPIC_OR_PARTITION", "misspelt.dead: UNKNOWN_TOPIC_OR_PARTITION")
		adm := kadm.NewClient(c.Client(t))
		if _, err := adm.CreateTopics(t.Context(), 1, 1, nil, "misspelt.events"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := a.Ready(); err == nil || strings.Contains(err.Error(), "misspelt.events") {
			t.Errorf("one of two is there: %v", err)
		}
		if _, err := adm.CreateTopics(t.Context(), 1, 1, nil, "misspelt.dead"); err != nil {
			t.Fatal(err)
		}
		a.ready(t)
	})
}

func TestARightThatIsMissingIsNamedUntilItIsGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		may := func(topic string, op kmsg.ACLOperation) kfake.ACL {
			return kfake.ACL{
				Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true,
			}
		}
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "events", "connections", "vault"), kfake.EnableACLs(),
			kfake.Superuser(kafka.Plain, "admin", "secret"),
			kfake.User(kafka.Plain, "ingest", "secret", may("events", kmsg.ACLOperationRead), may("connections", kmsg.ACLOperationRead)))
		c.Config.SASLMechanism, c.Config.SASLUser, c.Config.SASLPassword = kafka.Plain, "ingest", "secret"
		a := ask(t, c.Config, kafka.Needs{Read: []string{"connections", "vault"}, Write: []string{"events"}}, c.Opts...)
		a.says(t, "events: TOPIC_AUTHORIZATION_FAILED: no right to Write", "vault: TOPIC_AUTHORIZATION_FAILED")

		c.Config.SASLUser = "admin"
		adm := kadm.NewClient(c.Client(t))
		right := kadm.NewACLs().Allow("User:ingest").AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
		grant := func(b *kadm.ACLBuilder) {
			t.Helper()
			if _, err := adm.CreateACLs(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		writes, reads := *right, *right
		grant(writes.Topics("events").Operations(kadm.OpWrite))
		grant(reads.Topics("vault").Operations(kadm.OpRead))
		a.ready(t)

		if _, err := adm.DeleteACLs(t.Context(), writes.Topics("events").Operations(kadm.OpWrite)); err != nil {
			t.Fatal(err)
		}
		a.ready(t) // the edge's answers and metrics say it now
	})
}

// Brokers before Kafka 2.3, and some that speak its protocol, say of no topic
// what may be done with it.
func TestABrokerThatDoesNotTellIsTakenAtItsWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t)
		c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			asked := req.(*kmsg.MetadataRequest)
			if !asked.IncludeTopicAuthorizedOperations {
				return nil, nil, false
			}
			resp := asked.ResponseKind().(*kmsg.MetadataResponse)
			for _, topic := range asked.Topics {
				told := kmsg.NewMetadataResponseTopic()
				told.Topic = topic.Topic
				resp.Topics = append(resp.Topics, told)
			}
			return resp, nil, true
		})
		ask(t, c.Config, kafka.Needs{Write: []string{"events"}}, c.Opts...).ready(t)
	})
}

// A broker that hangs takes connections and never answers.
func TestABrokerThatHangsHoldsUpNoStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ask(t, kafka.Config{Brokers: []string{"127.0.0.1:9092"}}, kafka.Needs{Read: []string{"events"}},
			kgo.Dialer(func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				t.Cleanup(func() { _ = theirs.Close() })
				return ours, nil
			}))
		if err := a.Ready(); err == nil || err.Error() != "Kafka has not answered yet" {
			t.Errorf("before an answer: %v", err)
		}
		time.Sleep(time.Minute + time.Second) // in the middle of a question
		if err := a.Ready(); err == nil || !strings.HasPrefix(err.Error(), "Kafka does not answer: ") {
			t.Errorf("without an answer: %v", err)
		}
	})
}

func remove(t *testing.T, c *kafkatest.Cluster, topic string) {
	t.Helper()
	if _, err := kadm.NewClient(c.Client(t)).DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, c *kafkatest.Cluster, topic string) {
	t.Helper()
	if _, err := kadm.NewClient(c.Client(t)).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

// Between two looks a topic may be gone and back: its id tells.
func TestATopicThatWasDeletedAndMadeAgainEndsTheStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "events", "activities"))
		a := ask(t, c.Config, kafka.Needs{Read: []string{"events"}, Write: []string{"activities"}}, c.Opts...)
		a.ready(t)
		began := time.Now()
		remove(t, c, "activities")
		create(t, c, "activities")
		err := a.ends(t)
		if !errors.Is(err, kafka.ErrReplaced) || !strings.Contains(err.Error(), "activities") || time.Since(began) > 3*time.Second {
			t.Errorf("%v after %v, want ErrReplaced within 3 s", err, time.Since(began))
		}
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "deleted and made again") {
			t.Errorf("ready says %v", err)
		}
	})
}

func TestATopicThatIsGoneIsSaidOnceAndEndsTheStageWhenItIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "events"))
		a := ask(t, c.Config, kafka.Needs{Read: []string{"events"}}, c.Opts...)
		a.ready(t)
		remove(t, c, "events")
		a.says(t, "events: was deleted")
		if got := a.faults(t); !slices.Equal(got, []string{"events/gone"}) {
			t.Errorf("the metric shows %v", got)
		}
		create(t, c, "events")
		if err := a.ends(t); !errors.Is(err, kafka.ErrReplaced) {
			t.Errorf("ended with %v", err)
		}
		if got := a.faults(t); len(got) != 0 {
			t.Errorf("afterwards the metric shows %v", got)
		}
	})
}

func TestATableInPiecesEndsTheStageWithItsNameAndNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(3, "events", "mappings"), kfake.SeedTopics(1, "vault"))
		needs := func(table string) kafka.Needs {
			return kafka.Needs{Read: []string{"events", table}, Tables: []string{table}}
		}
		want := func(a asking, words string) {
			t.Helper()
			if err := a.ends(t); !errors.Is(err, kafka.ErrPartitions) || !strings.Contains(err.Error(), words) {
				t.Errorf("ended with %v, want %q", err, words)
			}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		a := ask(t, c.Config, needs("mappings"), c.Opts...)
		want(a, "topic mappings is a table and must have one partition: it has 3")
		if a.Checked(short) == nil {
			t.Error("it counts as checked")
		}
		a = ask(t, c.Config, needs("vault"), c.Opts...)
		time.Sleep(time.Minute)
		if err := a.Checked(t.Context()); err != nil {
			t.Errorf("a sound table: %v", err)
		}
		if _, err := kadm.NewClient(c.Client(t)).UpdatePartitions(t.Context(), 2, "vault"); err != nil {
			t.Fatal(err)
		}
		want(a, "topic vault is a table and must have one partition: it has 2")
	})
}

func TestATableThatWouldLoseRecordsIsNamedUntilItIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t)
		adm := kadm.NewClient(c.Client(t))
		config := func(pairs ...string) map[string]*string {
			m := make(map[string]*string)
			for i := 0; i < len(pairs); i += 2 {
				m[pairs[i]] = &pairs[i+1]
			}
			return m
		}
		make := func(topic string, pairs ...string) {
			t.Helper()
			if _, err := adm.CreateTopic(t.Context(), 1, 1, config(pairs...), topic); err != nil {
				t.Fatal(err)
			}
		}
		make("compact", "cleanup.policy", "compact", "retention.ms", "3600000")
		make("kept", "cleanup.policy", "delete", "retention.ms", "-1", "retention.bytes", "-1") // as the embedded broker does
		make("default")
		make("both", "cleanup.policy", "compact,delete", "retention.ms", "3600000")
		make("small", "cleanup.policy", "delete", "retention.ms", "-1", "retention.bytes", "1000000")
		tables := []string{"compact", "kept", "default", "both", "small"}
		a := ask(t, c.Config, kafka.Needs{Read: tables, Tables: tables}, c.Opts...)
		a.says(t,
			"default: is a table and would lose records by its cleanup.policy=delete with retention.ms=604800000",
			"both: is a table and would lose records by its cleanup.policy=compact,delete with retention.ms=3600000",
			"small: is a table and would lose records by its cleanup.policy=delete with retention.bytes=1000000")
		if got := a.faults(t); !slices.Equal(got, []string{"both/policy", "default/policy", "small/policy"}) {
			t.Errorf("the metric shows %v", got)
		}
		set := func(topic, name, value string) {
			t.Helper()
			if _, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic); err != nil {
				t.Fatal(err)
			}
		}
		for _, topic := range []string{"default", "both", "small"} {
			set(topic, "cleanup.policy", "compact")
		}
		a.ready(t)
		set("compact", "cleanup.policy", "delete") // somebody, while it runs
		a.says(t, "compact: is a table and would lose records")
	})
}
