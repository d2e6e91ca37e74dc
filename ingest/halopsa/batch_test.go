package halopsa

import (
	"slices"
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

		"no envelope: an empty array":   {`[]`, "undecodable"},
		"no envelope: an empty object":  {`{}`, "undecodable"},
		"no envelope: null":             {` null `, "undecodable"},
		"no envelope: a number":         {`12`, "undecodable"},
		"no envelope: a string":         {`"ticket"`, "undecodable"},
		"no envelope: a list of others": {`[{"name":"x"},{"name":"y"},1,2]`, "undecodable"},
		"no envelope: empty members":    {`[{"event":"","ticket_id":null},{"event":null}]`, "undecodable"},
		"no envelope: a list in object": {`{"items":[{"name":"x"},{"name":"y"}]}`, "undecodable"},
		"no envelope: empty list":       {`{"items":[]}`, "undecodable"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(refusals(t, test.body), " "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestABatchOfNothingStaysSmall(t *testing.T) {
	const n = 300_000
	if got := refusals(t, "["+strings.Repeat("0,", n)+"0]"); len(got) != 1 {
		t.Errorf("%d events of numbers, want one", len(got))
	}
	const envelope = `{"ticket_id":1,"event":"case logged"}`
	if got := refusals(t, "["+envelope+strings.Repeat(",0", n)+"]"); !slices.Equal(got, []string{"undecodable"}) {
		t.Errorf("%d events, want one that is undecodable", len(got))
	}
	// Two mebibytes of the shortest envelopes are taken one by one.
	shortest := `{"id":1,"event":"case logged"},`
	fits := 2 << 20 / len(shortest)
	if got := refusals(t, "["+strings.Repeat(shortest, fits)+envelope+"]"); got[0] != "ticket_logged" {
		t.Errorf("%d events, first %s", len(got), got[0])
	}
}

func TestIdentityIsThatOfTheOccurrence(t *testing.T) {
	id := func(body string) schemas.ID { return decodeOne(t, body).ID }
	const (
		esc    = `"escmsg_id":"d41f7b90-aac1-f111-9a10-0a1b2c3d4e5f",`
		own    = `"id":"5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11",`
		hook   = `"webhook_id":"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5",`
		notif  = `"notification_id":57,`
		action = `"action":{"id":6,"note":"x"},`
		rest   = `"event":"ticket status changed","timestamp":"2026-10-02T14:03:27Z","object_id":1337}`
	)
	same := map[string][2]string{
		"the occurrence decides":         {`{` + esc + own + rest, `{` + esc + hook + strings.Replace(rest, "03:27", "04:01", 1)},
		"then the delivery":              {`{` + own + hook + rest, `{` + own + notif + rest},
		"the rest, in another order":     {`{` + hook + notif + action + rest, `{` + action + notif + hook + rest},
		"the name, spelt otherwise":      {`{` + rest, `{` + strings.Replace(rest, "ticket status changed", "TICKET_STATUS_CHANGED - All", 1)},
		"an occurrence of zeros is none": {`{"escmsg_id":"00000000-0000-0000-0000-000000000000",` + own + rest, `{` + own + rest},
		"a zero is none":                 {`{"escmsg_id":0,"id":0,` + rest, `{` + rest},
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
		"another time of the same ticket":   {`{"id":"1337",` + rest, `{"id":"1337",` + strings.Replace(rest, "03:27", "03:28", 1)},
	}
	for name, pair := range differ {
		if id(pair[0]) == id(pair[1]) {
			t.Errorf("%s: one id for two", name)
		}
	}
}
