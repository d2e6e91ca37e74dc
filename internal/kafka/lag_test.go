//go:build synctests

package kafka_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/metric"
)

// A lag of 0 that is none has hidden a stage that stood still.
func TestALagThatCannotBeKnownIsAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.NewVirtual(t, kfake.SeedTopics(1, "events"))
		refusal := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, Count: -1})
		reg := prometheus.NewRegistry()
		lag, waiting := metric.Lag(reg), metric.NewWaiting(reg, "events")
		is := func(when string, want ...float64) { // in records and, nothing being in hand, in seconds
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			var got []float64
			for _, f := range families {
				for _, m := range f.GetMetric() {
					got = append(got, m.GetGauge().GetValue())
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: a lag of %v, want %v", when, got, want)
			}
		}
		record := func() *kgo.Record { return &kgo.Record{Topic: "events", Value: []byte("x")} }

		member := kafka.NewMember()
		cl, err := kafka.NewConsumer(c.Config, "group", []string{"events"}, slog.New(slog.DiscardHandler), nil, append(member.Opts(), c.Opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		defer kafka.Leave(cl)
		ctx, stop := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() { defer close(watched); kafka.WatchLag(ctx, cl, member, lag, waiting, "events") }()

		is("not let into the group")
		refusal.Remove()
		c.Produce(t, record(), record(), record())
		for n := 0; n < 3; {
			n += cl.PollFetches(t.Context()).NumRecords()
			member.Allow(cl)
		}
		is("waiting, and nothing comes into hand", 3)
		if err := cl.CommitUncommittedOffsets(t.Context()); err != nil {
			t.Fatal(err)
		}
		is("all committed", 0, 0)
		outage := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.KafkaStorageError, Count: -1})
		is("no answer")
		outage.Remove()
		is("an answer again", 0, 0)
		remove(t, c, "events")
		is("the topic is gone")
		create(t, c, "events")
		c.Produce(t, record())
		is("another topic in its place, shorter than what was committed")
		stop()
		<-watched
	})
}
