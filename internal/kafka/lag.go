package kafka

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lagEvery is how often the lag is looked at: twice per scrape of the usual
// fifteen seconds.
const lagEvery = 7 * time.Second

// WatchLag keeps, by topic, how many records of the partitions that cl owns in
// its group are not committed, until ctx is done. It asks Kafka rather than
// reckoning from what was polled: a consumer that is stuck in a batch polls
// nothing, and that is when the figure matters.
func WatchLag(ctx context.Context, cl *kgo.Client, lag *prometheus.GaugeVec, topics ...string) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, topic := range topics {
				// On an error the gauge keeps its value: Kafka is away, and the
				// alert for that is another.
				if n, err := lagOf(ctx, cl, topic); err == nil {
					lag.WithLabelValues(topic).Set(float64(n))
				}
			}
		}
	}
}

func lagOf(ctx context.Context, cl *kgo.Client, topic string) (lag int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	ends, err := EndOffsets(ctx, cl, topic)
	if err != nil {
		return 0, err
	}
	starts, err := StartOffsets(ctx, cl, topic)
	if err != nil {
		return 0, err
	}
	for partition, committed := range cl.CommittedOffsets()[topic] {
		// -1 before the first commit.
		lag += max(0, ends[partition]-max(committed.Offset, starts[partition]))
	}
	return lag, nil
}
