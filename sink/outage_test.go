//go:build synctests

package sink_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/sink"
)

var errAway = fmt.Errorf("append: %w", syscall.ECONNREFUSED)

func TestAFailedAppendIsRepeatedWithLongerAndLongerPauses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var at []time.Time
		p := w.start(func(_ context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
			if at = append(at, time.Now()); len(at) <= 12 {
				keep(rows[:len(rows)/2]) // a part is there, and visible
				return errAway
			}
			keep(rows)
			return nil
		})
		time.Sleep(after)
		if err := p.Ready(); err != nil {
			t.Errorf("not ready before the outage: %v", err)
		}
		w.produce(0, 100)
		time.Sleep(10 * time.Second)
		if err := p.Ready(); err == nil {
			t.Error("ready while appends fail")
		}
		if n := w.uncommitted(); n != 100 {
			t.Errorf("%d records uncommitted while appends fail, want all 100", n)
		}
		time.Sleep(3 * after)
		if len(at) != 13 {
			t.Fatalf("%d attempts, want 13", len(at))
		}
		for i := range 12 {
			pause, want := at[i+1].Sub(at[i]), min(250*time.Millisecond<<i, 15*time.Second)
			if pause < want*3/4-time.Millisecond || pause > want*5/4+time.Millisecond {
				t.Errorf("pause %d is %v, want %v give or take a quarter", i, pause, want)
			}
		}
		if err := p.Ready(); err != nil {
			t.Errorf("not ready after the outage: %v", err)
		}
		w.settled()
		if n := counter(t, p, "halo_sink_failures_total", "append"); n != 12 {
			t.Errorf("halo_sink_failures_total counts %v failures, want 12", n)
		}
		if n := counter(t, p, "halo_sink_rows_total", "outcomes_log"); n != 100 {
			t.Errorf("halo_sink_rows_total counts %v rows, want 100", n)
		}
	})
}

func counter(t *testing.T, p *process, name, label string) float64 {
	t.Helper()
	families, err := p.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Errorf("no %s of %s", name, label)
	return 0
}

func TestWhileClickHouseIsAwayTheGroupGoesOnAndEverythingArrivesAfterwards(t *testing.T) {
	for name, away := range map[string]func(context.Context) error{
		"it refuses connections": func(context.Context) error { return errAway },
		"it swallows packets":    func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				var back time.Time
				w.start(func(ctx context.Context, _ *process, rows []sink.Outcome, keep func([]sink.Outcome)) error {
					if time.Now().Before(back) {
						return away(ctx)
					}
					keep(rows)
					return nil
				}, func(c *setting) { c.BatchRows = 1000 })
				time.Sleep(after)
				w.produce(0, 100)
				time.Sleep(after)
				w.settled()

				const outage = 10 * time.Minute
				back = time.Now().Add(outage)
				joins := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup, kmsg.ConsumerGroupHeartbeat}, Count: -1, Observe: true})
				beats := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Count: -1, Observe: true})
				for n := 100; n < 2500; n += 100 {
					w.produce(n, n+100)
					time.Sleep(outage / 24)
					if m := w.GroupInfo(group).Members; len(m) != 1 {
						t.Fatalf("%d members, %v before the outage ends", len(m), time.Until(back))
					}
				}
				if n := w.uncommitted(); n != 2400 {
					t.Errorf("%d records uncommitted at the end of the outage, want 2400", n)
				}
				if joins.Hits() != 0 {
					t.Errorf("the sink joined its group %d times during the outage, want none: it was put out", joins.Hits())
				}
				if want := int(outage / (2 * time.Second)); beats.Hits() < want {
					t.Errorf("%d heartbeats in %v, want at least %d", beats.Hits(), outage, want)
				}
				time.Sleep(2 * after)
				w.settled()
			})
		})
	}
}
