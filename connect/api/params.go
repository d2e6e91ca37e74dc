package api

import (
	_ "embed"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // an image may have no zones of its own, and all instances must know the same

	"github.com/danielgtaylor/huma/v2"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// The parts of requests that several routes have.
type (
	InTenant struct {
		Tenant string `path:"tenant" example:"acme" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"The tenant's id"`
	}
	InAgent struct {
		InTenant
		Agent int64 `path:"agent" example:"42" minimum:"0" maximum:"9007199254740991" doc:"Halo's id of the agent"`
	}
	// InRange are the bounds of a list, by the clock that its route names.
	InRange struct {
		From instant `query:"from" example:"2026-11-24T08:00:00Z" doc:"Not before: a time as in RFC 3339, or a date, which is its beginning in UTC"`
		To   instant `query:"to" example:"2026-11-25T08:00:00Z" doc:"Before: a time as in RFC 3339, or a date"`
	}
	InPage struct {
		Limit  int64  `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most rows of a page"`
		Cursor string `query:"cursor" example:"019ab3c5d21-0b5c9c1e7f0a4c559d0e2f6f4b1a8c11" doc:"What next was in an earlier answer. The filters may change on the way"`
	}
	// InSome asks for a part of a list that is short enough to be asked for whole.
	InSome struct {
		Query  string `query:"q" maxLength:"200" doc:"A part of what the rows are called by, without case"`
		Limit  int64  `query:"limit" minimum:"1" maximum:"1000" doc:"The most rows of a page; without it all are answered"`
		Cursor string `query:"cursor" doc:"What next was in an earlier answer"`
	}
)

func (in *InAgent) agent() schemas.AgentID { return schemas.AgentID(in.Agent) }

// instant is a time in a query: RFC 3339, or a date as its beginning in UTC.
type instant struct{ time.Time }

// The times that Kafka, which asks by milliseconds since 1970, and ClickHouse's
// DateTime64 know. What lies outside is as good as the bound.
var (
	earliest = time.UnixMilli(0).UTC()
	latest   = time.Date(2299, 12, 31, 0, 0, 0, 0, time.UTC)
)

// UnmarshalText reads what is in a query. A bare "+" in place of %2B, which
// became a space, is read too.
func (t *instant) UnmarshalText(b []byte) error {
	s := strings.ReplaceAll(string(b), " ", "+")
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		at, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if at = at.UTC(); at.Before(earliest) {
			at = earliest
		}
		if at.After(latest) {
			at = latest
		}
		t.Time = at
		return nil
	}
	return errors.New("want a time as in RFC 3339, or a date")
}

// Schema is a text to huma; the document says more, see describe.
func (instant) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }

// maybe is a number in a query, or none.
type maybe struct {
	Value int64
	Set   bool
}

// Receiver is where huma puts the number.
func (m *maybe) Receiver() reflect.Value { return reflect.ValueOf(m).Elem().Field(0) }

// OnParamSet says whether there was one.
func (m *maybe) OnParamSet(set bool, _ any) { m.Set = set }

// Schema is the number's.
func (maybe) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
}

// page makes a query of what the lists of the read model have in common.
func page(r InRange, p InPage) (control.Query, error) {
	q := control.Query{From: r.From.Time, To: r.To.Time, Limit: int(p.Limit)}
	if p.Cursor == "" {
		return q, nil
	}
	var err error
	q.After, err = control.ParseCursor(p.Cursor)
	return q, err
}

// paged asks for one row more than a page has, which tells whether there is
// another page.
func paged[T any](q control.Query, at func(T) control.Position, ask func(control.Query) ([]T, error)) (rows []T, next string, err error) {
	more := q
	more.Limit++
	if rows, err = ask(more); err != nil {
		return nil, "", err
	}
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		next = at(rows[len(rows)-1]).Cursor()
	}
	return orNone(rows), next, nil
}

// orNone is rows, or an array without any: null would be neither.
func orNone[T any](rows []T) []T {
	if rows == nil {
		return []T{}
	}
	return rows
}

// some is the part of rows that a query asks for. key is what a cursor is: rows
// are in its order by less, and those after it come.
func some[T any](in InSome, rows []T, fits func(T) bool, key func(T) string, after func(row T, cursor string) bool) (page []T, next string) {
	page = []T{}
	for _, row := range rows {
		if in.Cursor != "" && !after(row, in.Cursor) || !fits(row) {
			continue
		}
		if in.Limit > 0 && len(page) == int(in.Limit) {
			return page, key(page[len(page)-1])
		}
		page = append(page, row)
	}
	return page, ""
}

// contains says whether one of the texts has a part, without case.
func contains(part string, texts ...string) bool {
	part = strings.ToLower(part)
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), part) {
			return true
		}
	}
	return part == ""
}

// zoneNames are the names of IANA's database of time zones. Go cannot list
// them, and a document that enumerates them can be used to build a menu.
//
//go:embed zones.txt
var zoneNames string

var zones = sync.OnceValue(func() []string { return strings.Fields(zoneNames) })

// maxUserID is the longest user id, in bytes.
const maxUserID = 200

// checkUser says what is wrong with a user id.
func checkUser(id schemas.UserID) string {
	switch {
	case id == "" || len(id) > maxUserID:
		return "user_id is 1 to 200 bytes"
	case !harmless.Is(string(id)):
		return "user_id has a control character, or an invisible one"
	}
	return ""
}

// checkEntry says what is wrong with a user who is put into the directory. Whoever
// is there already can be mapped and erased whatever he is called.
func checkEntry(u control.User) string {
	switch fault := checkUser(u.ID); {
	case fault != "":
		return fault
	case strings.TrimSpace(string(u.ID)) != string(u.ID):
		return "user_id begins or ends with a blank"
	case !harmless.Is(u.Email):
		return "email has a control character, or an invisible one"
	}
	return ""
}

// agentRef is an agent's id in a body: a number, or its digits as a text.
type agentRef schemas.AgentID

// UnmarshalJSON takes both.
func (a *agentRef) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	n, err := strconv.ParseUint(text, 10, 53)
	if err != nil && len(text) < len(b) {
		return invalid("agent_id is a whole number, or its digits")
	}
	if err != nil {
		var f float64 // 4.0 and 1e0 are whole numbers too
		if json.Unmarshal(b, &f) != nil || f != float64(uint64(f)) || f < 0 || f > 1<<53-1 {
			return invalid("agent_id is a whole number, or its digits")
		}
		n = uint64(f)
	}
	*a = agentRef(n)
	return nil
}

// Schema is both.
func (agentRef) Schema(huma.Registry) *huma.Schema {
	least, most := 0.0, float64(1<<53-1)
	return &huma.Schema{
		Description: "Halo's id of the agent, as a number or as its digits", Examples: []any{42},
		AnyOf: []*huma.Schema{
			{Type: huma.TypeInteger, Format: "int64", Minimum: &least, Maximum: &most},
			{Type: huma.TypeString, Pattern: "^[0-9]{1,15}$"},
		},
	}
}
