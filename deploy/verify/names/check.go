package names

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// given are the metrics that Prometheus itself makes.
var given = []string{"up", "ALERTS"}

// attached are the labels that a scrape adds.
var attached = []string{"job", "instance", "cluster", "namespace", "pod", "le", "__name__"}

// open are labels whose values are not all there from the start.
var open = []string{"tenant", "topic", "client", "node_id", "state", "cause", "component", "store", "code"}

// Record adds a series that a rule records, with the labels that it may have.
func (k Known) Record(name string, labels ...string) {
	k[name] = Metric{Name: name, Labels: append(labels, k[name].Labels...)}
}

// Check parses expr and returns what is wrong with it: a metric that no stage
// has, a label that the metric has not, a value outside of a closed set.
func (k Known) Check(expr string) (used []string, err error) {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, err
	}
	var errs []error
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			used = append(used, selector.Name)
			errs = append(errs, k.selector(selector))
		}
		return nil
	})
	return used, errors.Join(errs...)
}

func (k Known) selector(s *parser.VectorSelector) error {
	if slices.Contains(given, s.Name) {
		return nil
	}
	m, ok := k.find(s.Name)
	if !ok {
		return fmt.Errorf("no stage has the metric %q", s.Name)
	}
	var errs []error
	for _, match := range s.LabelMatchers {
		if slices.Contains(attached, match.Name) {
			continue
		}
		if !slices.Contains(m.Labels, match.Name) {
			errs = append(errs, fmt.Errorf("%s has no label %q, only %v", s.Name, match.Name, m.Labels))
			continue
		}
		if slices.Contains(open, match.Name) || len(m.Values[match.Name]) == 0 || strings.Contains(match.Value, "$") {
			continue
		}
		for _, value := range alternatives(match) {
			if !slices.ContainsFunc(m.Values[match.Name], func(v string) bool { return regexp.MustCompile("^(?:" + value + ")$").MatchString(v) }) {
				errs = append(errs, fmt.Errorf("%s has no %s=%q, only %v", s.Name, match.Name, value, m.Values[match.Name]))
			}
		}
	}
	return errors.Join(errs...)
}

// alternatives are the values that a matcher names one by one.
func alternatives(m *labels.Matcher) []string {
	if m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual {
		return []string{regexp.QuoteMeta(m.Value)}
	}
	return strings.Split(m.Value, "|")
}

// find also finds the series that a histogram makes of its name.
func (k Known) find(name string) (Metric, bool) {
	if m, ok := k[name]; ok {
		return m, true
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && strings.HasSuffix(base, "_seconds") || ok && strings.HasSuffix(base, "_bytes") {
			if m, ok := k[base]; ok {
				return m, true
			}
		}
	}
	return Metric{}, false
}
