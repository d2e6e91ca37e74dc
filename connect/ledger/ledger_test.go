//go:build synctests

package ledger_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/schemas"
)

func TestWhatIsAnsweredIsThereForWhoeverComesNext(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		in.apply("acme", users("u-1", "u-2"))
		in.apply("acme", connect("hook-1"))
		asked := time.Now()
		in.apply("acme", assign(7, "u-1"))
		answered := time.Now()
		in.apply("acme", func(s *ledger.Snapshot) ledger.Change {
			next := s.State
			next.Hand = map[schemas.AgentID]schemas.UserID{7: "u-1"}
			return ledger.Change{State: &next, Audit: []schemas.Change{{By: "operator", Change: schemas.ChangeMap, Agent: 7, User: "u-1", Result: "ok"}}}
		})
		before := in.see("acme")
		in.stop()
		if _, err := in.Snapshot("acme"); !errors.Is(err, ledger.ErrStandby) {
			t.Errorf("after its end: %v", err)
		}

		next := w.active()
		s := next.see("acme")
		if !s.Connected() || s.Credentials.ClientSecret != "the-secret" || s.WebhookID != "hook-1" || !s.User("u-2") || s.Hand[7] != "u-1" {
			t.Errorf("%+v", s.State)
		}
		if s.Published == nil || !bytes.Equal(s.Published.AppendJSON(nil), before.Published.AppendJSON(nil)) {
			t.Errorf("published %+v", s.Published)
		}
		m := s.Mappings[7]
		if user, _ := m.At(asked); user != "" {
			t.Errorf("before the request the agent is %q's", user)
		}
		if user, _ := m.At(answered); user != "u-1" {
			t.Errorf("at the answer the agent is %q's", user)
		}
		said := w.Records(w.T, w.topics.Changes)
		if len(said) != 1 {
			t.Fatalf("%d changes", len(said))
		}
		c, err := schemas.ParseChange(said[0].Value)
		if err != nil || c.Tenant != "acme" || c.By != "operator" || c.At.IsZero() {
			t.Errorf("%+v %v", c, err)
		}
	})
}

func TestNothingInClearLeavesTheLedger(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		in.apply("acme", users("u-1"))
		in.apply("acme", connect("hook-1"))
		for _, topic := range []string{w.topics.Vault, w.topics.Connections, w.topics.Mappings, w.topics.Erasures, w.topics.Changes} {
			for _, r := range w.Records(w.T, topic) {
				for _, secret := range []string{"the-secret", "u-1@x.example"} {
					if bytes.Contains(r.Value, []byte(secret)) {
						t.Errorf("%s holds %s", topic, secret)
					}
				}
			}
		}
		if len(w.held(w.topics.Vault)) != 1 {
			t.Error("nothing was written: this proves nothing")
		}
	})
}
