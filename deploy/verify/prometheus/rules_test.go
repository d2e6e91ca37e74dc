package prometheus

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/deploy/verify/names"
	"github.com/worksights/halo-connector/internal/metric"
)

const (
	deploy  = "../.."
	runbook = "https://github.com/worksights/halo-connector/blob/main/deploy/runbook.md"
)

func read(t *testing.T) (Rules, Cases) {
	t.Helper()
	var rules Rules
	var cases Cases
	if err := Read(deploy+"/prometheus/rules.yml", &rules); err != nil {
		t.Fatal(err)
	}
	if err := Read(deploy+"/prometheus/rules_test.yml", &cases); err != nil {
		t.Fatal(err)
	}
	return rules, cases
}

func (r Rules) alerts() (alerts []Rule) {
	for _, g := range r.Groups {
		for _, rule := range g.Rules {
			if rule.Alert != "" {
				alerts = append(alerts, rule)
			}
		}
	}
	return alerts
}

// known are the metrics of all stages, and what the rules record.
func known(t *testing.T, rules Rules) names.Known {
	t.Helper()
	k, err := names.Gather(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				k.Record(r.Record, "stage", "evidence")
			}
		}
	}
	return k
}

func TestEveryRuleAsksForWhatTheStagesHave(t *testing.T) {
	rules, _ := read(t)
	k := known(t, rules)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if _, err := k.Check(r.Expr); err != nil {
				t.Errorf("%s%s: %v", r.Alert, r.Record, err)
			}
		}
	}
}

func TestEachPromiseHasAnAlertOfItsName(t *testing.T) {
	rules, _ := read(t)
	for _, p := range metric.Promises() {
		name := "Halo"
		for _, word := range strings.Split(string(p), "_") {
			name += strings.ToUpper(word[:1]) + word[1:]
		}
		i := slices.IndexFunc(rules.alerts(), func(r Rule) bool { return r.Alert == name })
		if i < 0 {
			t.Errorf("there is no alert %s", name)
		} else if r := rules.alerts()[i]; !strings.Contains(r.Expr, `halo_promise_breaches_total{promise="`+string(p)+`"}`) || r.Labels["severity"] != "page" {
			t.Errorf("%s does not page for breaches of %s", name, p)
		}
	}
}

func TestWhoeverIsWokenFindsWhatToDo(t *testing.T) {
	rules, _ := read(t)
	book, err := os.ReadFile(deploy + "/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := Anchors(string(book))
	alerts := make(map[string]bool)
	for _, r := range rules.alerts() {
		alerts[strings.ToLower(r.Alert)] = true
		for _, name := range []string{"summary", "description"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		severity := r.Labels["severity"]
		if severity != "page" && severity != "ticket" {
			t.Errorf("%s has the severity %q, want page or ticket", r.Alert, severity)
		}
		anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], runbook+"#")
		section, there := sections[anchor]
		if !ok || !there {
			t.Errorf("%s: the runbook has no section %q", r.Alert, r.Annotations["runbook_url"])
			continue
		}
		for _, part := range []string{"**" + strings.ToUpper(severity[:1]) + severity[1:] + ".**", "- *See:*", "- *Do:*", "- *Ends:*"} {
			if !strings.Contains(section, part) {
				t.Errorf("%s: its section of the runbook lacks %q", r.Alert, part)
			}
		}
	}
	for anchor := range sections {
		if strings.HasPrefix(anchor, "halo") && !alerts[anchor] {
			t.Errorf("the runbook has a section %s, and there is no such alert", anchor)
		}
	}
}

// shows says whether the case shows the alert firing, and whether it shows it
// quiet.
func (c Case) shows(alert string) (firing, quiet bool) {
	for _, e := range c.Exprs {
		want := `ALERTS{alertname="` + alert + `", alertstate="firing"}`
		firing = firing || strings.Contains(e.Expr, want) && len(e.Samples) > 0 && e.Samples[0].Value > 0
	}
	for _, a := range c.Alerts {
		quiet = quiet || a.Alert == alert && len(a.Expected) == 0
	}
	return firing, quiet
}

func TestEveryAlertIsShownFiringAndQuiet(t *testing.T) {
	rules, cases := read(t)
	k := known(t, rules)
	for _, r := range rules.alerts() {
		needed := metrics(t, k, rules, r.Expr)
		var fires, silent int
		for _, c := range cases.Tests {
			firing, quiet := c.shows(r.Alert)
			if firing {
				fires++
			}
			if !quiet {
				continue
			}
			silent++
			for _, name := range needed {
				if !slices.ContainsFunc(c.InputSeries, func(s Series) bool {
					return strings.HasPrefix(s.Series, name+"{")
				}) && !optional(r.Alert, name) {
					t.Errorf("%q has no data of %s: that it is quiet proves nothing", c.Name, name)
				}
			}
		}
		if fires == 0 {
			t.Errorf("%s is nowhere shown firing", r.Alert)
		}
		if silent == 0 {
			t.Errorf("%s is nowhere shown quiet", r.Alert)
		}
	}
}

// optional are metrics that may rightly be absent from a quiet case.
func optional(alert, name string) bool {
	// A stage's own counter of breaches is one of three signs.
	return alert == "HaloKept" && name == "halo_promise_breaches_total"
}

// metrics are the names that an expression asks the stages for, through what
// is recorded.
func metrics(t *testing.T, k names.Known, rules Rules, expr string) (all []string) {
	t.Helper()
	used, err := k.Check(expr)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range used {
		recorded := false
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Record == name {
					recorded = true
					all = append(all, metrics(t, k, rules, r.Expr)...)
				}
			}
		}
		if !recorded {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestTheCasesAreOfTheseRules(t *testing.T) {
	_, cases := read(t)
	if !slices.Equal(cases.RuleFiles, []string{"rules.yml"}) || len(cases.Tests) == 0 {
		t.Errorf("the cases are of %v", cases.RuleFiles)
	}
}

// TestPromtoolAgrees runs the cases alert by alert, each with the rules that it
// needs: promtool would evaluate all rules for every minute of every case.
func TestPromtoolAgrees(t *testing.T) {
	promtool(t, deploy+"/prometheus", "check", "config", "prometheus.yml")
	promtool(t, deploy+"/prometheus", "check", "rules", "rules.yml")
	rules, cases := read(t)
	run := 0
	for _, r := range rules.alerts() {
		var its []Case
		for _, c := range cases.Tests {
			if strings.HasPrefix(c.Name, r.Alert+" ") {
				if firing, quiet := c.shows(r.Alert); !firing && !quiet {
					t.Errorf("%q is not about its alert", c.Name)
				}
				its = append(its, c)
			}
		}
		run += len(its)
		dir := t.TempDir()
		write(t, dir+"/rules.yml", map[string]any{"groups": []any{map[string]any{"name": "needed", "rules": rules.needed(r)}}})
		write(t, dir+"/cases.yml", Cases{RuleFiles: []string{"rules.yml"}, EvaluationInterval: cases.EvaluationInterval, Tests: its})
		promtool(t, dir, "test", "rules", "cases.yml")
	}
	if run != len(cases.Tests) {
		t.Errorf("%d of %d cases begin with the name of an alert", run, len(cases.Tests))
	}
}

func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("NOT CHECKED: promtool is not installed here; make verify installs it or says how")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
