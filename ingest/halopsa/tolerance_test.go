package halopsa

import (
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// plainDelivery is an envelope as it was seen on a live tenant, with an action.
const plainDelivery = `{"id":"5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11","webhook_id":"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5","notification_id":57,
 "escmsg_id":"d41f7b90-aac1-f111-9a10-0a1b2c3d4e5f","event":"ticket status changed","message":"Ticket 1337 is on its way",
 "object_id":1337,"agent_id":3,"timestamp":"2026-10-02T14:03:27.4410387Z",
 "ticket":{"id":1337,"summary":"Kettle","status_id":9,"tickettype_id":25,"client_id":1,"team_id":5,"agent_id":7,"customfields":[],"hasbeenclosed":true},
 "action":{"id":6,"ticket_id":1337,"who":"Someone","who_type":1,"who_agentid":12,"actionby_agent_id":12,"old_status":2,"new_status":9,"datetime":"2026-10-02T14:03:26.9"}}`

func plainEvent() schemas.Event {
	return schemas.Event{
		ID: schemas.Occurrence{
			Tenant: "northgate", Kind: schemas.StatusChanged, EscMsgID: "d41f7b90-aac1-f111-9a10-0a1b2c3d4e5f",
		}.EventID(),
		Tenant: "northgate", Connection: delivery.Connection.ID, Kind: schemas.StatusChanged,
		Ticket: 1337, Assignee: 7, Actor: 12, ActorType: schemas.ActorAgent, EnvelopeAgent: 3, Status: 9, Action: 6,
		EventTime:  time.Date(2026, 10, 2, 14, 3, 27, 441_000_000, time.UTC),
		OccurredAt: time.Date(2026, 10, 2, 14, 3, 27, 441_000_000, time.UTC),
		ReceivedAt: delivery.ReceivedAt,
	}
}

// with replaces parts of plainDelivery, each of which must be there.
func with(t *testing.T, pairs ...string) string {
	t.Helper()
	s := plainDelivery
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			t.Fatalf("%s is not in the delivery: this proves nothing", pairs[i])
		}
		s = strings.Replace(s, pairs[i], pairs[i+1], 1)
	}
	return s
}

func decodeOne(t *testing.T, body string) schemas.Event {
	t.Helper()
	r, err := Decode([]byte(body), delivery)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Events) != 1 {
		t.Fatalf("%d events, want one", len(r.Events))
	}
	return r.Events[0]
}

func TestEveryWayToSayTheSameGivesTheSameEvent(t *testing.T) {
	const action = `,
 "action":{"id":6,"ticket_id":1337,"who":"Someone","who_type":1,"who_agentid":12,"actionby_agent_id":12,"old_status":2,"new_status":9,"datetime":"2026-10-02T14:03:26.9"}`
	object := strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(action, ",")), `"action":`)
	const ticket = `"ticket":{"id":1337,`
	for name, body := range map[string]string{
		"as it was seen":       plainDelivery,
		"a byte order mark":    "\ufeff" + plainDelivery,
		"no spaces":            strings.NewReplacer("\n ", "", "\n", "").Replace(plainDelivery),
		"many spaces":          strings.NewReplacer(`":`, "\" \t:\r\n ", ",", " , ", "{", "{ ", "}", " }").Replace(plainDelivery) + " \r\n",
		"an array of one":      "[" + plainDelivery + "]",
		"an object with array": `{"count":1,"items":[` + plainDelivery + `]}`,
		"array under data":     `{"data":[` + plainDelivery + `]}`,
		"array under events":   `{"Events":[` + plainDelivery + `],"id":"1c6b1f4e-0000-4000-8000-000000000001"}`,

		"names in upper case":  upperNames(plainDelivery),
		"an escaped name":      with(t, `"agent_id":3`, `"\u0061gent_id":3`, `"who_type"`, `"who\u005ftype"`, `"status_id"`, `"\u0053\u0054atus_id"`),
		"numbers as strings":   with(t, `:57`, `:"57"`, `"object_id":1337`, `"object_id":"1337"`, `{"id":1337`, `{"id":"1337"`, `"agent_id":7`, `"agent_id":" 7 "`, `"who_type":1`, `"who_type":"1"`, `"status_id":9`, `"status_id":"9"`),
		"numbers with zeros":   with(t, `"object_id":1337`, `"object_id":1337.0`, `{"id":1337`, `{"id":133700e-2`, `"status_id":9`, `"status_id":0.9e1`, `"who_type":1`, `"who_type":1e0`, `"agent_id":3`, `"agent_id":"3.0"`),
		"padded numbers":       with(t, `"object_id":1337`, `"object_id":"0001337"`),
		"ticket_id":            with(t, `"object_id"`, `"ticket_id"`),
		"ticketid":             with(t, `"object_id"`, `"ticketid"`),
		"objectid":             with(t, `"object_id"`, `"objectid"`),
		"only the ticket's id": with(t, `"object_id":1337,`, ``),
		"only the action's":    with(t, `"object_id":1337,`, ``, ticket, `"ticket":{`),
		"a display text as id": with(t, `"object_id":1337`, `"object_id":"Kettle is cold"`),
		"null as id":           with(t, `"object_id":1337`, `"object_id":null`, ticket, `"ticket":{"id":1337,"agent_id":null,`, `"escmsg_id"`, `"ticket_id":"","escmsg_id"`),
		"an object as id":      with(t, `"object_id":1337`, `"object_id":{"id":4}`, ticket, `"ticket":{"id":1337,`),
		"zero as id":           with(t, `"object_id":1337`, `"ticket_id":0,"object_id":1337`),
		"a negative id":        with(t, `"object_id":1337`, `"ticket_id":-1337,"object_id":1337`),

		"the kind by name":      with(t, `"notification_id":57`, `"notification_id":4711`),
		"no notification":       with(t, `"notification_id":57,`, ``),
		"a renamed event":       with(t, `ticket status changed`, `Vorgang: neuer Stand`),
		"no webhook":            with(t, `"webhook_id":"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5",`, ``),
		"webhook in upper case": with(t, `c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5`, `C0A8D3F2-1B57-4F7E-8A34-90D1E2B3C4D5`),
		"webhook in braces":     with(t, `"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5"`, `" {C0A8D3F2-1B57-4F7E-8A34-90D1E2B3C4D5} "`),
		"webhook of zeros":      with(t, `c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5`, `00000000-0000-0000-0000-000000000000`),
		"another delivery id":   with(t, `5b0c9c1e`, `ffffffff`),
		"escmsg in braces":      with(t, `d41f7b90-aac1-f111-9a10-0a1b2c3d4e5f`, `{d41f7b90-aac1-f111-9a10-0a1b2c3d4e5f}`),
		"escmsg in upper case":  with(t, `d41f7b90-aac1`, `D41F7B90-AAC1`),

		"actions":             with(t, action, `,"actions":[`+object+`,{"id":5,"who_agentid":99,"who_type":1}]`),
		"action, a list":      with(t, action, `,"action":[`+object+`,{"id":5,"who_agentid":99,"who_type":1}]`),
		"ticket.action, list": with(t, action, ``, ticket, ticket+`"action":[`+object+`,{"id":7}],`),
		"only an action's":    with(t, `"object_id":1337,`, ``, ticket, `"ticket":{`, action, `,"actions":[`+object+`,{"id":5,"ticket_id":1337}]`),
		"actions, an object":  with(t, action, `,"actions":`+object),
		"object":              with(t, action, `,"object":`+object),
		"data":                with(t, action, `,"data":`+object),
		"ticket.action":       with(t, action, ``, ticket, ticket+`"action":`+object+`,`),
		"ticket.actions":      with(t, action, ``, ticket, ticket+`"actions":[`+object+`,{"id":7}],`),
		"ticket.object":       with(t, action, ``, ticket, ticket+`"object":`+object+`,`),
		"ticket.data":         with(t, action, ``, ticket, ticket+`"data":`+object+`,`),
		"action before data":  with(t, `"action"`, `"data":{"id":5,"who_type":2,"who_agentid":44},"action"`),
		"object is no action": with(t, `"action"`, `"object":{"id":44,"name":"Kettle","type":3},"data"`),
		"an empty action":     with(t, `"action"`, `"action":{},"object"`),
		"a null action":       with(t, `"action"`, `"action":null,"actions":[null],"data"`),
		"object is a ticket":  with(t, `"ticket":`, `"object":`),
		"agent by actionby":   with(t, `"who_agentid":12`, `"who_agentid":0`),
		"agent by unassigned": with(t, `"who_agentid":12`, `"who_agentid":1`),
		"agent as text":       with(t, `"who_agentid":12`, `"who_agentid":"Someone"`),
		"new_status":          with(t, `"status_id":9,`, ``),

		"time without a zone":    with(t, `27.4410387Z`, `27.4410387`),
		"time with an offset":    with(t, `14:03:27.4410387Z`, `16:03:27.4410387+02:00`),
		"time, offset escaped":   with(t, `14:03:27.4410387Z`, `16:03:27.4410387\u002b02:00`),
		"time with three digits": with(t, `27.4410387Z`, `27.441Z`),

		"the last of two":          with(t, `"object_id":1337`, `"object_id":1,"object_id":1337`),
		"the last of two cases":    with(t, `"object_id":1337`, `"object_id":1,"OBJECT_ID":1337`),
		"the last of two tickets":  with(t, ticket, `"Ticket":{"id":1,"agent_id":99,"actions":[{"id":9}]},`+ticket),
		"the last is no ticket":    with(t, `"action"`, `"action":"see below","ACTION"`),
		"a lone surrogate":         with(t, `Kettle`, `\ud83d`),
		"invalid UTF-8":            with(t, `Kettle`, "K\xffttle"),
		"content of similar names": with(t, `"summary":"Kettle"`, `"summary":"{\"object_id\":1}","ticket_id ":4,"details":{"id":9,"ticket_id":8,"action":{"who_agentid":6}}`),
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := decodeOne(t, body), plainEvent(); got != want {
				t.Errorf("got  %s\nwant %s", got.AppendJSON(nil), want.AppendJSON(nil))
			}
		})
	}
}

// Halo may say the same GUID with and without braces, where the webhook is made
// and where it is used.
func TestBracesAroundAWebhookMakeItNoOther(t *testing.T) {
	braced := delivery
	braced.Connection.WebhookID = "{" + braced.Connection.WebhookID + "}"
	for name, d := range map[string]Delivery{"known without": delivery, "known with": braced} {
		for _, id := range []string{"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5", "{c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5}"} {
			r, err := Decode([]byte(with(t, "c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5", id)), d)
			if err != nil || r.Events[0].Refusal != "" {
				t.Errorf("%s, sent as %s: %q, %v", name, id, r.Events[0].Refusal, err)
			}
		}
	}
}

// upperNames writes what stands before a colon in capitals.
func upperNames(s string) string {
	parts := strings.Split(s, `":`)
	for i, p := range parts[:len(parts)-1] {
		q := strings.LastIndexByte(p, '"')
		parts[i] = p[:q] + strings.ToUpper(p[q:])
	}
	return strings.Join(parts, `":`)
}

func TestWhatDiffersChangesTheEventAsItShould(t *testing.T) {
	const action = `"action":{"id":6,"ticket_id":1337,"who":"Someone","who_type":1,"who_agentid":12,"actionby_agent_id":12,"old_status":2,"new_status":9,"datetime":"2026-10-02T14:03:26.9"}`
	kind := func(k schemas.Kind) schemas.ID {
		return schemas.Occurrence{Tenant: "northgate", Kind: k, EscMsgID: "d41f7b90-aac1-f111-9a10-0a1b2c3d4e5f"}.EventID()
	}
	unknownKind := func(e *schemas.Event) { e.Kind, e.ID, e.Refusal = "", kind(""), schemas.UnknownKind }
	stale := func(e *schemas.Event) { e.Refusal = schemas.StaleWebhook }
	noTime := func(e *schemas.Event) { e.EventTime, e.OccurredAt = schemas.Epoch, e.ReceivedAt }
	noAction := func(e *schemas.Event) { e.Actor, e.ActorType, e.Action = 0, "", 0 }
	for name, test := range map[string]struct {
		body   string
		change func(*schemas.Event)
	}{
		"neither notification nor name is known": {with(t, `:57`, `:99`, `ticket status`, `opportunity status`), unknownKind},
		"no notification and no name":            {with(t, `"notification_id":57,`, ``, `"ticket status changed"`, `null`), unknownKind},
		"the notification outweighs the name": {with(t, `:57`, `:58`), func(e *schemas.Event) {
			e.Kind, e.ID = schemas.UpdatedByAgent, kind(schemas.UpdatedByAgent)
		}},
		"a webhook's name":      {with(t, `c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5`, `WorkSights AI Connector`), stale},
		"a webhook's long name": {with(t, `c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5`, strings.Repeat("WorkSights ", 30)), stale},
		"a webhook's number":    {with(t, `"c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5"`, `12`), stale},
		"a blank webhook":       {with(t, `c0a8d3f2-1b57-4f7e-8a34-90d1e2b3c4d5`, ` `), func(*schemas.Event) {}},
		"another webhook":       {with(t, `c0a8d3f2`, `c0a8d3f3`), stale},
		"another webhook's unknown kind": {with(t, `c0a8d3f2`, `c0a8d3f3`, `:57`, `:31`, `ticket status`, `quote status`), func(e *schemas.Event) {
			unknownKind(e)
			e.Refusal = schemas.StaleWebhook
		}},

		"no action":                                  {with(t, ",\n "+action, ``), noAction},
		"the actions of an earlier ticket":           {with(t, ",\n "+action, ``, `"ticket":{`, `"ticket":{"id":4,"action":{"id":9,"who_agentid":44}},"TICKET":{`), noAction},
		"object is no ticket":                        {with(t, `"action":{`, `"object":{"agent_id":44,"status_id":45,`, `"ticket":{`, `"tickets":{`), func(e *schemas.Event) { e.Assignee = 0 }},
		"nobody acted":                               {with(t, `"who_agentid":12,"actionby_agent_id":12`, `"who_agentid":1,"actionby_agent_id":1`), func(e *schemas.Event) { e.Actor = 0 }},
		"the last action is null":                    {with(t, action, action+`,"Action":null`), noAction},
		"the system acted":                           {with(t, `"who_type":1`, `"who_type":0`), func(e *schemas.Event) { e.ActorType = schemas.ActorSystem }},
		"an end user acted":                          {with(t, `"who_type":1`, `"who_type":2`), func(e *schemas.Event) { e.ActorType = schemas.ActorEndUser }},
		"nobody says who acted":                      {with(t, `"who_type":1`, `"who_type":"Agent"`), func(e *schemas.Event) { e.ActorType = "" }},
		"somebody else acted":                        {with(t, `"who_type":1`, `"who_type":3`), func(e *schemas.Event) { e.ActorType, e.Actor = "", 0 }},
		"the action's members stand in the envelope": {with(t, action, `"who_type":1,"who_agentid":12`), func(e *schemas.Event) { e.Action = 0 }},
		"the action's members stand in the ticket": {with(t, ",\n "+action, ``, `"ticket":{`, `"ticket":{"who_type":1,"who_agentid":12,`), func(e *schemas.Event) {
			e.Action = 0
		}},

		"ticket_id outweighs the others":     {with(t, `"object_id"`, `"ticket_id":4,"ticketid":5,"object_id"`), func(e *schemas.Event) { e.Ticket = 4 }},
		"the ticket outweighs object_id":     {with(t, `"object_id":1337`, `"object_id":4`), func(*schemas.Event) {}},
		"an id above what a double can tell": {with(t, `"object_id"`, `"ticket_id":9007199254740993,"object_id"`), func(e *schemas.Event) { e.Ticket = 9007199254740993 }},
		"the largest id":                     {with(t, `"object_id"`, `"ticket_id":"18446744073709551615","object_id"`), func(e *schemas.Event) { e.Ticket = 1<<64 - 1 }},
		"an id that is too large is none":    {with(t, `"object_id"`, `"ticket_id":18446744073709551616,"object_id"`), func(*schemas.Event) {}},
		"an id with a fraction is none":      {with(t, `"object_id"`, `"ticket_id":4.5,"object_id"`), func(*schemas.Event) {}},
		"a status that is too large is none": {with(t, `"status_id":9`, `"status_id":4294967305`, `"new_status":9`, `"new_status":8`), func(e *schemas.Event) { e.Status = 8 }},
		"the ticket's status outweighs":      {with(t, `"new_status":9`, `"new_status":8`), func(*schemas.Event) {}},
		"a note's new_status is no status": {with(t, `:57`, `:58`, `"status_id":9,`, ``), func(e *schemas.Event) {
			e.Kind, e.ID, e.Status = schemas.UpdatedByAgent, kind(schemas.UpdatedByAgent), 0
		}},
		"an unassigned ticket":           {with(t, `"agent_id":7`, `"agent_id":1`), func(e *schemas.Event) { e.Assignee = 1 }},
		"an assignee's name":             {with(t, `"agent_id":7`, `"agent_id":"Someone Else"`), func(e *schemas.Event) { e.Assignee = 0 }},
		"a ticket's last member is null": {with(t, `"agent_id":7`, `"agent_id":7,"Agent_ID":null`), func(e *schemas.Event) { e.Assignee = 0 }},
		"the last ticket is null":        {with(t, `"action"`, `"TICKET":null,"action"`), func(e *schemas.Event) { e.Assignee = 0 }},
		"no ticket object":               {with(t, `"ticket":{`, `"tickets":{`), func(e *schemas.Event) { e.Assignee = 0 }},

		"no timestamp":    {with(t, `"timestamp":"2026-10-02T14:03:27.4410387Z",`, ``, `"ticket":{`, `"ticket":{"last_update":"2026-10-02T14:03:27.441",`), noTime},
		"a sentinel time": {with(t, `2026-10-02T14:03:27.4410387Z`, `1899-12-30T00:00:00`), noTime},
		"a time in words": {with(t, `2026-10-02T14:03:27.4410387Z`, `half past two`), noTime},
		"sent again after two months": {with(t, `2026-10-02T14:03:27.4410387Z`, `2026-08-01T09:00:00Z`), func(e *schemas.Event) {
			e.EventTime, e.OccurredAt = time.Date(2026, 8, 1, 9, 0, 0, 0, time.UTC), e.ReceivedAt
		}},
		"a year that no column holds": {with(t, `2026-10-02T14:03:27.4410387Z`, `9999-12-31T23:59:59Z`), noTime},
	} {
		t.Run(name, func(t *testing.T) {
			want := plainEvent()
			test.change(&want)
			if got := decodeOne(t, test.body); got != want {
				t.Errorf("got  %s\nwant %s", got.AppendJSON(nil), want.AppendJSON(nil))
			}
		})
	}
}

func TestABareTicketIsItsOwnEnvelope(t *testing.T) {
	const bare = `{"event":"New Request Logged","id":1337,"status_id":1,"agent_id":7,"last_update":"2026-10-02T14:03:27.441","customfields":[{"id":3,"ticket_id":5,"event":"x"}],"attachments":[{"id":8}]}`
	e := decodeOne(t, bare)
	if e.Kind != schemas.TicketLogged || e.Ticket != 1337 || e.Assignee != 7 || e.EnvelopeAgent != 7 || e.Status != 1 || e.Refusal != "" {
		t.Errorf("got %s", e.AppendJSON(nil))
	}
	if e.EventTime != schemas.Epoch || e.OccurredAt != e.ReceivedAt {
		t.Errorf("a ticket's last update is taken for the event's time: %s", e.AppendJSON(nil))
	}
	later := decodeOne(t, strings.Replace(bare, "14:03", "14:04", 1))
	if e.ID == later.ID {
		t.Error("two changes of one bare ticket have the same id")
	}
	for name, body := range map[string]string{
		"without a name":      `{"id":1337,"summary":"Kettle"}`,
		"a number as string":  `{"id":"1337"}`,
		"in an array":         `[{"id":1337}]`,
		"in an array of many": `{"total":1,"tickets":[{"id":1337,"status_id":1}]}`,
	} {
		if e := decodeOne(t, body); e.Ticket != 1337 || e.Refusal != schemas.UnknownKind {
			t.Errorf("%s: got %s", name, e.AppendJSON(nil))
		}
	}
}

func TestTheEnvelopesIDIsNeverTheTicket(t *testing.T) {
	for _, id := range []string{`"5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11"`, `"12345678901234567890123456789012"`, `"00000000000000000000000000001337"`, `"{12345678-1234-1234-1234-123456789012}"`, `"1e5"`} {
		e := decodeOne(t, `{"id":`+id+`,"event":"ticket logged"}`)
		if id == `"1e5"` {
			if e.Ticket != 100000 {
				t.Errorf("%s: ticket %d", id, e.Ticket)
			}
			continue
		}
		if e.Ticket != 0 || e.Refusal != schemas.Undecodable {
			t.Errorf("%s: got %s", id, e.AppendJSON(nil))
		}
	}
}
