package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/metric"
)

// lagEvery is how often the lag is looked at: twice per scrape of the usual
// fifteen seconds.
const lagEvery = 7 * time.Second

// WatchLag keeps, by topic, how many records of the partitions that cl owns in
// its group, as member, are not committed, until ctx is done. It asks Kafka rather than
// reckoning from what was polled: a consumer that is stuck in a batch polls
// nothing, and that is when the figure matters.
//
// What cannot be known is absent: while Kafka does not answer, while cl is not in
// its group, and of a topic that is gone or ends before what was committed of it.
// An old figure would look alive, and 0 would say that all is well. waiting, the
// same lag in seconds, is told what is known.
func WatchLag(ctx context.Context, cl *kgo.Client, member *Member, lag *prometheus.GaugeVec, waiting *metric.Waiting, topics ...string) {
	unknown := func(topic string) {
		lag.DeleteLabelValues(topic)
		waiting.Unknown(topic)
	}
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	defer func() {
		for _, topic := range topics {
			unknown(topic)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, topic := range topics {
				if n, err := lagOf(ctx, cl, member, topic); err == nil {
					lag.WithLabelValues(topic).Set(float64(n))
					waiting.Behind(topic, n)
				} else {
					unknown(topic)
				}
			}
		}
	}
}

// errNoLag says that there is no lag to be known.
var errNoLag = errors.New("lag unknown")

func lagOf(ctx context.Context, cl *kgo.Client, member *Member, topic string) (lag int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	if _, generation := cl.GroupMetadata(); generation < 0 {
		return 0, fmt.Errorf("%w: not in the group", errNoLag)
	}
	// Before the ends: what is committed meanwhile may lie behind them.
	all := member.committed(cl, topic)
	ends, err := EndOffsets(ctx, cl, topic)
	if err != nil {
		return 0, err
	}
	starts, err := StartOffsets(ctx, cl, topic)
	if err != nil {
		return 0, err
	}
	for partition, committed := range all {
		end, ok := ends[partition]
		if !ok || committed > end {
			return 0, fmt.Errorf("%w: partition %d ends before what was committed of it", errNoLag, partition)
		}
		lag += end - max(committed, starts[partition])
	}
	return lag, nil
}
