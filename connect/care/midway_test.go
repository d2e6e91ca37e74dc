//go:build synctests

package care_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// broken is a failure of Halo that says nothing about what became of the call.
var broken = &halopsa.Error{Cause: halopsa.HaloError, Message: "Halo failed.", Action: "Try again.", Status: 500}

// rateLimited is Halo, or our own allowance, saying "not now".
var rateLimited = &halopsa.Error{Cause: halopsa.RateLimited, Message: "Halo allows no more requests for the moment.", Action: "Wait.", Status: 429}

// unanswered is a Halo that hangs.
var unanswered = &halopsa.Error{Cause: halopsa.Unreachable, Message: "Halo did not answer in time.", Action: "Try again."}

// registrations are the deeds that register a webhook.
func registrations() []deed { return deeds()[:3] }

// unharmed wants what was there before the deed, after it failed: no webhook of
// ours where there was no connection, else the one that is the connection's.
func unharmed(w *world, in *instance, op deed) {
	w.Helper()
	hooks, notifications := w.live(0), w.sims[0].Notifications()
	if op.name == "connect" {
		if len(hooks) != 0 || notifications != 0 {
			w.Errorf("the failure leaves %d webhooks and %d notifications in Halo", len(hooks), notifications)
		}
		if conn, ok := w.published("acme"); ok {
			w.Errorf("the failure leaves a verifier at the edge: %+v", conn)
		}
		_, err := in.Connection(context.Background(), "acme")
		w.refused(err, http.StatusNotFound, "not_connected")
		return
	}
	c := in.connection("acme")
	if len(hooks) != 1 || notifications != 4 || hooks[0].ID != c.Webhook.ID {
		w.Errorf("the failure leaves %d webhooks and %d notifications, the connection is of %s", len(hooks), notifications, c.Webhook.ID)
	}
	if conn, ok := w.published("acme"); !ok || conn.WebhookID != c.Webhook.ID || !conn.Verify(hooks[0].Password, time.Now()) {
		w.Errorf("the edge knows %+v", conn)
	}
}

func calls(t *testing.T, op deed) []string {
	t.Helper()
	return slices.DeleteFunc(stepsOf(t, op), func(name string) bool { return name == "produce" })
}

func TestAFailureOfHaloAtAnyCallLeavesNothingBehind(t *testing.T) {
	for _, op := range registrations() {
		t.Run(op.name, func(t *testing.T) {
			for n, name := range calls(t, op) {
				for when, word := range map[moment]string{before: "not done", after: "done, answer lost"} {
					t.Run(fmt.Sprintf("%02d %s %s", n, name, word), func(t *testing.T) {
						inWorld(t, func(w *world) { haloFails(w, op, n, when) }, halotest.Config{}, halotest.Config{})
					})
				}
			}
		})
	}
}

func haloFails(w *world, op deed, n int, when moment) {
	plan := &steps{last: n, when: when}
	w.fault = func(_ context.Context, _ schemas.Tenant, name string) (moment, error) { return plan.at(name), broken }
	in := w.active()
	staff(w, in)
	op.prepare(in)
	plan.arm()
	err := op.do(in)
	if len(plan.taken()) <= n {
		w.Fatal("the call was not made: this proves nothing")
	}
	if err != nil {
		w.refused(err, http.StatusBadGateway, "halo_error")
		unharmed(w, in, op)
		if err := op.do(in); err != nil {
			w.Fatal(err)
		}
	}
	// Where it succeeded all the same, what was left to tidy is tidied by the next
	// look.
	time.Sleep(7 * time.Minute)
	op.whole(w, in)
}

// Kafka refuses from the n-th write on, for longer than a write waits.
func TestAnOutageOfKafkaAtAnyWriteLeavesNothingBehind(t *testing.T) {
	for _, op := range registrations() {
		t.Run(op.name, func(t *testing.T) {
			writes := len(stepsOf(t, op)) - len(calls(t, op))
			for n := range writes {
				for word, length := range map[string]time.Duration{"short": 6 * time.Second, "long": time.Minute} {
					t.Run(fmt.Sprintf("%02d %s", n, word), func(t *testing.T) {
						inWorld(t, func(w *world) { kafkaFails(w, op, n, length) }, halotest.Config{}, halotest.Config{})
					})
				}
			}
		})
	}
}

func kafkaFails(w *world, op deed, n int, length time.Duration) {
	in := w.active()
	staff(w, in)
	op.prepare(in)
	former, _ := in.Connection(context.Background(), "acme")
	seen, last := 0, kmsg.Request(nil) // When is asked for each part of a request
	outage := w.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.KafkaStorageError, Count: -1,
		When: func(r kmsg.Request) bool {
			if r != last {
				seen, last = seen+1, r
			}
			return seen > n
		},
	})
	time.AfterFunc(length, outage.Remove)
	began := time.Now()
	err := op.do(in)
	if took := time.Since(began); took > time.Minute {
		w.Errorf("the answer took %v", took)
	}
	if outage.Hits() == 0 {
		w.Fatal("nothing was refused: this proves nothing")
	}
	var r *control.Refusal
	if !errors.As(err, &r) || r.Status != http.StatusServiceUnavailable || r.RetryAfter == 0 {
		w.Errorf("got %v", err)
	}
	time.Sleep(length)
	in.await()
	now, err := in.Connection(context.Background(), "acme")
	if err == nil && now.Webhook.ID != former.Webhook.ID {
		// It was saved; what was missing comes with the next term and with the next
		// look.
		time.Sleep(7 * time.Minute)
		op.whole(w, in)
	} else {
		// What was registered and not saved is removed by the next look.
		time.Sleep(7 * time.Minute)
		unharmed(w, in, op)
	}
	if err := op.do(in); err != nil {
		w.Fatal(err)
	}
	time.Sleep(7 * time.Minute)
	op.whole(w, in)
}

// A Halo that swallows a call keeps nobody waiting for more than a minute.
func TestAConnectEndsWithinAMinuteWhereverHaloHangs(t *testing.T) {
	op := deeds()[0]
	for n, name := range calls(t, op) {
		t.Run(fmt.Sprintf("%02d %s", n, name), func(t *testing.T) {
			inWorld(t, func(w *world) {
				plan := &steps{last: -1}
				hung := false
				w.fault = func(ctx context.Context, _ schemas.Tenant, name string) (moment, error) {
					plan.at(name)
					if hung = hung || len(plan.taken()) > n; !hung {
						return never, nil
					}
					<-ctx.Done() // and every call after it
					if errors.Is(ctx.Err(), context.DeadlineExceeded) {
						return before, unanswered
					}
					return before, ctx.Err()
				}
				in := w.active()
				staff(w, in)
				plan.arm()
				began := time.Now()
				err := op.do(in)
				if took := time.Since(began); took < 40*time.Second || took > time.Minute {
					t.Errorf("answered after %v: %v", took, err)
				}
				if !hung {
					t.Error("nothing hung: this proves nothing")
				}
			}, halotest.Config{}, halotest.Config{})
		})
	}
}
