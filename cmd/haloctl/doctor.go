package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/worksights/halo-connector/internal/control"
)

func doctorCommand(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Answer from facts: agents missing? activities missing? no events?", GroupID: groupTenant, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, tenant, err := s.tenantClient()
			if err != nil {
				return err
			}
			var d control.Diagnosis
			raw, err := c.Ask(cmd.Context(), http.MethodGet, tenant, "/diagnosis", nil, nil, &d)
			if err != nil {
				return err
			}
			return s.show(raw, d, diagnosisTable(d))
		},
	}
}

// questions are the troubleshooting entries as the customer's guide words them.
var questions = map[string]string{
	"agents_missing":   "Agents are not appearing in the user mapping step",
	"activity_missing": "Ticket activity is not appearing on the timeline",
	"no_events":        "The connection shows as active but no events are coming through",
}

// fact shows a value of any shape on one line.
func fact(v any) string {
	var parts []string
	switch v := v.(type) {
	case nil:
		return "none"
	case []any:
		for _, item := range v {
			parts = append(parts, fact(item))
		}
		if len(parts) == 0 {
			return "none"
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, strings.ReplaceAll(name, "_", " ")+" "+fact(v[name]))
		}
		if len(parts) == 0 {
			return "none"
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

func diagnosisTable(d control.Diagnosis) func(io.Writer) {
	return func(w io.Writer) {
		for i, q := range d.Questions {
			if i > 0 {
				fmt.Fprintln(w)
			}
			title := questions[q.ID]
			if title == "" {
				title = q.ID
			}
			fmt.Fprintf(w, "%s\n  finding:   %s\n  next step: %s\n", title, q.Finding, q.NextStep)
			for _, name := range slices.Sorted(maps.Keys(q.Facts)) {
				fmt.Fprintf(w, "    %s: %s\n", strings.ReplaceAll(name, "_", " "), fact(q.Facts[name]))
			}
		}
	}
}
