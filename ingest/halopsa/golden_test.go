package halopsa

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

var update = flag.Bool("update", false, "write the expected events anew, to be read before they are committed")

// delivery is the connection that the golden deliveries belong to. Notification
// 59 and those of the self-hosted instance are not in its table, so their kind
// is told by name.
var delivery = Delivery{
	Connection: schemas.Connection{
		ID:        schemas.ConnectionIDOf("northgate"),
		Tenant:    "northgate",
		WebhookID: "c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5",
		Notifications: map[int64]schemas.Kind{
			56: schemas.TicketLogged,
			57: schemas.StatusChanged,
			58: schemas.UpdatedByAgent,
		},
	},
	ReceivedAt: time.Date(2026, 10, 2, 14, 3, 29, 700_000_000, time.UTC),
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// goldens are the names of all golden deliveries.
func goldens(t testing.TB) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no golden deliveries", err)
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return names
}

func TestGoldenDeliveriesGiveTheExpectedEvents(t *testing.T) {
	for _, name := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			r, err := Decode(golden(t, name), delivery)
			if err != nil {
				t.Fatal(err)
			}
			got := lines(r)
			file := filepath.Join("testdata", name+".events")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// lines is a result as text: an event per line, then the report if there is one.
func lines(r Result) (b []byte) {
	for _, e := range r.Events {
		b = append(e.AppendJSON(b), '\n')
	}
	if r.Fields.Known != nil || r.Fields.Others > 0 {
		fields, _ := json.Marshal(r.Fields)
		b = append(append(b, fields...), '\n')
	}
	return b
}
