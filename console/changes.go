package console

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/schemas"
)

// changeView is an entry of the audit trail for people.
type changeView struct {
	control.Change
	Words   string
	By      string
	Machine bool // the connector did it by itself
	Failed  bool
	Path    string // the agent's page, where there is one
}

// changesView is the page of changes.
type changesView struct {
	Rows []changeView
	Tabs []tab
	Next string
	Any  bool // there are some that the filter hides
	From string
}

// viewChanges puts changes in words.
func (v *visit) viewChanges(all []control.Change) ([]changeView, error) {
	p, err := v.people()
	if err != nil {
		return nil, err
	}
	out := make([]changeView, 0, len(all))
	for _, c := range all {
		row := changeView{Change: c, Words: changeWords(c, p), By: c.By, Machine: c.By == schemas.ByConnector}
		if row.Machine {
			row.By = "The connector"
		}
		if row.Failed = c.Result != "" && c.Result != "ok"; row.Failed {
			row.Words, row.Result = sentence(c.Change)+" failed", sentence(c.Result)
		}
		if c.Agent != 0 {
			row.Path = v.path(fmt.Sprintf("agents/%d", c.Agent))
		}
		out = append(out, row)
	}
	return out, nil
}

// changes shows who changed what. The API filters by time; by whom is filtered
// here, from as many as it gives in one answer.
func (v *visit) changes() error {
	if len(v.rest) > 0 {
		return errNowhere
	}
	q := url.Values{"limit": {"1000"}}
	view := changesView{From: v.field("from")}
	if from, err := time.ParseInLocation(time.DateOnly, view.From, v.zone); err == nil {
		q.Set("from", from.UTC().Format(time.RFC3339))
	} else {
		view.From = ""
	}
	if c := v.field("page"); c != "" {
		q.Set("cursor", c)
	}
	var all control.Changes
	if err := v.get("/changes", q, &all); err != nil {
		return err
	}
	view.Next, view.Any = all.Next, len(all.Changes) > 0
	filter := v.field("by")
	for _, f := range []struct {
		name, words string
		fits        func(control.Change) bool
	}{
		{"", "All", func(control.Change) bool { return true }},
		{"people", "By people", func(c control.Change) bool { return c.By != schemas.ByConnector }},
		{"connector", "By the connector", func(c control.Change) bool { return c.By == schemas.ByConnector }},
		{"problems", "Problems", func(c control.Change) bool { return c.Problem != "" || c.State != "" }},
	} {
		var fit []control.Change
		for _, c := range all.Changes {
			if f.fits(c) {
				fit = append(fit, c)
			}
		}
		if f.name == filter {
			rows, err := v.viewChanges(fit)
			if err != nil {
				return err
			}
			view.Rows = rows
		}
		view.Tabs = append(view.Tabs, tab{f.words, len(fit), v.URL("by", f.name), f.name == filter})
	}
	return v.show(http.StatusOK, "changes", "Changes", view)
}
