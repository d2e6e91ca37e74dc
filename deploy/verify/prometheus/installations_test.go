package prometheus

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// installation are the labels that tell two of them apart.
var installation = []string{"cluster", "namespace"}

// TestNoRuleAddsUpTwoInstallations: each aggregation keeps both labels, and each
// match of two sides is by both. A sum without them is quiet while one installation
// makes up for the other, or wakes the wrong people.
func TestNoRuleAddsUpTwoInstallations(t *testing.T) {
	rules, _ := read(t)
	kept := func(labels []string) bool {
		return !slices.ContainsFunc(installation, func(l string) bool { return !slices.Contains(labels, l) })
	}
	looked := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			tree, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
			if err != nil {
				t.Fatal(err)
			}
			parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
				switch n := node.(type) {
				case *parser.AggregateExpr:
					looked++
					if n.Without || !kept(n.Grouping) {
						t.Errorf("%s%s: %s adds up installations", r.Alert, r.Record, n)
					}
				case *parser.BinaryExpr:
					if m := n.VectorMatching; m != nil && (m.On && !kept(m.MatchingLabels) || !m.On && slices.ContainsFunc(installation, func(l string) bool { return slices.Contains(m.MatchingLabels, l) })) {
						t.Errorf("%s%s: %s compares installations", r.Alert, r.Record, n)
					}
				}
				return nil
			})
		}
	}
	if looked < 100 {
		t.Errorf("%d aggregations: this proves nothing", looked)
	}
}

// TestNoAlertOfOneInstallationIsForTheOther shows Prometheus each case of an alert
// that fires, as one namespace, together with each case in which the same alert is
// quiet, as another: it fires for the first and not for the second. Were they added
// up, the one would hide the other's fault, or share it.
func TestNoAlertOfOneInstallationIsForTheOther(t *testing.T) {
	rules, cases := read(t)
	type object = map[string]any
	for _, r := range rules.alerts() {
		var tests []object
		for _, sick := range cases.Tests {
			since, firing := sick.fires(r.Alert)
			if !firing {
				continue
			}
			for _, well := range cases.Tests {
				until, quiet := well.isQuiet(r.Alert)
				if !quiet || well.Interval != sick.Interval {
					continue
				}
				// Both are looked at when each is what it is in its own case.
				at := max(since, until)
				a, okA := sick.as(t, "sick", at-since)
				b, okB := well.as(t, "well", at-until)
				if !okA || !okB {
					continue
				}
				tests = append(tests, object{
					"name": sick.Name + ", beside: " + well.Name, "interval": sick.Interval, "input_series": slices.Concat(a, b),
					"promql_expr_test": []object{{
						"expr":        fmt.Sprintf(`group by (alertname, cluster, namespace) (ALERTS{alertname=%q, alertstate="firing"})`, r.Alert),
						"eval_time":   at.String(),
						"exp_samples": []object{{"labels": fmt.Sprintf(`{alertname=%q, cluster="eu", namespace="sick"}`, r.Alert), "value": 1}},
					}},
				})
			}
		}
		if len(tests) == 0 {
			t.Errorf("%s is nowhere shown of one installation beside another", r.Alert)
			continue
		}
		dir := t.TempDir()
		write(t, dir+"/rules.yml", object{"groups": []object{{"name": "needed", "rules": rules.needed(r)}}})
		write(t, dir+"/two.yml", object{"rule_files": []string{"rules.yml"}, "evaluation_interval": "1m", "tests": tests})
		promtool(t, dir, "test", "rules", "two.yml")
	}
}

func write(t *testing.T, file string, content any) {
	t.Helper()
	b, err := yaml.Marshal(content)
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// needed are a rule and what is recorded for it: all of them would take minutes.
func (r Rules) needed(alert Rule) (rules []Rule) {
	rules = []Rule{alert}
	for i := 0; i < len(rules); i++ {
		for _, g := range r.Groups {
			for _, other := range g.Rules {
				if other.Record != "" && strings.Contains(rules[i].Expr, other.Record) &&
					!slices.ContainsFunc(rules, func(in Rule) bool { return in.Expr == other.Expr }) {
					rules = append(rules, other)
				}
			}
		}
	}
	slices.Reverse(rules)
	return rules
}

// fires says when the case shows the alert firing.
func (c Case) fires(alert string) (time.Duration, bool) {
	if firing, _ := c.shows(alert); !firing {
		return 0, false
	}
	at, err := time.ParseDuration(c.Exprs[0].EvalTime)
	return at, err == nil
}

// isQuiet says when the case shows the alert quiet.
func (c Case) isQuiet(alert string) (time.Duration, bool) {
	for _, a := range c.Alerts {
		if at, err := time.ParseDuration(a.EvalTime); err == nil && a.Alert == alert && len(a.Expected) == 0 {
			return at, true
		}
	}
	return 0, false
}

// as are the series of the case in a namespace, begun later; not where one of them
// is itself a time, which would then be another, and not of a case about there
// being no series of the connector at all.
func (c Case) as(t *testing.T, namespace string, later time.Duration) (all []Series, ok bool) {
	t.Helper()
	interval, err := time.ParseDuration(c.Interval)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.InputSeries {
		ok = ok || strings.HasPrefix(s.Series, "halo_") || strings.Contains(s.Series, `job="halo-`)
		if later > 0 {
			if strings.Contains(s.Series, "time") {
				return nil, false
			}
			s.Values = fmt.Sprintf("_x%d %s", later/interval, s.Values)
		}
		s.Series = strings.Replace(s.Series, "{", `{cluster="eu",namespace="`+namespace+`",`, 1)
		all = append(all, s)
	}
	return all, ok
}
