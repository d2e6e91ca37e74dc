// Package prometheus holds the rules of deploy/prometheus to what they claim:
// every metric is one that a stage has, every alert is shown firing and quiet,
// and whoever is woken finds a section of the runbook.
package prometheus

import (
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// Rules is a file of rules.
type Rules struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []Rule `json:"rules"`
	} `json:"groups"`
}

// Rule is an alert or a recorded series.
type Rule struct {
	Alert       string            `json:"alert,omitempty"`
	Record      string            `json:"record,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Cases is a file for promtool test rules.
type Cases struct {
	RuleFiles          []string `json:"rule_files"`
	EvaluationInterval string   `json:"evaluation_interval"`
	Tests              []Case   `json:"tests"`
}

// Case is one of its tests.
type Case struct {
	Name        string   `json:"name"`
	Interval    string   `json:"interval"`
	InputSeries []Series `json:"input_series"`
	Alerts      []struct {
		Alert    string `json:"alertname"`
		EvalTime string `json:"eval_time"`
		Expected []any  `json:"exp_alerts"`
	} `json:"alert_rule_test"`
	Exprs []struct {
		Expr     string `json:"expr"`
		EvalTime string `json:"eval_time"`
		Samples  []struct {
			Labels string  `json:"labels"`
			Value  float64 `json:"value"`
		} `json:"exp_samples"`
	} `json:"promql_expr_test"`
}

// Series is what a case pretends was scraped.
type Series struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

// Read reads a file; a member that nobody knows is an error.
func Read(file string, into any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(b, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// Anchors are the sections of a markdown file, as links name them.
func Anchors(markdown string) map[string]string {
	sections := make(map[string]string)
	var anchor string
	for line := range strings.Lines(markdown) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			anchor = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-")
			sections[anchor] = ""
			continue
		}
		sections[anchor] += line
	}
	return sections
}
