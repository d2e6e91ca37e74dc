package clickhouse

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

// asGrafana is a query as Grafana's data source for ClickHouse would send it,
// for tenant acme and the first half of March 2026.
func asGrafana(sql string) string {
	return strings.NewReplacer(
		"$__fromTime_ms", "fromUnixTimestamp64Milli(1772323200000, 'UTC')", // 1 March
		"$__toTime_ms", "fromUnixTimestamp64Milli(1773619200000, 'UTC')", // 16 March
		"$tenant", "acme", "$zone", "Europe/Berlin", "${closed}", "9,8",
	).Replace(sql)
}

func TestTheAnalystsDashboardGivesTheRightAnswers(t *testing.T) {
	conn := clickhousetest.Migrated(t)
	if err := sink.NewClickHouse(conn).Append(t.Context(), storetest.Rows(rows()...)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("../../grafana/analysts/activity.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title, Description string
			Targets            []struct{ RawSQL string }
		}
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Score":      `^12\.2$`,
		"Activities": `^13$`,
		"Coverage":   `^81\.2$`,
		// 1 and 7 were opened again, 3 was not closed in the range.
		"Reopened": `^100$`,
		// Half past eleven on Sunday night in UTC is Monday in Berlin.
		"When people work":       `(?s)^0 .*`,
		"Score by day and kind":  `(?m)^2026-03-02 1 1 1 0\.25$`,
		"Score by user":          `(?m)^ann 7\.2$`,
		"Skipped, by reason":     `(?s)^unmapped 2\nunassigned 1$`,
		"Who acted":              `^not said 13$`,
		"Agents without a user":  `^13 2 `,
		"How late events arrive": ` 80 80`,
		"Last arrival":           `.*`, // of today's rows there are none here
	}
	unknown := regexp.MustCompile(`\$[\w{]`)
	for _, p := range dashboard.Panels {
		t.Run(p.Title, func(t *testing.T) {
			for _, target := range p.Targets {
				sql := asGrafana(target.RawSQL)
				if left := unknown.FindString(sql); left != "" {
					t.Fatalf("%s… is replaced by nobody", left)
				}
				for _, part := range source.Split(sql, -1)[1:] {
					if !strings.Contains(part, "tenant_id = 'acme'") || !strings.Contains(part, " >= ") {
						t.Error("is not bounded by tenant and time")
					}
				}
				rows, err := conn.Query(t.Context(), sql)
				got := strings.Join(table(t, rows, err), "\n")
				expr, known := want[p.Title]
				if !known {
					t.Fatal("nobody has said what it should answer")
				}
				if !regexp.MustCompile(expr).MatchString(got) {
					t.Errorf("answers\n%s\nwant %s", got, expr)
				}
			}
			delete(want, p.Title)
		})
	}
	for title := range want {
		t.Errorf("there is no panel %q", title)
	}
}
