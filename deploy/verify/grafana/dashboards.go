// Package grafana holds the dashboards to what they claim: every expression
// parses and asks for metrics that a stage has, every variable is defined, and
// what Grafana is told to provision is there.
package grafana

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Dashboard is what matters of a dashboard's JSON.
type Dashboard struct {
	File       string `json:"-"`
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []Variable `json:"list"`
	} `json:"templating"`
	Panels []Panel `json:"panels"`
}

// Variable is one that the reader chooses.
type Variable struct {
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	AllValue   string     `json:"allValue"`
	Datasource Datasource `json:"datasource"`
	Query      struct {
		Query string `json:"query"`
	} `json:"query"`
}

// Datasource is where a panel's figures come from.
type Datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Panel is one picture, or a row of them.
type Panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  Datasource `json:"datasource"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []struct {
		RefID      string     `json:"refId"`
		Expr       string     `json:"expr"`
		Legend     string     `json:"legendFormat"`
		Datasource Datasource `json:"datasource"`
	} `json:"targets"`
	Panels []Panel `json:"panels"`
}

// Read reads all dashboards of a folder.
func Read(dir string) ([]Dashboard, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []Dashboard
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		d := Dashboard{File: filepath.Base(file)}
		if err := json.Unmarshal(b, &d); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// Expression is one that a dashboard asks Prometheus, with every variable
// replaced as Grafana would: for a reader who chose everything.
type Expression struct {
	Where  string // dashboard and panel
	Expr   string
	Legend string // of each line, its labels in braces; empty: a panel without lines
}

// Expressions are those of all panels and variables.
func Expressions(dashboards []Dashboard) ([]Expression, error) {
	var all []Expression
	for _, d := range dashboards {
		chosen := map[string]string{
			// Four scrapes of fifteen seconds, and the six hours that are shown.
			"__rate_interval": "1m", "__interval": "1m", "__range": "6h",
		}
		for _, v := range d.Templating.List {
			chosen[v.Name] = v.AllValue
			expr, err := v.asks()
			if err == nil {
				expr, err = replace(expr, chosen) // by those before it
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.File, err)
			}
			all = append(all, Expression{d.File + ": variable " + v.Name, expr, ""})
		}
		for _, p := range flat(d.Panels) {
			for _, target := range p.Targets {
				expr, err := replace(target.Expr, chosen)
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", d.File, p.Title, err)
				}
				all = append(all, Expression{d.File + ": " + p.Title, expr, target.Legend})
			}
		}
	}
	return all, nil
}

// flat takes panels out of their rows.
func flat(panels []Panel) (all []Panel) {
	for _, p := range panels {
		all = append(append(all, p), flat(p.Panels)...)
	}
	return all
}

var labelValues = regexp.MustCompile(`^label_values\((.+), *([a-z_]+)\)$`)

// asks is the expression whose series have the values of the variable.
func (v Variable) asks() (string, error) {
	m := labelValues.FindStringSubmatch(v.Query.Query)
	if v.Type != "query" || m == nil || v.AllValue == "" {
		return "", fmt.Errorf("variable %s: want label_values(metric, label) and a value for all", v.Name)
	}
	return fmt.Sprintf("count by (%s) (%s)", m[2], m[1]), nil
}

var variable = regexp.MustCompile(`\$(?:\{(\w+)(?::\w+)?\}|(\w+))`)

func replace(expr string, chosen map[string]string) (string, error) {
	var unknown []string
	out := variable.ReplaceAllStringFunc(expr, func(s string) string {
		name := strings.Trim(variable.FindStringSubmatch(s)[1]+variable.FindStringSubmatch(s)[2], "{}")
		v, ok := chosen[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return v
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("no such variable: %s", strings.Join(unknown, ", "))
	}
	return out, nil
}
