//go:build synctests

package processor_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
)

// Whoever is not let into the group owns nothing: no lag grows and no step
// fails. Only readiness can say that events wait.
func TestAProcessorOutsideItsGroupIsNotReady(t *testing.T) {
	for name, c := range map[string]struct {
		fault  kfake.Fault
		member bool // it is in its group when the fault begins
	}{
		"it may not join":                {kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, Count: -1}, false},
		"the group has no coordinator":   {kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorNotAvailable, Count: -1}, false},
		"its right to the group is gone": {kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup, kmsg.Heartbeat}, Err: kerr.GroupAuthorizationFailed, Count: -1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var s *stage
				if c.member {
					s = w.start(setting{})
					time.Sleep(10 * time.Second)
					if err := s.ready(); err != nil {
						t.Fatalf("a processor in its group: %v", err)
					}
				}
				f := w.Fault(c.fault)
				if !c.member {
					s = w.start(setting{})
				}
				w.live()
				time.Sleep(time.Minute)
				if err := s.ready(); !errors.Is(err, kafka.ErrNotMember) {
					t.Errorf("a processor outside its group says %v", err)
				}
				f.Remove()
				w.committed("processor")
				time.Sleep(10 * time.Second)
				if err := s.ready(); err != nil {
					t.Errorf("back in its group: %v", err)
				}
			})
		})
	}
}

func TestAProcessorWhoseOutcomesAreRefusedIsNotReady(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.live()
		f := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1, Topic: w.topics.Activities})
		s := w.start(setting{})
		time.Sleep(20 * time.Second)
		if err := s.ready(); err == nil || !strings.Contains(err.Error(), "TOPIC_AUTHORIZATION_FAILED") {
			t.Errorf("ready says %v", err)
		}
		f.Remove()
		w.committed("processor")
		if err := s.ready(); err != nil {
			t.Errorf("the outcomes are acknowledged: %v", err)
		}
	})
}

// There may be more processors than partitions; who is given none stands by.
func TestAProcessorWithoutAPartitionIsReady(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var all []*stage
		for range partitions + 1 {
			all = append(all, w.start(setting{}))
		}
		time.Sleep(time.Minute)
		for i, s := range all {
			if err := s.ready(); err != nil {
				t.Errorf("processor %d: %v", i, err)
			}
		}
	})
}
