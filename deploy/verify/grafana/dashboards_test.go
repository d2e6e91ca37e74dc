package grafana

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"

	"github.com/worksights/halo-connector/deploy/verify/names"
	"github.com/worksights/halo-connector/deploy/verify/prometheus"
	"github.com/worksights/halo-connector/internal/metric"
)

const deploy = "../.."

func all(t *testing.T) []Dashboard {
	t.Helper()
	dashboards, err := Read(deploy + "/grafana/dashboards")
	if err != nil {
		t.Fatal(err)
	}
	return dashboards
}

func TestEveryExpressionAsksForWhatTheStagesHave(t *testing.T) {
	known, err := names.Gather(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var rules prometheus.Rules
	if err := prometheus.Read(deploy+"/prometheus/rules.yml", &rules); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				known.Record(r.Record, "stage", "evidence")
			}
		}
	}
	expressions, err := Expressions(all(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range expressions {
		if _, err := known.Check(e.Expr); err != nil {
			t.Errorf("%s: %v", e.Where, err)
		}
	}
	if len(expressions) < 50 {
		t.Errorf("%d expressions: this proves nothing", len(expressions))
	}
}

// TestWhatGoesBackWithAProcessIsAskedOverTime: where the Help of a gauge says so,
// its last value is that of a process, and not what is to be shown.
func TestWhatGoesBackWithAProcessIsAskedOverTime(t *testing.T) {
	known, err := names.Gather(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	expressions, err := Expressions(all(t))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range expressions {
		parser.Inspect(parse(t, e.Expr), func(node parser.Node, path []parser.Node) error {
			n, ok := node.(*parser.VectorSelector)
			if !ok || !strings.Contains(known[n.Name].Help, "over time") {
				return nil
			}
			found++
			if _, ok := path[len(path)-1].(*parser.MatrixSelector); !ok {
				t.Errorf("%s: %s is asked for its last value", e.Where, n.Name)
			}
			return nil
		})
	}
	if found < 2 {
		t.Errorf("%d such gauges: this proves nothing", found)
	}
}

// TestGrafanaKnowsEveryField decodes the dashboards into Grafana's own types, of
// panels too. A field that is misspelt would be ignored by Grafana without a
// word.
func TestGrafanaKnowsEveryField(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	unknown := func(dashboard []byte) (fields []string) {
		var errs cog.BuildErrors
		// Its successor is another format, for another way in than a file.
		err := new(grafana.Dashboard).UnmarshalJSONStrict(dashboard) //nolint:staticcheck // deprecated for it
		if err != nil && !errors.As(err, &errs) {
			return []string{err.Error()}
		}
		for _, e := range errs {
			// A field that is left out has a default in Grafana.
			if e.Message != "required field is missing from input" {
				fields = append(fields, e.Error())
			}
		}
		return fields
	}
	for _, d := range all(t) {
		b, err := os.ReadFile(deploy + "/grafana/dashboards/" + d.File)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range unknown(b) {
			t.Errorf("%s: %s", d.File, field)
		}
		if misspelt := bytes.ReplaceAll(b, []byte(`"fillOpacity"`), []byte(`"fillOpacty"`)); len(unknown(misspelt)) == 0 {
			t.Errorf("%s: a misspelt option of a panel was taken: this proves nothing", d.File)
		}
	}
}

func TestEveryMetricOfAStageIsOnADashboard(t *testing.T) {
	known, err := names.Gather(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(deploy + "/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	expressions, err := Expressions(all(t))
	if err != nil {
		t.Fatal(err)
	}
	asked := string(rules)
	for _, e := range expressions {
		asked += e.Expr + "\n"
	}
	for name := range known {
		if strings.HasPrefix(name, "halo_") && !strings.HasPrefix(name, "halo_kafka_") && !strings.Contains(asked, name) {
			t.Errorf("nobody looks at %s", name)
		}
	}
}

func TestThePromisesAreOnTheOverview(t *testing.T) {
	for _, d := range all(t) {
		if d.File != "overview.json" {
			continue
		}
		for _, p := range metric.Promises() {
			found := false
			for _, panel := range d.Panels {
				for _, target := range panel.Targets {
					found = found || panel.Type == "stat" && strings.Contains(target.Expr, `promise="`+string(p)+`"`)
				}
			}
			if !found {
				t.Errorf("no panel shows %s at a glance", p)
			}
		}
		return
	}
	t.Error("there is no overview")
}

func TestDashboardsAreWhole(t *testing.T) {
	want := map[string]bool{"overview.json": true, "edge.json": true, "pipeline.json": true, "sink.json": true, "connections.json": true}
	uids := make(map[string]string)
	for _, d := range all(t) {
		delete(want, d.File)
		if other, taken := uids[d.UID]; taken || d.UID == "" || d.Title == "" {
			t.Errorf("%s: uid %q is empty or that of %s, or there is no title", d.File, d.UID, other)
		}
		uids[d.UID] = d.File
		ids := make(map[int]bool)
		var taken [24][]bool
		for _, p := range flat(d.Panels) {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", d.File, p.ID)
			}
			ids[p.ID] = true
			if p.Type == "row" {
				continue
			}
			if p.Title == "" || len(p.Description) < 10 || len(p.Targets) == 0 {
				t.Errorf("%s: panel %q has no title, no description or no expression", d.File, p.Title)
			}
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				if x >= len(taken) {
					t.Fatalf("%s: %s is wider than the page", d.File, p.Title)
				}
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					for len(taken[x]) <= y {
						taken[x] = append(taken[x], false)
					}
					if taken[x][y] {
						t.Fatalf("%s: %s lies on another panel", d.File, p.Title)
					}
					taken[x][y] = true
				}
			}
		}
	}
	for file := range want {
		t.Errorf("there is no %s", file)
	}
}

// What a dashboard asks for by uid must be what is provisioned.
func TestGrafanaIsToldWhereTheFiguresAre(t *testing.T) {
	var sources struct {
		Datasources []struct {
			UID, Type, URL string
		} `json:"datasources"`
	}
	b, err := os.ReadFile(deploy + "/grafana/provisioning/datasources/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &sources); err != nil || len(sources.Datasources) != 1 {
		t.Fatalf("%+v, %v", sources, err)
	}
	want := Datasource{Type: sources.Datasources[0].Type, UID: sources.Datasources[0].UID}
	for _, d := range all(t) {
		for _, v := range d.Templating.List {
			if v.Datasource != want {
				t.Errorf("%s: variable %s asks %+v", d.File, v.Name, v.Datasource)
			}
		}
		for _, p := range flat(d.Panels) {
			for _, target := range p.Targets {
				if target.Datasource != want || p.Datasource != want {
					t.Errorf("%s: %s asks %+v", d.File, p.Title, target.Datasource)
				}
			}
		}
	}
	var providers struct {
		Providers []struct {
			Options struct{ Path string } `json:"options"`
		} `json:"providers"`
	}
	b, err = os.ReadFile(deploy + "/grafana/provisioning/dashboards/halo.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &providers); err != nil || len(providers.Providers) != 2 {
		t.Fatalf("%+v, %v", providers, err)
	}
	compose, err := os.ReadFile(deploy + "/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, folder := range []string{"dashboards", "analysts"} {
		if path := providers.Providers[i].Options.Path; !strings.Contains(string(compose), "./grafana/"+folder+":"+path+":ro") {
			t.Errorf("compose.yaml does not put the %s where %s are looked for", folder, path)
		}
	}
}

func TestAVariableThatNobodyDefinedIsRefused(t *testing.T) {
	if _, err := replace(`up{job="$job"}`, map[string]string{"tenant": ".*"}); err == nil {
		t.Error("$job was taken although there is no such variable")
	}
	got, err := replace(`rate(up{t=~"${tenant:regex}"}[$__rate_interval])`, map[string]string{"tenant": ".*", "__rate_interval": "1m"})
	if err != nil || got != `rate(up{t=~".*"}[1m])` {
		t.Errorf("%s, %v", got, err)
	}
}
