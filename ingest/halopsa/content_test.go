package halopsa

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// Markers that a value or a name is replaced by.
const (
	marker       = "MARKER-7f3a"
	markerNumber = "777000777000777"
)

// mayBeRead is the contract's allow-list, stated apart from the code: what an
// object's own members may be read for, and which lead on to others.
var mayBeRead = []string{
	"id", "webhook_id", "notification_id", "escmsg_id", "event", "object_id", "objectid", "ticket_id", "ticketid", "agent_id", "timestamp",
	"status_id", "tickettype_id", "hasbeenclosed", "last_update",
	"who_type", "who_agentid", "actionby_agent_id", "old_status", "new_status", "datetime",
}

var leadsOn = []string{"ticket", "action", "actions", "object", "data", "events"}

// plant puts a marker into every value and name that is off the list, at any
// depth, and counts them.
func plant(v any, listed bool, count *int) any {
	switch v := v.(type) {
	case map[string]any:
		planted := map[string]any{}
		for name, value := range v {
			lower := strings.ToLower(name)
			switch {
			case listed && slices.Contains(leadsOn, lower):
				planted[name] = plant(value, true, count)
			case listed && slices.Contains(mayBeRead, lower):
				planted[name] = value
			default:
				planted[name] = plant(value, false, count)
			}
		}
		*count += 3
		planted[marker] = marker
		planted[marker+" number"] = json.Number(markerNumber)
		planted[marker+" object"] = map[string]any{"id": json.Number(markerNumber), "ticket_id": json.Number(markerNumber), "event": marker, marker: []any{marker}}
		return planted
	case []any:
		planted := make([]any, len(v))
		for i := range v {
			planted[i] = plant(v[i], listed, count)
		}
		return planted
	case json.Number:
		if listed {
			return v
		}
		*count++
		return json.Number(markerNumber)
	default:
		if listed {
			return v
		}
		*count++
		return marker
	}
}

func parse(t *testing.T, body []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func format(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// everythingSaid is all that can come out of a Decode.
func everythingSaid(body []byte) string {
	r, err := Decode(body, delivery)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("decoded", "fields", r.Fields, "err", err)
	return fmt.Sprintf("%+v %v %s %s", r, err, lines(r), log.Bytes())
}

func assertClean(t *testing.T, said string) {
	t.Helper()
	if strings.Contains(said, marker) || strings.Contains(strings.ToLower(said), strings.ToLower(marker)) || strings.Contains(said, markerNumber) {
		t.Errorf("a marker came out: %s", said)
	}
}

func TestContentHasNoInfluenceAndDoesNotComeOut(t *testing.T) {
	for _, name := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			body := golden(t, name)
			count := 0
			planted := format(t, plant(parse(t, body), true, &count))
			if count < 3 || bytes.Count(planted, []byte(marker)) < 3 {
				t.Fatalf("%d markers planted: this proves nothing", count)
			}
			assertClean(t, everythingSaid(planted))

			want, err := Decode(body, delivery)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(planted, delivery)
			if err != nil || len(got.Events) != len(want.Events) {
				t.Fatalf("%d events, want %d; error %v", len(got.Events), len(want.Events), err)
			}
			for i, e := range got.Events {
				if e.Refusal == "undecodable" {
					e.ID = want.Events[i].ID // the digest of other bytes
				}
				if e != want.Events[i] {
					t.Errorf("event %d\ngot  %s\nwant %s", i, e.AppendJSON(nil), want.Events[i].AppendJSON(nil))
				}
			}
		})
	}
}

// Texts in members that are on the list are content too: Halo can be told to
// send display texts in the place of ids.
func TestTextInAnyListedMemberDoesNotComeOut(t *testing.T) {
	planted := 0
	for _, name := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			tree := parse(t, golden(t, name))
			eachMember(tree, func(object map[string]any, name string) {
				original := object[name]
				for _, value := range []any{marker, " " + marker, map[string]any{marker: marker}, []any{marker, map[string]any{"id": marker}}} {
					object[name] = value
					assertClean(t, everythingSaid(format(t, tree)))
					planted++
				}
				delete(object, name)
				object[marker] = original
				assertClean(t, everythingSaid(format(t, tree)))
				delete(object, marker)
				object[name] = original
			})
		})
	}
	if planted < 500 {
		t.Fatalf("%d texts planted: this proves little", planted)
	}
}

// eachMember visits the members of all objects that may be read, and of no
// others, since those are replaced whole above.
func eachMember(v any, visit func(object map[string]any, name string)) {
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		for _, name := range names {
			if lower := strings.ToLower(name); slices.Contains(mayBeRead, lower) || slices.Contains(leadsOn, lower) {
				visit(v, name)
				eachMember(v[name], visit)
			}
		}
	case []any:
		for _, e := range v {
			eachMember(e, visit)
		}
	}
}

func TestErrorsSayNothingOfTheBody(t *testing.T) {
	for _, body := range []string{
		`{"summary":"` + marker, `{"` + marker + `":}`, marker, `{"ticket":{"id":"` + marker + `"`, `[` + strings.Repeat(`{"`+marker+`":`, 1001) + `1`,
	} {
		if _, err := Decode([]byte(body), delivery); err == nil {
			t.Errorf("%.40s: no error", body)
		}
		assertClean(t, everythingSaid([]byte(body)))
	}
	body := golden(t, "status_changed_full")
	for cut := 1; cut < len(body); cut++ {
		if _, err := Decode(body[:cut], delivery); !errors.Is(err, ErrNotJSON) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

func TestTheFieldReportKnowsTheVendorsNamesOnly(t *testing.T) {
	for body, want := range map[string]FieldReport{
		`{"Summary":"x","SUMMARY":"y","message":"z","Kettle":1,"user_name":{"site_id":7,"whom":1}}`: {Known: []string{"message", "site_id", "summary", "user_name"}, Others: 2},
		`[{"sum\u006dary":1,"a":1},{"b":[{"note":1}],"event":"x"},"details",null]`:                  {Known: []string{"event", "note", "summary"}, Others: 2},
		`{"summary":"\"note\":","x":["details"]}`:                                                   {Known: []string{"summary"}, Others: 1},
		`{}`: {}, `null`: {}, `"summary"`: {}, `5`: {}, `{"x":{}}`: {},
		`{"summary":1,"ticket_id":7}`:                                      {},                                 // a ticket was found: nothing to report
		`[{"event":"x","ticket_id":7,"summary":1},{"event":"x","note":1}]`: {Known: []string{"event", "note"}}, // of the item without one
	} {
		r, err := Decode([]byte(body), delivery)
		if err != nil || !slices.Equal(r.Fields.Known, want.Known) || r.Fields.Others != want.Others {
			t.Errorf("%s: got %+v, %v", body, r.Fields, err)
		}
	}
	if !slices.IsSorted(vocabulary()) {
		t.Error("the vocabulary is not sorted")
	}
	for _, name := range append(slices.Clone(mayBeRead), leadsOn[:5]...) {
		if !slices.Contains(vocabulary(), name) {
			t.Errorf("%s is read but not in the vocabulary", name)
		}
	}
}

func TestEventsShareNoMemoryWithTheBody(t *testing.T) {
	body := []byte(`{"message":"x","escmsg_id":"e","event":"y"}`)
	r, err := Decode(body, delivery)
	if err != nil {
		t.Fatal(err)
	}
	before := lines(r)
	for i := range body {
		body[i] = 'z'
	}
	if !bytes.Equal(lines(r), before) {
		t.Error("the result changed with the body")
	}
}
