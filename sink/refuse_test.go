package sink_test

import (
	"strings"
	"testing"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

func TestATableThatRefusesIsNamedByItsCodeAndNoRowIsQuoted(t *testing.T) {
	conn := migrated(t)
	if err := conn.Exec(t.Context(), "ALTER TABLE outcomes_log ADD CONSTRAINT small CHECK ticket_id < 5000"); err != nil {
		t.Fatal(err)
	}
	store := sink.NewClickHouse(conn)
	poison := storetest.Activity(2)
	poison.Ticket, poison.User = 987654, "marker-of-a-user"
	rows := []sink.Outcome{sink.OfActivity(storetest.Activity(1)), sink.OfActivity(poison)}
	err := store.Append(t.Context(), storetest.Rows(rows...))
	if err == nil || !strings.Contains(err.Error(), "VIOLATED_CONSTRAINT") || clickhouse.ClassOf(err) != clickhouse.BadRow {
		t.Fatalf("Append = %v, of class %q", err, clickhouse.ClassOf(err))
	}
	for _, value := range []string{"987654", string(poison.User), string(poison.Tenant), poison.ID.String()} {
		if strings.Contains(err.Error(), value) {
			t.Errorf("the error %q quotes %q of the row", err, value)
		}
	}
	// The store is as good as before.
	if err := store.Append(t.Context(), storetest.Rows(rows[:1]...)); err != nil {
		t.Fatal(err)
	}
	got, err := views{conn: conn}.Folded(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	storetest.Same(t, got, rows[:1])
}

// What no time mends is told apart from what passes by itself.
func TestAnErrorSaysWhoMustAct(t *testing.T) {
	rows := []sink.Outcome{sink.OfActivity(storetest.Activity(1))}
	for name, statement := range map[string]string{
		"the table is not there": "RENAME TABLE outcomes_log TO elsewhere",
		"a column is not there":  "ALTER TABLE outcomes_log DROP COLUMN status_id",
	} {
		t.Run(name, func(t *testing.T) {
			conn := migrated(t)
			store := sink.NewClickHouse(conn)
			if err := store.Append(t.Context(), storetest.Rows(rows...)); err != nil {
				t.Fatal(err)
			}
			if err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			err := store.Append(t.Context(), storetest.Rows(rows...))
			if err == nil {
				t.Errorf("Append = %v", err)
			}
			if class := clickhouse.ClassOf(err); class != clickhouse.Misconfigured {
				t.Errorf("class %q of %v, want %q", class, err, clickhouse.Misconfigured)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		conn, err := clickhouse.Open("http://127.0.0.1:1/worksights")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		err = sink.NewClickHouse(conn).Append(t.Context(), storetest.Rows(rows...))
		if err == nil || clickhouse.ClassOf(err) != clickhouse.Unavailable {
			t.Errorf("Append = %v, want an error of class %q", err, clickhouse.Unavailable)
		}
	})
}
