package sink

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/worksights/halo-connector/internal/clickhouse"
)

// How soon the copies are looked at again: a replica that is away for less than a
// minute is nobody's concern, and a server that did not answer is asked sooner.
const (
	copiesEvery = time.Minute
	copiesAgain = 5 * time.Second
)

// watchCopies says, at the start and when it changes, on how many replicas the
// table is, and keeps the gauge until ctx is done. It only tells: an insert is
// answered by one replica however many there are, unless insert_quorum asks for
// more, and rows wait for none that is away.
func (s *Sink) watchCopies(ctx context.Context) {
	defer s.metrics.copies.Reset()
	var said *clickhouse.Copies
	failing := false
	for {
		next := copiesEvery
		c, err := s.cfg.Copies(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			next = copiesAgain
			s.metrics.copies.Reset() // an old figure would look alive
			if !failing {
				s.log.WarnContext(ctx, "how many replicas stand behind an insert is not known", "err", clickhouse.Redact(err))
			}
		default:
			s.metrics.copies.WithLabelValues("all").Set(float64(c.Total))
			s.metrics.copies.WithLabelValues("active").Set(float64(c.Active))
			if said == nil || said.Total != c.Total || !slices.Equal(said.Missing, c.Missing) {
				s.log.InfoContext(ctx, "an insert is answered by one replica, unless insert_quorum asks for more",
					"replicas", c.Total, "active", c.Active, "missing", strings.Join(c.Missing, ","))
			}
			said = &c
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}
