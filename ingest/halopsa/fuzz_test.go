package halopsa

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/schemas"
)

// seed adds the golden deliveries, but for the large ones: the fuzzer would
// spend its time on making those smaller.
func seed(f *testing.F, add func(body []byte)) {
	for _, name := range goldens(f) {
		if body := golden(f, name); len(body) < 2<<10 {
			add(body)
		}
	}
	for _, s := range []string{
		plainDelivery, `[]`, `{}`, `null`, `{"id":1}`, `[{"id":"1","event":"case logged"},5]`, `{"events":[{"ticket_id":1e0}],"event":"new request logged"}`,
		`{"\u0069d":"\ud83d","ticket":{"actions":[{"who_type":1}]},"TICKET":null}`, `{"x":[[[{}]]],"y":-0.5e-3}`, "\f", "\r\n",
	} {
		add([]byte(s))
	}
}

// FuzzDecode holds the decoder to what is true of every delivery.
func FuzzDecode(f *testing.F) {
	seed(f, func(b []byte) { f.Add(b) })
	want := plainEvent()
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Decode(body, delivery)
		if errors.Is(err, ErrTooDeep) {
			return
		}
		bare := bytes.TrimPrefix(body, []byte("\ufeff"))
		if errors.Is(err, ErrTooMany) {
			return
		}
		if valid := json.Valid(bare) || len(bytes.Trim(bare, " \t\r\n")) == 0; valid != (err == nil) {
			t.Fatalf("error %v, valid %v", err, valid)
		}
		if err != nil {
			if len(r.Events) > 0 {
				t.Fatal("events beside an error")
			}
			return
		}
		if len(r.Events) == 0 && len(r.Fields.Known) > 0 {
			t.Fatal("a delivery is lost that says something of Halo's")
		}
		checkEvents(t, r)
		again, _ := Decode(bytes.Clone(body), delivery)
		if !slices.Equal(r.Events, again.Events) {
			t.Fatal("the same bytes gave other events")
		}
		if !json.Valid(bare) {
			return // blanks
		}

		// As content of another delivery, the body has no influence; as a
		// sibling, it does no harm and makes one event.
		for _, wrapped := range []string{
			strings.Replace(plainDelivery, `"Kettle"`, string(bare), 1),
			strings.Replace(plainDelivery, `"client_id":1`, `"client_id":1,"details":`+string(bare), 1),
			`{"details":` + string(bare) + `,` + plainDelivery[1:],
		} {
			r, err := Decode([]byte(wrapped), delivery)
			if errors.Is(err, ErrTooDeep) {
				return
			}
			if err != nil || len(r.Events) != 1 || r.Events[0] != want {
				t.Fatalf("as content: %v %s", err, lines(r))
			}
		}
		for _, wrapped := range []string{`[` + plainDelivery + `,` + string(bare) + `]`, `{"x":[` + plainDelivery + `,` + string(bare) + `]}`} {
			r, err := Decode([]byte(wrapped), delivery)
			if errors.Is(err, ErrTooDeep) {
				return
			}
			if err != nil || len(r.Events) != 2 || r.Events[0] != want {
				t.Fatalf("as a sibling: %v %s", err, lines(r))
			}
			checkEvents(t, r)
		}
	})
}

// checkEvents asserts what every event must be for those who read it later.
func checkEvents(t *testing.T, r Result) {
	t.Helper()
	for _, e := range r.Events {
		parsed, err := schemas.ParseEvent(e.AppendJSON(nil))
		if err != nil || parsed != e {
			t.Fatalf("does not survive its record: %v\n%s", err, e.AppendJSON(nil))
		}
		if (e.Ticket == 0) != (e.Refusal == schemas.Undecodable) {
			t.Fatalf("ticket %d with refusal %q", e.Ticket, e.Refusal)
		}
		if y := e.EventTime.Year(); e.EventTime != schemas.Epoch && (y < firstYear || y > lastYear) {
			t.Fatalf("event time %v", e.EventTime)
		}
		if e.OccurredAt != schemas.OccurredAt(e.EventTime, e.ReceivedAt) {
			t.Fatalf("occurred at %v", e.OccurredAt)
		}
	}
}

// FuzzMarker writes a marker into a body, wherever that is, and looks for it in
// everything that comes out.
func FuzzMarker(f *testing.F) {
	seed(f, func(b []byte) {
		f.Add(b, 10)
		f.Add(b, len(b)/2)
	})
	f.Fuzz(func(t *testing.T, body []byte, at int) {
		if at < 0 || at > len(body) || bytes.Contains(body, []byte(marker)) {
			return
		}
		assertClean(t, everythingSaid(slices.Concat(body[:at], []byte(marker), body[at:])))
	})
}

// FuzzTimes holds the reader of times to being stable: what it makes of a text
// is what it makes of that time's standard form.
func FuzzTimes(f *testing.F) {
	for _, s := range []string{"2026-10-02T14:03:27.4410387Z", "2026-10-02 14:03", "1899-12-30T00:00:00", "2299-12-31T23:59:59.9999-0330", "2026-10-02T14:03:27+13"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := parseTime([]byte(s))
		if !ok {
			return
		}
		if v != schemas.Truncate(v) {
			t.Fatalf("%q: %v is not truncated", s, v)
		}
		again, ok := parseTime([]byte(v.Format("2006-01-02T15:04:05.0000000Z07:00")))
		if !ok || again != v {
			t.Fatalf("%q: %v, then %v", s, v, again)
		}
	})
}
