package kafka

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// seeEvery is how long Visible waits before it asks again, and the longest that
// it waits for an answer.
const seeEvery = 5 * time.Second

// Visible asks for topics until Kafka shows each of them or ctx is done. Of a
// topic that is not there, or that cl may not see, a group assigns nothing and
// says nothing: its members would wait, and nobody would know for what. say is
// called with each reason why one cannot be seen, and with nil at the end if
// there was one; the log has each reason once.
func Visible(ctx context.Context, cl *kgo.Client, log *slog.Logger, topics []string, say func(error)) {
	said := ""
	for _, topic := range topics {
		for {
			asked, cancel := context.WithTimeout(ctx, seeEvery)
			_, err := EndOffsets(asked, cl, topic)
			cancel()
			if err == nil || ctx.Err() != nil {
				break
			}
			say(err)
			if text := err.Error(); text != said {
				said = text
				log.Warn("a topic cannot be seen, so nothing of it is assigned", "topic", topic, "err", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(seeEvery):
			}
		}
	}
	if said != "" && ctx.Err() == nil {
		say(nil)
	}
}
