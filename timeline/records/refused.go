package records

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// Refused counts the refused deliveries of all tenants, by the hour: to read a day
// of them back whenever somebody asks would cost a flood of them its price again
// and again.
type Refused struct {
	cl  *kgo.Client
	log *slog.Logger

	mu      sync.Mutex
	tenants map[schemas.Tenant]*refused
}

// refused is what was refused of one tenant.
type refused struct {
	hours map[int64]int // by the Unix time of their beginning, in hours
	last  schemas.Refused
}

// remembered is how far back the counts reach.
const remembered = 48 * time.Hour

// NewRefused follows from the instant now less two days. opts are the last options
// of its client.
func NewRefused(cfg kafka.Config, topics schemas.Topics, now time.Time, log *slog.Logger, reg prometheus.Registerer, opts ...kgo.Opt) (*Refused, error) {
	cl, err := kafka.NewReader(cfg, topics.Deliveries, log, reg, append([]kgo.Opt{
		kgo.ConsumeStartOffset(kgo.NewOffset().AfterMilli(now.Add(-remembered).UnixMilli())),
		// What was deleted meanwhile is too old to be told.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, opts...)...)
	if err != nil {
		return nil, err
	}
	return &Refused{cl: cl, log: log, tenants: make(map[schemas.Tenant]*refused)}, nil
}

// Run follows the topic until ctx is done, and then returns nil.
func (r *Refused) Run(ctx context.Context) error {
	defer r.cl.Close()
	var complaints kafka.Complaints
	for {
		fetches := r.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		complaints.About(ctx, fetches, r.log)
		fetches.EachRecord(r.take)
	}
}

func (r *Refused) take(record *kgo.Record) {
	d, err := schemas.ParseRefused(record.Value)
	if err != nil || kafka.Schema(record) != schemas.RefusedSchema {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.tenants[d.Tenant]
	if of == nil {
		of = &refused{hours: make(map[int64]int)}
		r.tenants[d.Tenant] = of
	}
	hour := d.At.Unix() / 3600
	of.hours[hour]++
	if !d.At.Before(of.last.At) {
		of.last = d
	}
	for h := range of.hours {
		if h < hour-int64(remembered/time.Hour) {
			delete(of.hours, h)
		}
	}
}

// Since yields, for each tenant that had any, how many deliveries were refused in
// the hours since the one in which the instant lies, and the last of them.
func (r *Refused) Since(since time.Time, yield func(t schemas.Tenant, n int, last schemas.Refused)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t, of := range r.tenants {
		n := 0
		for hour, count := range of.hours {
			if hour >= since.Unix()/3600 {
				n += count
			}
		}
		if n > 0 {
			yield(t, n, of.last)
		}
	}
}
