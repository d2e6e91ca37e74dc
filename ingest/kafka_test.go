//go:build synctests

package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

var topics = schemas.NewTopics(schemas.DefaultTopicPrefix)

// plant is an edge on a cluster in memory, with a table that follows the
// connections topic. Call it in a bubble.
func plant(t *testing.T, opts ...kgo.Opt) (*kafkatest.Cluster, func() net.Conn) {
	t.Helper()
	c, _, dial := plantWithMetrics(t, opts...)
	return c, dial
}

func plantWithMetrics(t *testing.T, opts ...kgo.Opt) (*kafkatest.Cluster, *bench, func() net.Conn) {
	t.Helper()
	c := kafkatest.NewVirtual(t, kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094))
	c.CreateTopics(t, topics, 0)
	connect(t, c, demoConnection())

	silent, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	reader, err := kafka.NewReader(c.Config, topics.Connections, silent, reg, c.Opts...)
	if err != nil {
		t.Fatal(err)
	}
	connections := table.New(reader, topics.Connections, ingest.ParseConnection, silent, reg)
	edge, err := ingest.New(ingest.Config{}, connections, ingest.NewKafkaLog(c.Client(t, opts...), topics, reg), silent, reg)
	if err != nil {
		t.Fatal(err)
	}
	runs(t, connections.Run)
	b := &bench{edge: edge, reg: reg}
	dial, _ := b.serve(t)
	if err := connections.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, b, dial
}

// connect does what connect does before it answers.
func connect(t *testing.T, c *kafkatest.Cluster, connection schemas.Connection) {
	t.Helper()
	c.Produce(t, kafka.Record(topics.Connections, string(connection.ID), schemas.ConnectionSchema, connection.AppendJSON(nil)))
}

// numbered is the i-th event of a ticket.
func numbered(i int) string {
	return strings.Replace(changed, "0a1b2c3d4e5f", fmt.Sprintf("%012x", i), 1)
}

func TestWhatIsAnswered200IsInKafkaByThenAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, dial := plant(t)
		const deliveries, batch = 20, 3
		var want []schemas.ID
		for i := range deliveries {
			items := make([]string, batch)
			for j := range items {
				items[j] = numbered(i*batch + j)
				want = append(want, idOf(t, items[j]))
			}
			if got := send(t, dial, request("["+strings.Join(items, ",")+"]")); got.status != 200 {
				t.Fatalf("answered %d %s", got.status, got.body)
			}
			if n := len(c.Records(t, topics.Events)); n != (i+1)*batch {
				t.Fatalf("after %d deliveries Kafka holds %d events", i+1, n)
			}
		}
		for i, r := range c.Records(t, topics.Events) {
			e, err := schemas.ParseEvent(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			if e.ID != want[i] || string(r.Key) != "demo" || kafka.Schema(r) != schemas.EventSchema {
				t.Errorf("record %d is %s with the key %s and the schema %s", i, e.ID, r.Key, kafka.Schema(r))
			}
		}
	})
}

// idOf is the identity that the edge gives the event of body.
func idOf(t *testing.T, body string) schemas.ID {
	t.Helper()
	b := newBench(t, ingest.Config{})
	if code := b.deliver(body); code != http.StatusOK {
		t.Fatalf("answered %d", code)
	}
	return b.log.kept()[0].ID
}

func TestWithoutKafkaTheAnswerIs503WithinTwoSecondsAndNever200(t *testing.T) {
	for name, takeAway := range map[string]func(c *kafkatest.Cluster) (giveBack func()){
		"it refuses": func(c *kafkatest.Cluster) func() {
			return c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.KafkaStorageError, Count: -1}).Remove
		},
		"it has too few replicas": func(c *kafkatest.Cluster) func() {
			return c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1}).Remove
		},
		"it is silent": func(c *kafkatest.Cluster) func() {
			release := make(chan struct{})
			c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				c.SleepControl(func() { <-release })
				return nil, nil, false
			})
			return func() { close(release) }
		},
		"it hangs up": func(c *kafkatest.Cluster) func() {
			down := true
			c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				if down {
					return nil, net.ErrClosed, true
				}
				return nil, nil, false
			})
			return func() { down = false }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, dial := plant(t)
				if got := send(t, dial, request(numbered(0))); got.status != 200 {
					t.Fatalf("answered %d %s", got.status, got.body)
				}
				giveBack := takeAway(c)
				for i := range 30 {
					start := time.Now()
					got := send(t, dial, request(numbered(i+1)))
					if got.status != 503 || got.header.Get("Retry-After") == "" {
						t.Errorf("answered %d %s", got.status, got.body)
					}
					if took := time.Since(start); took >= 2*time.Second {
						t.Errorf("it took %v", took)
					}
				}
				giveBack()
				time.Sleep(15 * time.Second) // a broker that hung is given up in ten
				if got := send(t, dial, request(numbered(99))); got.status != 200 {
					t.Errorf("afterwards one is answered %d %s", got.status, got.body)
				}
				records := c.Records(t, topics.Events)
				if e, err := schemas.ParseEvent(records[len(records)-1].Value); err != nil || e.ID != idOf(t, numbered(99)) {
					t.Errorf("the last record is %v, %v", e.ID, err)
				}
			})
		})
	}
}

func TestAFullBufferIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 5
		c, dial := plant(t, kgo.MaxBufferedRecords(room))
		outage := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.KafkaStorageError, Count: -1})
		defer outage.Remove()
		start := time.Now()
		took := make(chan time.Duration, 4*room)
		for i := range cap(took) {
			go func() {
				if got := send(t, dial, request(numbered(i))); got.status != 503 {
					t.Errorf("answered %d %s", got.status, got.body)
				}
				took <- time.Since(start)
			}()
		}
		waited := 0
		for range cap(took) {
			if <-took > 100*time.Millisecond {
				waited++
			}
		}
		if waited != room {
			t.Errorf("%d of %d deliveries waited, want the %d that the buffer holds", waited, cap(took), room)
		}
	})
}

func TestALeaderThatMovesCostsNoDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, dial := plant(t)
		moved := 0
		for i := range 100 {
			for p := range int32(12) {
				if err := c.MoveTopicPartition(topics.Events, p, (c.LeaderFor(topics.Events, p)+1)%3); err != nil {
					t.Fatal(err)
				}
				moved++
			}
			if got := send(t, dial, request(numbered(i))); got.status != 200 {
				t.Errorf("delivery %d is answered %d %s", i, got.status, got.body)
			}
		}
		if n := len(c.Records(t, topics.Events)); n != 100 || moved == 0 {
			t.Errorf("Kafka holds %d events of 100 deliveries", n)
		}
	})
}

func TestASecretMayBeUsedAsSoonAsItsRecordIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, dial := plant(t)
		for i := range 1000 {
			secret := schemas.Secret(fmt.Sprint("secret ", i))
			renewed := demoConnection()
			renewed.Verifiers = []schemas.Verifier{schemas.NewVerifier(renewed.ID, secret)}
			connect(t, c, renewed)
			r := request(numbered(i))
			r.SetBasicAuth(string(renewed.ID), secret.Reveal())
			if got := send(t, dial, r); got.status != 200 || got.body != `{"events":1,"skipped":0}` {
				t.Fatalf("round %d: answered %d %s", i, got.status, got.body)
			}
		}
	})
}

func TestDuringARotationBothSecretsAreTakenAndTheOldWebhookIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, dial := plant(t)
		const fresh, old = "the new secret", demoSecret
		renewed := demoConnection()
		renewed.WebhookID = "feed0000-0000-4000-8000-000000000000"
		until := time.Now().Add(10 * time.Minute)
		renewed.Verifiers = []schemas.Verifier{
			schemas.NewVerifier(renewed.ID, fresh),
			{Hash: schemas.NewVerifier(renewed.ID, old).Hash, Until: until},
		}
		connect(t, c, renewed)
		deliver := func(secret, body string, status int, says string) {
			t.Helper()
			r := request(body)
			r.SetBasicAuth(string(renewed.ID), secret)
			if got := send(t, dial, r); got.status != status || !strings.Contains(got.body, says) {
				t.Errorf("answered %d %s", got.status, got.body)
			}
		}
		current := strings.Replace(changed, demoWebhook, renewed.WebhookID, 1)
		deliver(fresh, current, 200, `{"events":1,"skipped":0}`)
		deliver(old, changed, 200, `{"events":0,"skipped":1}`)
		time.Sleep(time.Until(until) - time.Second)
		deliver(old, changed, 200, `{"events":0,"skipped":1}`)
		time.Sleep(2 * time.Second)
		deliver(old, changed, 401, "unauthorized")
		deliver(fresh, current, 200, `{"events":1,"skipped":0}`)
		stale := 0
		for _, r := range c.Records(t, topics.Events) {
			if e, err := schemas.ParseEvent(r.Value); err == nil && e.Refusal == schemas.StaleWebhook {
				stale++
			}
		}
		if stale != 2 {
			t.Errorf("%d events are stale, want the 2 of the old webhook", stale)
		}
	})
}

// An event's kind is a part of its identity, and where the tenant has renamed its
// events only the notification tells the kind.
func TestWhatTheFormerWebhookSendsAgainIsTheSameEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, dial := plant(t)
		renamed := strings.Replace(changed, "ticket status changed", "Vorgang: neuer Stand", 1)
		if got := send(t, dial, request(renamed)); got.body != `{"events":1,"skipped":0}` {
			t.Fatalf("answered %d %s", got.status, got.body)
		}
		renewed := demoConnection()
		renewed.WebhookID = "feed0000-0000-4000-8000-000000000000"
		renewed.Verifiers = []schemas.Verifier{
			schemas.NewVerifier(renewed.ID, "the new secret"),
			{Hash: renewed.Verifiers[0].Hash, Until: time.Now().Add(10 * time.Minute)},
		}
		renewed.Notifications = map[int64]schemas.Kind{57: schemas.StatusChanged, 157: schemas.StatusChanged}
		connect(t, c, renewed)
		time.Sleep(time.Second) // the table has it by then
		if got := send(t, dial, request(renamed)); got.body != `{"events":0,"skipped":1}` {
			t.Fatalf("answered %d %s", got.status, got.body)
		}
		var events []schemas.Event
		for _, r := range c.Records(t, topics.Events) {
			e, err := schemas.ParseEvent(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		if len(events) != 2 || events[0].ID != events[1].ID || !events[0].EventTime.Equal(events[1].EventTime) || events[1].Refusal != schemas.StaleWebhook {
			t.Errorf("%+v", events)
		}
	})
}

// runs keeps f running until the test ends.
func runs(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := f(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}
