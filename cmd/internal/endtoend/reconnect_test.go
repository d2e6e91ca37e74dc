package endtoend

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// After a reconnect Halo may send again what the former webhook sent. The kind is a
// part of an event's identity, and where the tenant has renamed its events only the
// notification tells the kind.
func TestWhatTheFormerWebhookSendsAgainIsNoOtherEvent(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	tn := s.connected("renewed", 2)
	var notification int64
	for id, event := range tn.webhook.Bound {
		if event == 76 { // "$#request Status Changed"
			notification = id
		}
	}
	d := tn.statusChange(0, 10)
	renamed := bytes.Replace(d.body, []byte(`"event":"Ticket Status Changed"`), fmt.Appendf(nil, `"event":"Vorgang: neuer Stand","notification_id":%d`, notification), 1)
	if a := tn.deliver(t.Context(), renamed); a.status != 200 || a.body != `{"events":1,"skipped":0}` {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	tn.settled(1)
	s.must("POST", tn.path("/connection/reconnect"), nil)
	// With the secret of the webhook that is gone.
	if a := tn.deliver(t.Context(), renamed); a.status != 200 || a.body != `{"events":0,"skipped":1}` {
		t.Fatalf("sent again: answered %d %s", a.status, a.body)
	}
	await(t, 30*time.Second, "the second judgement", func() error {
		for _, r := range s.records(s.prefix + "skipped") {
			if skip, err := schemas.ParseSkip(r.Value); err == nil && skip.ID == d.id && skip.Reason == schemas.StaleWebhook {
				return nil
			}
		}
		return fmt.Errorf("no skip of event %s", d.id)
	})
	if activities, skipped, err := tn.outcomes(); err != nil || len(activities) != 1 || activities[d.id.String()] != 1 || len(skipped) != 0 {
		t.Errorf("activities %v, skipped %v, %v", activities, skipped, err)
	}
}
