package halopsa_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// pageShapes are servers that cut their lists, each in its own way.
func pageShapes() map[string]func(*halotest.Config) {
	return map[string]func(*halotest.Config){
		"25 a page":                        func(c *halotest.Config) { c.PageCap, c.ListCap = 25, 25 },
		"10 a page":                        func(c *halotest.Config) { c.PageCap, c.ListCap = 10, 10 },
		"3 a page":                         func(c *halotest.Config) { c.PageCap, c.ListCap = 3, 3 },
		"50 a page":                        func(c *halotest.Config) { c.PageCap, c.ListCap = 50, 50 },
		"100 a page":                       func(c *halotest.Config) { c.PageCap, c.ListCap = 100, 100 },
		"60 at first, then 25 a page":      func(c *halotest.Config) { c.PageCap, c.ListCap = 25, 60 },
		"no pages":                         func(c *halotest.Config) { c.IgnorePaging = true },
		"objects, 25 a page":               func(c *halotest.Config) { c.PageCap, c.ListCap, c.Objects = 25, 25, true },
		"objects, 60 at first, then pages": func(c *halotest.Config) { c.ListCap, c.Objects = 60, true },
	}
}

func TestAListIsReadToItsEndHoweverTheServerCutsIt(t *testing.T) {
	for name, configure := range pageShapes() {
		for _, rows := range []int{9, 10, 24, 25, 49, 50, 60, 100, 131} {
			t.Run(fmt.Sprintf("%d rows, %s", rows, name), func(t *testing.T) {
				sim, client := startTenant(t, configure)
				ctx := t.Context()
				for i := range rows - 4 { // three are there, and "Unassigned"
					sim.AddAgent(halotest.Agent{Name: fmt.Sprintf("Agent %d", i)})
				}
				sim.AddStrangers(rows)
				agents, err := client.Agents(ctx)
				if err != nil || len(agents) != rows-1 {
					t.Errorf("%d agents, %v", len(agents), err)
				}
				hooks, err := client.Webhooks(ctx)
				if err != nil || len(hooks) != rows {
					t.Errorf("%d webhooks, %v", len(hooks), err)
				}
				bound, err := client.Notifications(ctx)
				if err != nil || len(bound) != rows {
					t.Errorf("%d notifications, %v", len(bound), err)
				}
			})
		}
	}
}

func TestTheCatalogueIsFoundBehindTheServersCut(t *testing.T) {
	for name, configure := range map[string]func(*halotest.Config){
		"cut at 50":            func(c *halotest.Config) { c.Lookups, c.ListCap = 90, 50 },
		"cut at 50, an object": func(c *halotest.Config) { c.Lookups, c.ListCap, c.Objects = 90, 50, true },
		"cut at 1,000":         func(c *halotest.Config) { c.Lookups, c.ListCap = 1040, 1000 },
		"cut at the count":     func(c *halotest.Config) { c.Lookups = 2000 },
		"small pages":          func(c *halotest.Config) { c.Lookups, c.ListCap, c.PageCap = 300, 250, 20 },
		"exactly one page":     func(c *halotest.Config) { c.Lookups, c.ListCap = 35, 50 },
	} {
		t.Run(name, func(t *testing.T) {
			sim, client := startTenant(t, configure)
			got, err := client.EventCatalogue(t.Context())
			if err != nil || got.Numbers[schemas.UpdatedByAgent] != 42 || len(got.Assumed)+len(got.Missing) > 0 {
				t.Errorf("got %+v, %v", got, err)
			}
			if asked := sim.Counters().Requests["Lookup"]; asked > 25 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

func TestAListThatEndsBeforeItsCountSaysSo(t *testing.T) {
	sim, client := startTenant(t, func(c *halotest.Config) { c.Objects, c.Overcount = true, 7 })
	sim.AddStrangers(2)
	agents, err := client.Agents(t.Context())
	want := client.Host() + " says that it has 11 agents and lists 4."
	var e *halopsa.Error
	if !errors.As(err, &e) || e.Cause != halopsa.ListIncomplete || e.Message != want || e.Action == "" || len(agents) != 3 {
		t.Errorf("%d agents, %v; want %q", len(agents), err, want)
	}
	if hooks, err := client.Webhooks(t.Context()); halopsa.CauseOf(err) != halopsa.ListIncomplete || len(hooks) != 2 {
		t.Errorf("%d webhooks, %v", len(hooks), err)
	}
	if bound, err := client.Notifications(t.Context()); halopsa.CauseOf(err) != halopsa.ListIncomplete || len(bound) != 2 {
		t.Errorf("%d notifications, %v", len(bound), err)
	}
	if cat, err := client.EventCatalogue(t.Context()); err != nil || len(cat.Numbers) != 4 {
		t.Errorf("the catalogue: %+v, %v", cat, err)
	}
	if asked := sim.Counters().Requests["Agent"]; asked > 3 {
		t.Errorf("asked for %d pages", asked)
	}
}
