//go:build synctests

package kafka_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
)

// The brokers are replaced one after the other until none of KAFKA_BROKERS is
// left. Who runs has heard of the new ones; who starts by the old list finds
// nobody, and says so.
func TestBrokersThatMoveAreFollowedByWhoRunsAndNotFoundByWhoStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "events"))
		needs := kafka.Needs{Read: []string{"events"}, Write: []string{"events"}}
		running, producer := ask(t, c.Config, needs, c.Opts...), c.Client(t)
		produce := func() error {
			return producer.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("1")}).FirstErr()
		}
		time.Sleep(time.Minute)
		if err := produce(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.AddNode(1, 9093); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // metadata is asked for every ten seconds
		if err := c.RemoveNode(0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := running.Ready(); err != nil {
			t.Errorf("who runs: %v", err)
		}
		if err := produce(); err != nil {
			t.Errorf("who runs: %v", err)
		}

		stale := ask(t, c.Config, needs, c.Opts...)
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := stale.Ready(); err == nil || !strings.HasPrefix(err.Error(), "Kafka does not answer: ") {
			t.Errorf("who starts by the old list: %v", err)
		}
		if n := strings.Count(stale.log.String(), "not all topics can be relied on"); n != 1 {
			t.Errorf("who starts by the old list says so %d times:\n%s", n, stale.log)
		}
		renewed := c.Config
		renewed.Brokers = []string{"127.0.0.1:9093"}
		started := ask(t, renewed, needs, c.Opts...)
		time.Sleep(time.Minute)
		if err := started.Ready(); err != nil {
			t.Errorf("who starts by the new list: %v", err)
		}
	})
}
