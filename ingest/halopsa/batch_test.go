package halopsa

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/schemas"
)

// refusals decodes a body and gives each event's refusal, or its kind.
func refusals(t *testing.T, body string) (list []string) {
	t.Helper()
	r, err := Decode([]byte(body), delivery)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Events {
		if e.Refusal != "" {
			list = append(list, string(e.Refusal))
		} else {
			list = append(list, string(e.Kind))
		}
	}
	return list
}

func TestEachItemOfABatchMakesOneEvent(t *testing.T) {
	const (
		a = `{"ticket_id":1,"event":"ticket logged","escmsg_id":"a"}`
		b = `{"ticket_id":2,"event":"ticket status changed","escmsg_id":"b"}`
		// a bare ticket, as in a holder that says once what happened
		c = `{"id":3,"status_id":4,"agent_id":7}`
	)
	for name, test := range map[string]struct {
		body string
		want string
	}{
		"an array":                             {`[` + a + `,` + b + `]`, "ticket_logged status_changed"},
		"an object of any member name":         {`{"whatever":[` + a + `,` + b + `]}`, "ticket_logged status_changed"},
		"an object's data":                     {`{"data":[` + a + `,` + b + `]}`, "ticket_logged status_changed"},
		"an item's name is empty":              {`{"event":"ticket updated by user","items":[{"ticket_id":1,"event":""}]}`, "updated_by_user"},
		"arrays further in are no items":       {`{"event":"ticket logged","ticket":{"children":[` + a + `,` + b + `]}}`, "undecodable"},
		"an object's actions":                  {`{"actions":[` + a + `,` + b + `]}`, "ticket_logged status_changed"},
		"an object's action":                   {`{"webhook_id":"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5","action":[` + a + `,` + b + `]}`, "ticket_logged status_changed"},
		"actions of one ticket":                {`{"event":"ticket updated by agent","actions":[{"ticket_id":1,"who_agentid":5},{"ticket_id":1,"id":2},{}]}`, "updated_by_agent"},
		"actions of two tickets":               {`{"event":"ticket updated by agent","actions":[{"ticket_id":1,"who_agentid":5},{"ticket_id":2,"who_agentid":5}]}`, "updated_by_agent updated_by_agent"},
		"actions that say what happened":       {`{"event":"ticket updated by agent","actions":[` + a + `,{"ticket_id":1,"event":"ticket status changed","escmsg_id":"c"}]}`, "ticket_logged status_changed"},
		"an action, and a list of others":      {`{"event":"ticket logged","action":{"ticket_id":1},"history":[` + a + `,` + b + `]}`, "ticket_logged"},
		"a numbered object":                    {`{"id":17,"items":[` + a + `,` + b + `]}`, "ticket_logged status_changed"},
		"two arrays":                           {`{"x":[` + a + `],"n":1,"y":[` + b + `]}`, "ticket_logged status_changed"},
		"one array of two is of envelopes":     {`{"x":[{"id":1},{"id":2}],"y":[` + b + `]}`, "status_changed"},
		"an array that is repeated":            {`{"x":[` + a + `],"x":[` + b + `]}`, "status_changed"},
		"an array that is repeated in case":    {`{"x":[` + a + `],"X":[` + b + `]}`, "status_changed"},
		"an array that is null at last":        {`{"x":[` + a + `],"y":[` + b + `],"X":null}`, "status_changed"},
		"bad siblings":                         {`[` + a + `,null,{},[],"x",7,{"event":"ticket logged"},` + b + `]`, "ticket_logged undecodable undecodable undecodable undecodable undecodable undecodable status_changed"},
		"bad siblings in an object":            {`{"items":[{},` + a + `,null]}`, "undecodable ticket_logged undecodable"},
		"a batch in a batch":                   {`[` + a + `,{"items":[` + b + `]}]`, "ticket_logged undecodable"},
		"the kind stands in the object":        {`{"event":"ticket updated by user","items":[` + c + `,` + a + `]}`, "updated_by_user ticket_logged"},
		"it stands there after the array":      {`{"items":[` + c + `,` + a + `],"notification_id":58}`, "updated_by_agent ticket_logged"},
		"the old webhook stands in the object": {`{"webhook_id":"old","items":[` + a + `,{"webhook_id":"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5","ticket_id":2,"event":"ticket logged"}]}`, "stale_webhook ticket_logged"},
		"one item of nothing in an array":      {`[{"event":"ticket logged"}]`, "undecodable"},
		"two items of nothing in an array":     {`[{"event":"ticket logged"},{"event":"ticket logged"}]`, "undecodable undecodable"},
		"an envelope that has arrays":          {`{"ticket_id":1,"event":"ticket logged","history":[` + a + `,` + b + `]}`, "ticket_logged"},
		"a ticket that has arrays":             {`{"id":1,"status_id":2,"event":"ticket logged","children":[` + a + `,` + b + `]}`, "ticket_logged"},

		"no envelope: empty members":         {`[{"event":"","ticket_id":null},{"event":null}]`, "undecodable"},
		"no envelope: a known name":          {`{"summary":"x"}`, "undecodable"},
		"no envelope: a known name, escaped": {`{"SUMM\u0061RY":"x"}`, "undecodable"},
		"no envelope: a known name far in":   {`{"items":[{"x":[[{"note":null}]]}]}`, "undecodable"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(refusals(t, test.body), " "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// Nothing that Halo is known to say is in them: somebody has pressed a button.
func TestATestIsNoEvent(t *testing.T) {
	for _, body := range []string{
		``, ` `, "\r\n\t", "\ufeff", "\ufeff ", `[]`, `{}`, ` null `, `12`, `true`, `"test"`, `"ticket"`, `"\"ticket\":"`, `{"test":true}`, `[{"name":"x"},{"name":"y"},1,2]`,
		`{"items":[{"name":"x"},{"name":"y"}]}`, `{"items":[]}`, `{"items":["ticket","summary"]}`, `[[[{}]]]`, `{"":""}`,
		`[` + strings.Repeat(`{"x":0},`, 60_000) + `{}]`,
		strings.Repeat("[", 400) + strings.Repeat("]", 400),
	} {
		r, err := Decode([]byte(body), delivery)
		if err != nil || len(r.Events) > 0 || r.Fields.Known != nil {
			t.Errorf("%.40q: %d events, %v, %v", body, len(r.Events), r.Fields, err)
		}
	}
}

func TestADeliveryHasTwoThousandItemsAtTheMost(t *testing.T) {
	item := func(i int) string {
		return fmt.Sprintf(`{"ticket_id":%d,"event":"case logged","escmsg_id":"%d"}`, i+1, i)
	}
	items := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = item(i)
		}
		return strings.Join(all, ",")
	}
	numbers := strings.Repeat("0,", 2000)
	for name, test := range map[string]struct {
		body string
		want int // events; -1: too many
	}{
		"an array of 2,000":              {"[" + items(2000) + "]", 2000},
		"an array of 2,001":              {"[" + items(2001) + "]", -1},
		"an object with 2,000":           {`{"items":[` + items(2000) + "]}", 2000},
		"an object with 2,001":           {`{"items":[` + items(2001) + "]}", -1},
		"two arrays of 2,001":            {`{"a":[` + items(1000) + `],"b":[` + items(1001) + "]}", -1},
		"60,000 of nothing but an id":    {`[` + strings.Repeat(`{"id":0},`, 59_999) + `{"id":0}]`, -1},
		"an event and 2,000 numbers":     {"[" + numbers + item(0) + "]", -1},
		"a number of numbers by a batch": {`{"numbers":[` + numbers + `0],"items":[` + item(0) + "]}", 1},
		"a ticket with 2,001 fields":     {`{"ticket":{"id":1},"customfields":[` + items(2001) + "]}", 1},
	} {
		r, err := Decode([]byte(test.body), delivery)
		if tooMany := errors.Is(err, ErrTooMany); tooMany != (test.want < 0) || !tooMany && (err != nil || len(r.Events) != test.want) {
			t.Errorf("%s: %d events, %v", name, len(r.Events), err)
		}
	}
	if _, err := Decode([]byte("["+items(2001)+",]"), delivery); !errors.Is(err, ErrNotJSON) {
		t.Errorf("too many, and no JSON: %v", err)
	}
}

func TestIdentityIsThatOfTheOccurrence(t *testing.T) {
	id := func(body string) schemas.ID { return decodeOne(t, body).ID }
	const (
		esc      = `"escmsg_id":"d41f7b90-aac1-f111-9a10-0a1b2c3d4e5f",`
		own      = `"id":"5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11",`
		hook     = `"webhook_id":"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5",`
		notif    = `"notification_id":57,`
		action   = `"action":{"id":6,"note":"x"},`
		timeless = `"event":"ticket status changed","object_id":1337}`
		rest     = `"event":"ticket status changed","timestamp":"2026-10-02T14:03:27Z","object_id":1337}`
	)
	same := map[string][2]string{
		"the occurrence decides":         {`{` + esc + own + rest, `{` + esc + hook + strings.Replace(rest, "03:27", "04:01", 1)},
		"then the delivery":              {`{` + own + hook + rest, `{` + own + notif + rest},
		"the rest, in another order":     {`{` + hook + notif + action + rest, `{` + action + notif + hook + rest},
		"the name, spelt otherwise":      {`{` + rest, `{` + strings.Replace(rest, "ticket status changed", "TICKET_STATUS_CHANGED - All", 1)},
		"an occurrence of zeros is none": {`{"escmsg_id":"00000000-0000-0000-0000-000000000000",` + own + rest, `{` + own + rest},
		"a zero is none":                 {`{"escmsg_id":0,"id":0,` + rest, `{` + rest},
		"an occurrence, changed since":   {`{"ticket":{"last_update":"2026-10-02T14:03:27Z"},` + esc + rest, `{"ticket":{"last_update":"2026-10-02T14:03:28Z"},` + esc + rest},
		"a delivery, changed since":      {`{"ticket":{"last_update":"2026-10-02T14:03:27Z"},` + own + timeless, `{"ticket":{"last_update":"2026-10-02T14:03:28Z"},` + own + timeless},
		"a timestamp, changed since":     {`{"ticket":{"last_update":"2026-10-02T14:03:27Z"},` + rest, `{"ticket":{"last_update":"2026-10-02T14:03:28Z"},` + rest},
		"an action, changed since":       {`{"ticket":{"last_update":"2026-10-02T14:03:27Z"},` + action + timeless, `{"ticket":{"last_update":"2026-10-02T14:03:28Z"},` + action + timeless},
		"an undecodable item's bytes":    {`{"event":"x"}`, ` {"event":"x"} `},
	}
	for name, pair := range same {
		if id(pair[0]) != id(pair[1]) {
			t.Errorf("%s: ids differ", name)
		}
	}
	differ := map[string][2]string{
		"another occurrence":  {`{` + esc + rest, `{` + strings.Replace(esc, "d4", "d5", 1) + rest},
		"another delivery":    {`{` + own + rest, `{` + strings.Replace(own, "5b", "5c", 1) + rest},
		"another kind":        {`{` + esc + rest, `{` + esc + strings.Replace(rest, "status changed", "updated by user", 1)},
		"another ticket":      {`{` + rest, `{` + strings.Replace(rest, "1337", "1338", 1)},
		"another time":        {`{` + rest, `{` + strings.Replace(rest, "03:27", "03:28", 1)},
		"another action":      {`{` + action + rest, `{` + strings.Replace(action, "6", "7", 1) + rest},
		"another unknown one": {`{"event":"a","object_id":1}`, `{"event":"b","object_id":1}`},
		"other bytes":         {`{"event":"x"}`, `{"event":"y"}`},
		// An id that is a number would make these one.
		"another ticket of the same action": {`{"id":6,` + rest, `{"id":6,` + strings.Replace(rest, "1337", "1338", 1)},
		"another time and no id":            {`{"id":true,` + rest, `{"id":true,` + strings.Replace(rest, "03:27", "03:28", 1)},
		"another change of a bare ticket":   {`{"id":7,"event":"case logged","last_update":"2026-10-02T14:03:27Z"}`, `{"id":7,"event":"case logged","last_update":"2026-10-02T14:03:28Z"}`},
		"another time of the same ticket":   {`{"id":"1337",` + rest, `{"id":"1337",` + strings.Replace(rest, "03:27", "03:28", 1)},
	}
	for name, pair := range differ {
		if id(pair[0]) == id(pair[1]) {
			t.Errorf("%s: one id for two", name)
		}
	}
}
