//go:build synctests

package processor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/schemas"
)

// A thousand times: the mapping is acknowledged, the event comes at once. The
// table is always behind the events, by its lag.
func TestAMappingAcknowledgedBeforeTheEventArrivedIsNeverMissed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.start(setting{tableLag: 20 * time.Millisecond})
		time.Sleep(10 * time.Second) // the processor waits for events by now
		for i := range 1000 {
			w.assign("acme", 5, schemas.UserID(fmt.Sprintf("user-%d", i)))
			w.send("acme", 5)
		}
		w.committed("processor")
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		w.balance(t, w.topics)
		if n := len(w.Records(t, w.topics.Activities)); n != 1000 {
			t.Errorf("%d activities of 1000", n)
		}
	})
}

// The table knows the mapping when the events are judged; that it began after
// they arrived is what counts.
func TestEventsThatArrivedBeforeTheMappingStayUnmapped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 20 {
			w.send("acme", 5)
		}
		w.assign("acme", 5, "ada")
		w.start(setting{})
		w.committed("processor")
		w.balance(t, w.topics)
		skipped := w.Records(t, w.topics.Skipped)
		for _, r := range skipped {
			if s, err := schemas.ParseSkip(r.Value); err != nil || s.Reason != schemas.Unmapped || s.Agent != 5 {
				t.Errorf("%+v, %v", s, err)
			}
		}
		if len(skipped) != 20 {
			t.Errorf("%d skips of 20", len(skipped))
		}
		w.send("acme", 5)
		w.committed("processor")
		if n := len(w.Records(t, w.topics.Activities)); n != 1 {
			t.Errorf("%d activities of the one event after the mapping", n)
		}
	})
}

func TestWhereTheTableCannotCatchUpNothingIsJudged(t *testing.T) {
	for name, fault := range map[string]kfake.Fault{
		"the mappings cannot be read":   {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.KafkaStorageError, Count: -1},
		"their end cannot be asked for": {Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.KafkaStorageError, Count: -1},
		"their end may not be asked for": {
			Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.TopicAuthorizationFailed, Count: -1,
		},
		"the end of the erasures cannot be asked for": {
			Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.KafkaStorageError, Count: -1, Topic: "halo.erasures",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.start(setting{})
				w.send("acme", 5)
				w.committed("processor") // so far all is well

				if fault.Topic == "" {
					fault.Topic = w.topics.Mappings
				}
				outage := w.Fault(fault)
				w.assign("acme", 5, "ada")
				w.send("acme", 5)
				w.sendJunk("acme")
				time.Sleep(10 * time.Minute)
				if outage.Hits() == 0 {
					t.Fatal("the outage met no request: this proves nothing")
				}
				if n := len(w.Records(t, w.topics.Activities)) + len(w.Records(t, w.topics.Skipped)) + len(w.Records(t, w.topics.Dead)); n != 1 {
					t.Errorf("%d outcomes during the outage, want the one from before", n)
				}
				if n := lag(t, kadm.NewClient(w.edge), "processor", w.topics.Events); n != 2 {
					t.Errorf("%d events are not committed, want 2", n)
				}
				outage.Remove()
				w.committed("processor")
				w.balance(t, w.topics)
			})
		})
	}
}
