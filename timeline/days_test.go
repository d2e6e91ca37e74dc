package timeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/timeline"
)

// asked counts the queries of a connection that read rows of the log under FINAL,
// but for those that are shown at their arrival.
type asked struct {
	driver.Conn
	days int
}

func (a *asked) Query(ctx context.Context, query string, args ...any) (driver.Rows, error) {
	if strings.Contains(query, "log.displaced_at = ") {
		a.days++
	}
	return a.Conn.Query(ctx, query, args...)
}

// A summary that was told before is the one that a fresh reader tells, whatever
// became of the log meanwhile.
func TestASummaryIsRememberedAndNeverStale(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	insert(t, conn, history())
	counted := &asked{Conn: conn}
	tl := timeline.New(counted, nothing{}, mappings{}, time.Now)
	from := noon().Truncate(24*time.Hour).AddDate(0, 0, -60)
	to := noon().Truncate(24*time.Hour).AddDate(0, 0, 1)
	agree := func(when string) control.Summary {
		t.Helper()
		want, err := timeline.New(conn, nothing{}, mappings{}, time.Now).Summary(t.Context(), "acme", from, to, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tl.Summary(t.Context(), "acme", from, to, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		same(t, when, got, want)
		return got
	}
	exec := func(sql string) {
		t.Helper()
		if err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}

	first := agree("at first")
	if first.Coverage.Events < 100 || len(first.ByDay) < 10 {
		t.Fatalf("%+v: this proves nothing", first.Coverage)
	}
	before := counted.days
	agree("again")
	if counted.days != before {
		t.Error("whole days were read again although nothing changed: nothing is remembered")
	}

	late := history()[5]
	late.ID, late.event = eventID(9001).String(), noon().AddDate(0, 0, -30)
	late.OccurredAt, late.User = late.event, "u-late"
	insert(t, conn, []row{late.judged(), late.judged(), late.judged(), late.judged(), late.judged()})
	with := agree("with an event of a month ago")
	if with.Coverage.Events != first.Coverage.Events+1 || !strings.Contains(fmt.Sprint(with.Users), "u-late") {
		t.Errorf("%d events, want one more than %d", with.Coverage.Events, first.Coverage.Events)
	}

	exec("OPTIMIZE TABLE outcomes_log FINAL")
	agree("with the parts merged")

	exec("ALTER TABLE outcomes_log UPDATE user_id = 'u-altered' WHERE user_id = 'u-late' SETTINGS mutations_sync = 2")
	if altered := agree("with a row altered by hand"); !strings.Contains(fmt.Sprint(altered.Users), "u-altered") {
		t.Errorf("%v: the row is as it was: this proves nothing", altered.Users)
	}

	if _, err := clickhouse.NewEraser(conn).Erase(t.Context(), "acme", "u-1", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if erased := agree("with a person erased"); strings.Contains(fmt.Sprint(erased.Users), "{u-1 ") {
		t.Errorf("%v: a summary names who was erased", erased.Users)
	}

	exec("TRUNCATE TABLE outcomes_log")
	if none := agree("with nothing left"); none.Coverage.Events != 0 {
		t.Errorf("%d events of an empty table", none.Coverage.Events)
	}
}

// One who asks for other bounds is told of the parts of days at their ends too.
func TestASummaryBeginsAndEndsToTheMillisecond(t *testing.T) {
	tl, _ := filled(t)
	for i := range 12 { // in no order, so that known and unknown days alternate
		from := noon().AddDate(0, 0, -80+i*37%60).Add(time.Duration(i) * time.Millisecond)
		to := noon().AddDate(0, 0, -i*11%40).Add(3 * time.Millisecond)
		if !from.Before(to) {
			continue
		}
		got, err := tl.Summary(t.Context(), schemas.Tenant("acme"), from, to, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprintf("%v to %v", from, to), got, summed(from, to, time.UTC))
	}
}
