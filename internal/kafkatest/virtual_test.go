//go:build synctests

package kafkatest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafkatest"
)

func TestAnHourOfOutagePassesAtOnceInABubble(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "log"))
		outage := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.KafkaStorageError, Count: -1})
		time.AfterFunc(time.Hour, outage.Remove)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		start := time.Now()
		// Ours give a record up after an hour.
		patient := c.Client(t, kgo.RecordDeliveryTimeout(2*time.Hour))
		if err := patient.ProduceSync(ctx, &kgo.Record{Topic: "log", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < time.Hour {
			t.Errorf("acknowledged after %v, inside the outage", d)
		}
		if outage.Hits() == 0 {
			t.Error("the outage met no request: this proves nothing")
		}
	})
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("the bubble took %v of real time", d)
	}
}
