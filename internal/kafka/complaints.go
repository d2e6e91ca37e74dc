package kafka

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// againAfter is how long a complaint stays said.
const againAfter = 5 * time.Minute

// Complaints log what a consumer could not fetch. The client says it at every
// poll, four times a second; here each reason is one line, and another one five
// minutes later. The zero value has said nothing.
type Complaints struct{ said map[complaint]time.Time }

type complaint struct{ topic, cause string }

// About logs what fetches could not bring. Call it with each poll.
func (c *Complaints) About(ctx context.Context, fetches kgo.Fetches, log *slog.Logger) {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, kgo.ErrClientClosed) {
			continue // the poll had its time
		}
		this := complaint{e.Topic, cause(e.Err).Error()}
		if at, ok := c.said[this]; ok && time.Since(at) < againAfter {
			continue
		}
		if c.said == nil {
			c.said = make(map[complaint]time.Time)
		}
		c.said[this] = time.Now()
		if session := (*kgo.ErrGroupSession)(nil); errors.As(e.Err, &session) {
			log.WarnContext(ctx, "out of the consumer group, rejoining", "err", e.Err)
		} else {
			log.WarnContext(ctx, "cannot fetch, trying on", "topic", e.Topic, "partition", e.Partition, "err", e.Err)
		}
	}
}

// cause is what lies under an error. What lies over it names a port, of which
// each try has its own.
func cause(err error) error {
	for {
		under := errors.Unwrap(err)
		if under == nil {
			return err
		}
		err = under
	}
}
