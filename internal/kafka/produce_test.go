//go:build synctests

package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
)

func numbered(n int) []kgo.Record {
	records := make([]kgo.Record, n)
	for i := range records {
		records[i] = kgo.Record{Topic: "log", Value: fmt.Appendf(nil, "record %d", i)}
	}
	return records
}

// impatient makes the brokers refuse records in the way that the client repeats.
func impatient(c *kafkatest.Cluster) *kfake.FaultHandle {
	return c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
}

func TestAWaitIsBoundedAndARecordIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "log"))
		cl := c.Client(t)
		outage := impatient(c)
		// The first to come gives up first: the client would fail what waits
		// behind it on the partition, if it knew of his context.
		waits := make(chan error, 2)
		for i, patience := range []time.Duration{time.Second, time.Minute} {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				waits <- kafka.ProduceAll(ctx, cl, numbered(i+1))
			}()
			synctest.Wait()
		}
		if err := <-waits; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first wait ended with %v", err)
		}
		time.Sleep(10 * time.Second)
		outage.Remove()
		if err := <-waits; err != nil {
			t.Errorf("the second wait ended with %v: who went before took it down", err)
		}
		if got := len(c.Records(t, "log")); got != 3 {
			t.Errorf("the topic holds %d records, want all 3", got)
		}
	})
}

func TestARecordIsGivenUpAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "log"))
		cl := c.Client(t)
		impatient(c)
		start := time.Now()
		err := kafka.ProduceAll(t.Context(), cl, numbered(1))
		if took := time.Since(start); !errors.Is(err, kgo.ErrRecordTimeout) || took < time.Hour || took > time.Hour+time.Minute {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

func TestABatchForWhichThereIsNoRoomIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "log"))
		cl := c.Client(t)
		outage := impatient(c)
		const room = 64_000
		first := kafka.Send(t.Context(), cl, numbered(room-10), nil)
		settled := 0
		second := kafka.Send(t.Context(), cl, numbered(11), func(*kafka.Batch) { settled++ })
		select {
		case <-second.Done():
		default:
			t.Fatal("it waits for room")
		}
		if !errors.Is(second.Err(), kafka.ErrFull) || second.Acked() != 0 || settled != 1 {
			t.Errorf("%v, %d acknowledged, told %d times", second.Err(), second.Acked(), settled)
		}
		third := kafka.Send(t.Context(), cl, numbered(10), nil)
		outage.Remove()
		<-first.Done()
		<-third.Done()
		if first.Acked() != room-10 || third.Acked() != 10 {
			t.Errorf("%d and %d are acknowledged", first.Acked(), third.Acked())
		}
	})
}

func TestAProducerThatEndsSendsWhatItHolds(t *testing.T) {
	for name, back := range map[string]bool{"Kafka is back": true, "Kafka stays away": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "log"))
				cl := c.Client(t)
				outage := impatient(c)
				b := kafka.Send(t.Context(), cl, numbered(7), nil)
				if back {
					time.AfterFunc(3*time.Second, func() { outage.Remove() })
				}
				var said bytes.Buffer
				start := time.Now()
				kafka.Finish(cl, slog.New(slog.NewTextHandler(&said, nil)))
				if took := time.Since(start); took > 6*time.Second {
					t.Errorf("it took %v", took)
				}
				<-b.Done()
				if back {
					if b.Acked() != 7 || said.Len() > 0 {
						t.Errorf("%d of 7 were sent, and it said %s", b.Acked(), &said)
					}
				} else if b.Acked() != 0 || !strings.Contains(said.String(), "records=7") {
					t.Errorf("%d were sent, and it said %q", b.Acked(), said.String())
				}
			})
		})
	}
}
