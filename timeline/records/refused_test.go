package records_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline/records"
)

func TestRefusedDeliveriesAreCountedByTenantAsTheyCome(t *testing.T) {
	c, topics := kafkatest.New(t), schemas.NewTopics("halo.")
	c.CreateTopics(t, topics, 2)
	now := time.Now()
	refuse := func(tenant schemas.Tenant, ago time.Duration, result schemas.Refusal) {
		d := schemas.Refused{Tenant: tenant, Connection: schemas.ConnectionIDOf(tenant), At: schemas.Truncate(now.Add(-ago)), Result: result}
		c.Produce(t, kafka.Record(topics.Deliveries, string(tenant), schemas.RefusedSchema, d.AppendJSON(nil)))
	}
	refuse("acme", 30*time.Hour, "malformed")
	refuse("acme", 2*time.Hour, "too_large")
	r, err := records.NewRefused(c.Config, topics, now, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), c.Opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	refuse("other", time.Hour, "unauthorized")
	refuse("acme", time.Hour, "malformed")

	type told struct {
		n    int
		last schemas.Refusal
	}
	all := make(map[schemas.Tenant]told)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for all["acme"].n < 2 || all["other"].n < 1 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("told %v", all)
		}
		clear(all)
		r.Since(now.Add(-24*time.Hour), func(t schemas.Tenant, n int, last schemas.Refused) { all[t] = told{n, last.Result} })
	}
	if all["acme"] != (told{2, "malformed"}) || all["other"] != (told{1, "unauthorized"}) {
		t.Errorf("told %v", all)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}
