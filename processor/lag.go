package processor

import (
	"context"
	"time"

	"github.com/worksights/halo-connector/internal/kafka"
)

// lagEvery is how often the lag is looked at: twice per scrape of the usual
// fifteen seconds.
const lagEvery = 7 * time.Second

// watchLag keeps the lag gauge, until ctx is done. It asks Kafka rather than
// reckoning from what was polled: a processor that is stuck in a batch polls
// nothing, and that is when the figure matters.
func (p *Processor) watchLag(ctx context.Context) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// On an error the gauge keeps its value: Kafka is away, and the
			// alert for that is another.
			if lag, err := p.lag(ctx); err == nil {
				p.metrics.lag.Set(float64(lag))
			}
		}
	}
}

// lag is how many records of our partitions are not committed.
func (p *Processor) lag(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	ends, err := kafka.EndOffsets(ctx, p.consumer, p.input)
	if err != nil {
		return 0, err
	}
	starts, err := kafka.StartOffsets(ctx, p.consumer, p.input)
	if err != nil {
		return 0, err
	}
	var lag int64
	for partition, committed := range p.consumer.CommittedOffsets()[p.input] {
		// -1 before the first commit.
		lag += max(0, ends[partition]-max(committed.Offset, starts[partition]))
	}
	return lag, nil
}
