//go:build synctests

package care_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func (in *instance) erasures(tenant schemas.Tenant) []control.Erasure {
	in.w.Helper()
	all, err := in.Erasures(context.Background(), tenant)
	if err != nil {
		in.w.Fatal(err)
	}
	return all
}

func TestAPersonIsErasedAndTheReceiptSaysWhere(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
		w.sims[0].AddAgent(halotest.Agent{ID: 3, Email: "ben@x.example"})
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example")
		in.connect("acme", 0)
		w.eraser.put("acme/u-ada", 40)
		began := w.now()
		receipt, err := in.Erase(context.Background(), "acme", operator, "u-ada")
		if err != nil || receipt.State != "running" || receipt.UserID != "u-ada" || receipt.At.Before(began) || receipt.ID == "" {
			t.Fatalf("%+v, %v", receipt, err)
		}
		in.standings("acme", map[schemas.AgentID]string{2: "unmatched", 3: "matched u-ben"})
		if users, _ := in.Users(context.Background(), "acme"); len(users) != 1 || users[0].ID != "u-ben" {
			t.Errorf("the directory is %v", users)
		}
		if m := w.mappings("acme")[2]; len(m.Intervals) != 1 || m.Intervals[0].User != "" || !m.Intervals[0].Until.Equal(receipt.At) {
			t.Errorf("mapped %+v, erased at %v", m.Intervals, receipt.At)
		}
		// What the sink still held comes late, and goes too.
		time.Sleep(2 * time.Second)
		w.eraser.put("acme/u-ada", 2)
		time.Sleep(15 * time.Second)
		all := in.erasures("acme")
		if len(all) != 1 || all[0].State != "done" || all[0].Rows != 42 || all[0].ID != receipt.ID {
			t.Fatalf("%+v", all)
		}
		var stores []string
		for _, s := range all[0].Stores {
			stores = append(stores, s.Store)
			if s.GoneBy == nil {
				t.Errorf("nothing says when %s is empty", s.Store)
			}
		}
		if want := []string{"clickhouse", "halo.mappings", "halo.vault", "halo.activities", "halo.changes"}; !slices.Equal(stores, want) {
			t.Errorf("stores %q", stores)
		}
		for _, said := range w.changes("acme") {
			if strings.Contains(said, "unmap") || strings.Contains(said, "erase") && strings.Contains(said, "u-ada") {
				t.Errorf("said %q", said)
			}
		}
		// So does what an insert brought that was under way all the time.
		time.Sleep(30 * time.Second)
		w.eraser.put("acme/u-ada", 1)
		if time.Sleep(15 * time.Second); w.eraser.left("acme/u-ada") != 0 {
			t.Error("a row that came after the receipt was done stays")
		}
		time.Sleep(3 * time.Minute)
		calls := w.eraser.calls
		if time.Sleep(time.Minute); w.eraser.calls != calls {
			t.Error("what is done is done again")
		}
		// Somebody whom nobody knows is a receipt too, and a repeat another one.
		for _, user := range []schemas.UserID{"u-nobody", "u-ada"} {
			time.Sleep(time.Second)
			if r, err := in.Erase(context.Background(), "acme", operator, user); err != nil || r.Rows != 0 {
				t.Errorf("%+v, %v", r, err)
			}
		}
		time.Sleep(15 * time.Second)
		all = in.erasures("acme")
		if len(all) != 3 || all[0].UserID != "u-ada" || !all[0].At.After(receipt.At) || all[0].State != "done" || all[2].Rows != 42 {
			t.Errorf("%+v", all)
		}
		// He may come back.
		in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example")
		in.standings("acme", map[schemas.AgentID]string{2: "matched u-ada"})
	}, halotest.Config{})
}

func TestAnErasureGoesOnWithTheNextTermAndWhenClickHouseIsBack(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example")
		w.eraser.put("acme/u-ada", 5)
		w.eraser.err = errors.New("away")
		if _, err := in.Erase(context.Background(), "acme", operator, "u-ada"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		in.stop()
		in = w.active()
		if all := in.erasures("acme"); len(all) != 1 || all[0].State != "running" {
			t.Errorf("%+v", all)
		}
		w.eraser.mu.Lock()
		w.eraser.err = nil
		w.eraser.mu.Unlock()
		time.Sleep(15 * time.Second)
		if all := in.erasures("acme"); len(all) != 1 || all[0].State != "done" || all[0].Rows != 5 {
			t.Errorf("%+v", all)
		}
	})
}

func TestATenantIsErasedEverywhereAndMayComeBack(t *testing.T) {
	for name, away := range map[string]bool{"Halo there": false, "Halo hangs": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
				in := w.active()
				ctx := context.Background()
				_, err := in.EraseTenant(ctx, "acme", operator)
				w.refused(err, 404, "unknown_tenant")
				in.users("acme", "u-ada", "ada@x.example")
				in.connect("acme", 0)
				w.eraser.put("acme", 7)
				if away {
					w.sluggish(time.Minute)
				}
				began := time.Now()
				receipt, err := in.EraseTenant(ctx, "acme", operator)
				if took := time.Since(began); err != nil || took > 15*time.Second {
					t.Fatalf("after %v: %v", took, err)
				}
				if (len(receipt.LeftInHalo) == 1) != away || (len(w.live(0)) == 1) != away || receipt.UserID != "" {
					t.Errorf("%+v, %d webhooks are left", receipt, len(w.live(0)))
				}
				if again, err := in.EraseTenant(ctx, "acme", operator); err != nil || again.ID != receipt.ID {
					t.Errorf("the repeat: %+v, %v", again, err)
				}
				time.Sleep(15 * time.Second)
				_, err = in.Connection(ctx, "acme")
				w.refused(err, 404, "not_connected")
				if rows, err := in.Care.All(ctx); err != nil || len(rows) != 0 {
					t.Errorf("listed %+v, %v", rows, err)
				}
				if _, ok := w.published("acme"); ok {
					t.Error("the edge still has a verifier")
				}
				if all := in.erasures("acme"); len(all) != 1 || all[0].State != "done" || all[0].Rows != 7 || len(all[0].Stores) != 11 {
					t.Errorf("%+v", all)
				}
				w.fault = nil
				in.stop()
				in = w.active()
				if c := in.connect("acme", 0); c.State != "active" || c.Agents.Matched != 0 || len(w.live(0)) != 1 {
					t.Errorf("connected anew: %+v", c)
				}
				if len(in.erasures("acme")) != 1 {
					t.Error("the receipt is gone")
				}
			}, halotest.Config{})
		})
	}
}
