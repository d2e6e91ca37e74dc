//go:build synctests

package ledger_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// furnished is a tenant with a directory, a connection, a mapping that is open and
// one that was closed.
func furnished(in *instance, id schemas.Tenant) {
	in.apply(id, users("u-1", "u-2"))
	in.apply(id, connect("hook"))
	in.apply(id, assign(7, "u-1"))
	in.apply(id, assign(8, "u-2"))
	in.apply(id, assign(8, ""))
}

// counted is what of the tables counts, for a comparison.
func (w *world) counted() string {
	var b strings.Builder
	for _, topic := range []string{w.topics.Vault, w.topics.Connections, w.topics.Mappings, w.topics.Erasures} {
		rows := w.held(topic)
		for _, key := range []string{"acme", "other", string(schemas.ConnectionIDOf("acme")), string(schemas.ConnectionIDOf("other")), "acme/7", "acme/8", "other/7", "other/8"} {
			if r := rows[key]; r != nil {
				b.WriteString(topic + " " + key + " " + string(r.Value) + "\n")
			}
		}
	}
	return b.String()
}

// What was lost, or cannot be read, is no order to do anything.
func TestATenantWhoseRecordTellsNothingIsSealedAndLeftAlone(t *testing.T) {
	value := func(w *world) []byte { return w.held(w.topics.Vault)["acme"].Value }
	for name, tt := range map[string]struct {
		why   string
		spoil func(w *world, epoch uint64)
	}{
		"a tombstone": {"missing", func(w *world, epoch uint64) {
			w.Produce(w.T, stamped(w.topics.Vault, "acme", schemas.VaultSchema, nil, epoch))
		}},
		"of another version": {"another version", func(w *world, epoch uint64) {
			w.Produce(w.T, stamped(w.topics.Vault, "acme", "halo.vault/2", value(w), epoch))
		}},
		"without a version": {"another version", func(w *world, epoch uint64) {
			r := stamped(w.topics.Vault, "acme", "", value(w), epoch)
			r.Headers = r.Headers[1:]
			w.Produce(w.T, r)
		}},
		"malformed": {"malformed", func(w *world, epoch uint64) {
			w.Produce(w.T, stamped(w.topics.Vault, "acme", schemas.VaultSchema, []byte(`{"tenant":`), epoch))
		}},
		"another tenant's": {"malformed", func(w *world, epoch uint64) {
			w.Produce(w.T, stamped(w.topics.Vault, "acme", schemas.VaultSchema, w.held(w.topics.Vault)["other"].Value, epoch))
		}},
		"sealed with a lost key": {"no key", func(w *world, _ uint64) {
			if err := os.Remove(w.keyset); err != nil {
				w.Fatal(err)
			}
			if err := vault.NewKeyset(w.keyset); err != nil {
				w.Fatal(err)
			}
		}},
		"an empty vault": {"missing", func(w *world, _ uint64) {
			w.recreate(w.topics.Vault)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				in := w.active()
				furnished(in, "acme")
				furnished(in, "other")
				in.stop()
				keyset, err := os.ReadFile(w.keyset)
				if err != nil {
					t.Fatal(err)
				}
				tt.spoil(w, 1)
				before := w.counted()

				in = w.active()
				s := in.see("acme")
				if !errors.Is(s.Sealed, ledger.ErrSealed) || !strings.Contains(s.Sealed.Error(), tt.why) || !s.Known() || s.Connected() {
					t.Fatalf("it is not sealed: %v", s.Sealed)
				}
				if user, _ := s.Mapped(7); user.User != "u-1" || len(s.Mappings) != 2 || s.Published == nil {
					t.Errorf("what is known of it is %+v", s)
				}
				if _, err := in.try("acme", users("u-3")); !errors.Is(err, ledger.ErrSealed) {
					t.Errorf("a change of a sealed tenant: %v", err)
				}
				if after := w.counted(); after != before {
					t.Errorf("before\n%s\nafter\n%s", before, after)
				}
				in.stop()

				if name == "sealed with a lost key" {
					if err := os.WriteFile(w.keyset, keyset, 0o600); err != nil {
						t.Fatal(err)
					}
					in = w.active()
					if s := in.see("acme"); s.Sealed != nil || s.WebhookID != "hook" || !s.User("u-1") {
						t.Errorf("with the old keyset it is %+v", s)
					}
					return
				}
				// A person says that it is to be replaced.
				in = w.active()
				in.apply("acme", func(s *ledger.Snapshot) ledger.Change {
					c := connect("another")(s)
					c.Unseal = true
					return c
				})
				in.stop()
				s = w.active().see("acme")
				if s.Sealed != nil || s.WebhookID != "another" || len(s.Mappings) != 2 || len(s.Mappings[8].Intervals) != 1 {
					t.Errorf("replaced, it is %+v", s)
				}
			})
		})
	}
}

// recreate empties a topic.
func (w *world) recreate(topic string) {
	w.Helper()
	if err := w.DeleteTopic(topic); err != nil {
		w.Fatal(err)
	}
	if err := w.CreateTopic(topic, 1, nil); err != nil {
		w.Fatal(err)
	}
}

// A record that says that nothing is known yet comes before all others of a
// tenant, so that a missing one means a loss.
func TestNothingOfATenantIsWrittenBeforeItsVaultRecord(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		// As a registration does that is killed before it saves.
		in.apply("acme", func(s *ledger.Snapshot) ledger.Change {
			conn := s.Connection("acme")
			conn.Verifiers = []schemas.Verifier{schemas.NewVerifier(conn.ID, "x")}
			return ledger.Change{Publish: &conn}
		})
		in.stop()
		s := w.active().see("acme")
		if s.Sealed != nil || s.Published != nil || s.Known() {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatFollowsFromTheVaultIsWrittenByWhoeverComesNext(t *testing.T) {
	inWorld(t, func(w *world) {
		in := w.active()
		furnished(in, "acme")
		conn := *in.see("acme").Published
		in.stop()
		// What a kill in the middle of a registration leaves.
		other := conn
		other.Verifiers = append([]schemas.Verifier{schemas.NewVerifier(conn.ID, "never saved")}, conn.Verifiers...)
		w.Produce(w.T, stamped(w.topics.Connections, string(conn.ID), schemas.ConnectionSchema, other.AppendJSON(nil), 1))
		in = w.active()
		if p := in.see("acme").Published; len(p.Verifiers) != 1 || p.WebhookID != "hook" {
			t.Errorf("published %+v", p)
		}
		w.same(in, "acme")
		in.stop()
		before := len(w.Records(w.T, w.topics.Connections))
		w.active()
		if n := len(w.Records(w.T, w.topics.Connections)) - before; n != 1 { // its marker
			t.Errorf("with nothing to do it wrote %d records", n)
		}
	})
}

func TestATableTopicOfTwoPartitionsIsRefusedByName(t *testing.T) {
	inWorld(t, func(w *world) {
		if err := w.DeleteTopic(w.topics.Mappings); err != nil {
			t.Fatal(err)
		}
		if err := w.CreateTopic(w.topics.Mappings, 2, nil); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err := w.idle().Act(w.Context(), nil)
		if !errors.Is(err, table.ErrPartitions) || !strings.Contains(err.Error(), "halo.mappings has 2") || time.Since(began) > 30*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if len(w.Records(w.T, w.topics.Vault)) != 0 {
			t.Error("a term was begun all the same")
		}
	})
}

func TestACopyRestoresWhatTheTablesLack(t *testing.T) {
	inWorld(t, func(w *world) {
		log := slog.New(slog.DiscardHandler)
		in := w.active()
		furnished(in, "acme")
		furnished(in, "other")
		var whole bytes.Buffer
		n, err := ledger.Export(w.Context(), w.Config, w.topics, &whole, log, w.Opts...)
		if err != nil || n != 8 {
			t.Fatalf("%d records, %v", n, err)
		}
		if strings.Contains(whole.String(), "the-secret") || strings.Contains(whole.String(), "u-1@x.example") {
			t.Error("the copy holds in clear what is sealed")
		}
		before := w.counted()
		in.stop()
		for _, topic := range []string{w.topics.Vault, w.topics.Connections, w.topics.Mappings, w.topics.Erasures} {
			w.recreate(topic)
		}
		restore := func(b []byte) (int, error) {
			return ledger.Restore(w.Context(), w.Config, w.topics, bytes.NewReader(b), log, w.Opts...)
		}
		for _, part := range [][]byte{whole.Bytes()[:whole.Len()/2], nil, bytes.TrimSpace(whole.Bytes())[:whole.Len()-20], []byte("x")} {
			if _, err := restore(part); !errors.Is(err, ledger.ErrCopy) {
				t.Errorf("half a copy: %v", err)
			}
		}
		if n, err := restore(whole.Bytes()); err != nil || n != 8 {
			t.Fatalf("%d records, %v", n, err)
		}
		if after := w.counted(); after != before {
			t.Errorf("before\n%s\nafter\n%s", before, after)
		}
		in = w.active()
		if s := in.see("acme"); s.Sealed != nil || s.Credentials.ClientSecret != "the-secret" || len(s.Mappings) != 2 {
			t.Errorf("%+v", s)
		}
		// What is there stays, also where the copy is older; who acts loses his term.
		in.apply("acme", assign(7, "u-2"))
		w.Produce(w.T, stamped(w.topics.Vault, "other", schemas.VaultSchema, nil, 2))
		if n, err := restore(whole.Bytes()); err != nil || n != 1 {
			t.Fatalf("%d records, %v", n, err)
		}
		in.stop()
		if !errors.Is(in.last, ledger.ErrDeposed) {
			t.Errorf("the term under the restore ended with %v", in.last)
		}
		in = w.active()
		if iv, _ := in.see("acme").Mapped(7); iv.User != "u-2" || in.see("other").Sealed != nil {
			t.Errorf("%+v, %v", iv, in.see("other").Sealed)
		}
	})
}
