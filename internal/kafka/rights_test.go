//go:build synctests

package kafka_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
)

// asking are rights that are being asked for.
type asking struct {
	*kafka.Rights
	log *bytes.Buffer // to be read in a bubble at rest only
}

func ask(t *testing.T, cfg kafka.Config, reads, writes []string, opts ...kgo.Opt) asking {
	t.Helper()
	var log bytes.Buffer
	r := kafka.NewRights(cfg, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), reads, writes, opts...)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		began := time.Now()
		if err := <-ended; err != nil || time.Since(began) > time.Second {
			t.Errorf("ended with %v after %v", err, time.Since(began))
		}
	})
	return asking{r, &log}
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
		a := ask(t, c.Config, []string{"vault", "misspelt.events"}, []string{"vault", "misspelt.events", "misspelt.dead"}, c.Opts...)
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
		a := ask(t, c.Config, []string{"connections", "vault"}, []string{"events"}, c.Opts...)
		a.says(t, "events: TOPIC_AUTHORIZATION_FAILED: no right to write", "vault: TOPIC_AUTHORIZATION_FAILED")

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
		ask(t, c.Config, nil, []string{"events"}, c.Opts...).ready(t)
	})
}

// A broker that hangs takes connections and never answers.
func TestABrokerThatHangsHoldsUpNoStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ask(t, kafka.Config{Brokers: []string{"127.0.0.1:9092"}}, []string{"events"}, nil,
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
