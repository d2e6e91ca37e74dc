//go:build synctests

package care_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// lose makes the tenant's vault record one that tells nothing, by a hand that is
// none of an instance's.
func (w *world) lose(how string) {
	w.Helper()
	switch how {
	case "tombstoned":
		w.write(kafka.Record(w.topics.Vault, "acme", schemas.VaultSchema, nil))
	case "of a foreign version":
		w.write(kafka.Record(w.topics.Vault, "acme", "halo.vault/9", []byte(`{"tenant":"acme"}`)))
	case "malformed":
		w.write(kafka.Record(w.topics.Vault, "acme", schemas.VaultSchema, []byte(`{"tenant":`)))
	case "sealed with a lost key":
		w.keyset += ".new"
		if err := vault.NewKeyset(w.keyset); err != nil {
			w.Fatal(err)
		}
	}
}

// write writes a record in the epoch of the last term, which is over.
func (w *world) write(r *kgo.Record) {
	w.Helper()
	all := w.Records(w.T, w.topics.Vault)
	for _, h := range all[len(all)-1].Headers {
		if h.Key == schemas.HeaderEpoch {
			r.Headers = append(r.Headers, h)
		}
	}
	w.Produce(w.T, r)
}

func TestATenantWhoseRecordIsLostKeepsItsHistoryThroughANewConnect(t *testing.T) {
	for _, how := range []string{"tombstoned", "of a foreign version", "malformed", "sealed with a lost key"} {
		t.Run(how, func(t *testing.T) {
			inWorld(t, func(w *world) {
				ctx := context.Background()
				for id, email := range map[schemas.AgentID]string{2: "ada@x.example", 3: "ben@x.example", 4: "cat@x.example", 5: "dan@x.example"} {
					w.sims[0].AddAgent(halotest.Agent{ID: id, Email: email})
				}
				in := w.active()
				in.users("acme", "u-ada", "ada@x.example", "u-ben", "ben@x.example", "u-hand", "")
				in.connect("acme", 0)
				in.hand("acme", 4, "u-hand")
				in.hand("acme", 3, "=unmatched")
				old, before := w.live(0)[0], w.mappings("acme")
				in.stop()
				w.lose(how)
				in = w.active()

				c := in.connection("acme")
				if c.State != "sealed" || !slices.Equal(codes(c), []string{"vault_sealed"}) || c.Problems[0].Severity != "error" {
					t.Fatalf("%+v", c)
				}
				if d, err := in.Diagnosis(ctx, "acme"); err != nil || len(d.Questions) != 3 {
					t.Errorf("%+v, %v", d, err)
				}
				if h, err := in.History(ctx, "acme", 2); err != nil || len(h) != 1 || h[0].UserID != "u-ada" {
					t.Errorf("%+v, %v", h, err)
				}
				calls := w.sims[0].Counters().Total()
				_, _, err := in.Connect(ctx, "acme", operator, w.credentials(0))
				_, refresh := in.Refresh(ctx, "acme", operator)
				_, reconnect := in.Reconnect(ctx, "acme", operator)
				_, agents := in.Agents(ctx, "acme")
				_, users := in.Users(ctx, "acme")
				_, _, change := in.ChangeUsers(ctx, "acme", operator, control.UsersChange{Replace: true})
				_, assign := in.Assign(ctx, "acme", operator, nil)
				for _, err := range []error{err, refresh, reconnect, agents, users, change, assign} {
					w.refused(err, 409, "sealed")
				}
				time.Sleep(2 * lookTime)
				if n := w.sims[0].Counters().Total() - calls; n > 0 {
					t.Errorf("Halo was asked %d times", n)
				}
				if conn, ok := w.published("acme"); !ok || !conn.Verify(old.Password, time.Now()) {
					t.Error("its deliveries are refused")
				}
				if is := gauges(t, in.reg); is["halo_connect_sealed_tenants"] != 1 || is["halo_connect_state{sealed,acme}"] != 1 {
					t.Errorf("measured %v", is)
				}

				cred := w.credentials(0)
				cred.ReplaceSealed = true
				c, created, err := in.Connect(ctx, "acme", operator, cred)
				if err != nil || created || c.State != "active" {
					t.Fatalf("created %v, %v: %+v", created, err, c)
				}
				hooks := w.live(0)
				if len(hooks) != 1 || w.sims[0].Notifications() != 4 || hooks[0].Password == old.Password {
					t.Errorf("%d webhooks, %d notifications", len(hooks), w.sims[0].Notifications())
				}
				conn, _ := w.published("acme")
				if now := time.Now(); !conn.Verify(hooks[0].Password, now) || !conn.Verify(old.Password, now.Add(9*time.Minute)) || conn.Verify(old.Password, now.Add(10*time.Minute)) {
					t.Errorf("the edge knows %+v", conn)
				}
				if w.knowsKinds(conn); len(conn.Notifications) != 8 {
					t.Errorf("the edge knows the notifications %v", conn.Notifications)
				}
				for agent, m := range w.mappings("acme") {
					if !slices.Equal(m.Intervals, before[agent].Intervals) {
						t.Errorf("agent %d is mapped as %+v, was as %+v", agent, m.Intervals, before[agent].Intervals)
					}
				}
				in.standings("acme", map[schemas.AgentID]string{2: "matched u-ada", 3: "unmatched", 4: "matched u-hand", 5: "unmatched"})
				if a, _ := in.agent("acme", 3); a.Reason != "by_hand" {
					t.Errorf("%+v", a)
				}
				in.refresh("acme")
				in.stop()
				in = w.active()
				in.standings("acme", map[schemas.AgentID]string{2: "matched u-ada", 3: "unmatched", 4: "matched u-hand", 5: "unmatched"})
				// The first directory ends those whom it does not name.
				in.users("acme", "u-ada", "other@x.example", "u-ben", "ben@x.example", "u-dan", "dan@x.example")
				in.standings("acme", map[schemas.AgentID]string{2: "matched u-ada", 3: "unmatched", 4: "unmatched", 5: "matched u-dan"})
				in.hand("acme", 3, "=automatic")
				in.standings("acme", map[schemas.AgentID]string{3: "matched u-ben"})
			}, halotest.Config{})
		})
	}
}

func TestASealedTenantCanBeDisconnectedAndErased(t *testing.T) {
	for name, end := range map[string]func(*instance) error{
		"disconnect": func(in *instance) error { return in.Disconnect(context.Background(), "acme", operator) },
		"erase": func(in *instance) error {
			r, err := in.EraseTenant(context.Background(), "acme", operator)
			if err == nil && len(r.LeftInHalo) == 0 {
				in.w.Error("nothing says that the webhook is left")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
				in := w.active()
				in.users("acme", "u-ada", "ada@x.example")
				in.connect("acme", 0)
				in.stop()
				w.lose("malformed")
				in = w.active()
				for range 2 {
					if err := end(in); err != nil {
						t.Fatal(err)
					}
				}
				if _, ok := w.published("acme"); ok {
					t.Error("the edge still has a verifier")
				}
				in.stop()
				in = w.active()
				switch c, err := in.Connection(context.Background(), "acme"); name {
				case "disconnect":
					if err != nil || c.State != "disconnected" || !slices.Equal(codes(c), []string{"left_in_halo"}) {
						t.Errorf("%+v, %v", c, err)
					}
				default:
					w.refused(err, 404, "not_connected")
				}
				if c := in.connect("acme", 0); c.State != "active" || len(w.live(0)) != 1 {
					t.Errorf("connected anew: %+v, %d webhooks", c, len(w.live(0)))
				}
			}, halotest.Config{})
		})
	}
}
