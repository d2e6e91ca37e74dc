package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/worksights/halo-connector/internal/control"
)

// tenantsView is the list of tenants, for who may see several.
type tenantsView struct {
	Rows   []tenantRow
	Tabs   []tab
	Q      string
	All    int // without filters
	Filter string
}

type tenantRow struct {
	control.TenantRow
	Host     string
	Problems []string
	Path     string
}

// tab is a filter by state, with how many it shows.
type tab struct {
	Words   string
	Count   int
	Path    string
	Current bool
}

// attention reports whether somebody should look at a tenant.
func attention(t control.TenantRow) bool {
	calm := t.State == control.Active || t.State == control.Disconnected
	return !calm || slices.ContainsFunc(t.Problems, func(p string) bool { return p != "webhook_repaired" })
}

// tenants lists them all: the API gives a thousand at a time.
func (v *visit) tenants() error {
	var all []control.TenantRow
	q := url.Values{"limit": {"1000"}}
	for {
		var page control.Tenants
		if err := ask(v.r.Context(), v.api, http.MethodGet, "/v1/tenants", q, nil, &page); err != nil {
			return err
		}
		all = append(all, page.Tenants...)
		if page.Next == "" || len(all) > 100_000 {
			break
		}
		q.Set("cursor", page.Next)
	}
	view := tenantsView{Q: v.field("q"), Filter: v.field("state"), All: len(all)}
	needle := strings.ToLower(view.Q)
	all = slices.DeleteFunc(all, func(t control.TenantRow) bool {
		return needle != "" && !strings.Contains(strings.ToLower(string(t.Tenant)+" "+t.TenantURL), needle)
	})
	filters := []struct {
		name, words string
		fits        func(control.TenantRow) bool
	}{
		{"", "All", func(control.TenantRow) bool { return true }},
		{"attention", "Needs attention", attention},
		{"active", "Active", func(t control.TenantRow) bool { return t.State == control.Active }},
		{"silent", "Silent", func(t control.TenantRow) bool { return slices.Contains(t.Problems, "silent") }},
		{"disconnected", "Disconnected", func(t control.TenantRow) bool { return t.State == control.Disconnected }},
	}
	for _, f := range filters {
		n := 0
		for _, t := range all {
			if !f.fits(t) {
				continue
			}
			n++
			if f.name == view.Filter {
				view.Rows = append(view.Rows, v.tenantRow(t))
			}
		}
		view.Tabs = append(view.Tabs, tab{f.words, n, v.URL("state", f.name), f.name == view.Filter})
	}
	// Who needs attention comes first; the rest stays by name.
	slices.SortStableFunc(view.Rows, func(a, b tenantRow) int {
		switch x, y := attention(a.TenantRow), attention(b.TenantRow); {
		case x == y:
			return strings.Compare(string(a.Tenant), string(b.Tenant))
		case x:
			return -1
		}
		return 1
	})
	return v.show(http.StatusOK, "tenants", "Tenants", view)
}

func (v *visit) tenantRow(t control.TenantRow) tenantRow {
	row := tenantRow{TenantRow: t, Host: host(t.TenantURL), Path: Prefix + string(t.Tenant) + "/connection"}
	for _, p := range t.Problems {
		row.Problems = append(row.Problems, problemWords(p))
	}
	return row
}
