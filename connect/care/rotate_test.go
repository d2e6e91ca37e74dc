//go:build synctests

package care_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/halotest"
)

func TestKeysAreRotatedWhileEverythingRuns(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example")
		in.connect("acme", 0)
		in.users("only-users", "u", "")
		in.connect("gone", 0)
		in.disconnect("gone")
		before := len(w.Records(w.T, w.topics.Vault))
		if err := vault.Rotate(w.keyset); err != nil {
			t.Fatal(err)
		}
		in.users("acme", "u-ada", "ada@x.example") // no downtime
		time.Sleep(2 * time.Second)
		in.connection("acme")
		time.Sleep(2 * lookTime)
		if now := len(w.Records(w.T, w.topics.Vault)); now < before+3 {
			t.Errorf("%d records were written after the rotation", now-before)
		}
		settled := len(w.Records(w.T, w.topics.Vault))
		time.Sleep(2 * lookTime)
		if now := len(w.Records(w.T, w.topics.Vault)); now != settled {
			t.Errorf("records are sealed again and again: %d more", now-settled)
		}
		old, err := os.ReadFile(w.keyset)
		if err != nil {
			t.Fatal(err)
		}
		if removed, err := vault.Retire(w.keyset); err != nil || removed != 1 {
			t.Fatalf("retired %d: %v", removed, err)
		}
		if now, err := os.ReadFile(w.keyset); err != nil || len(now) >= len(old) {
			t.Fatal("no key was retired: this proves nothing")
		}
		time.Sleep(2 * time.Second)
		in.connection("acme")
		in.stop()
		in = w.active()
		if c := in.connection("acme"); c.State != "active" || c.Agents.Matched != 1 {
			t.Errorf("after a restart: %+v", c)
		}
		in.refresh("acme") // the credentials open too
		if c := in.connection("gone"); c.State != "disconnected" {
			t.Errorf("%+v", c)
		}
		in.users("only-users", "u", "")
		if strings.Contains(w.log.String(), "does not open") {
			t.Error("a record did not open")
		}
	}, halotest.Config{})
}
