package schemas

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTheSameOccurrenceHasTheSameID(t *testing.T) {
	at := time.Date(2026, 10, 2, 14, 3, 27, 441038700, time.UTC)
	full := Occurrence{
		Tenant: "acme-it", Kind: StatusChanged,
		EscMsgID: "D41F7B90-aac1-f111-9a10-0a1b2c3d4e5f", DeliveryID: "5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11",
		WebhookID: "c0a8d3f2", Notification: 57, EventName: "ticket status changed", Ticket: 1337, EventTime: at, Action: 42,
	}
	// Published ids are in customers' ClickHouse: these must never change.
	if got := full.EventID().String(); got != "38706805-bc0c-c2a5-c24e-91c8d373a041" {
		t.Errorf("the id of a known occurrence became %s", got)
	}

	resent := full
	resent.EscMsgID = strings.ToLower(full.EscMsgID)
	resent.DeliveryID, resent.EventTime, resent.Action = "another", at.Add(time.Hour), 43
	if resent.EventID() != full.EventID() {
		t.Error("a delivery sent again under another delivery id got another event id")
	}

	byDelivery := full
	byDelivery.EscMsgID = ""
	byFacts := byDelivery
	byFacts.DeliveryID = ""
	byName := byFacts
	byName.Notification = 0
	ids := map[ID]string{}
	for name, o := range map[string]Occurrence{
		"escmsg_id": full, "id": byDelivery, "facts": byFacts, "facts with a name": byName,
		"other tenant":       with(full, func(o *Occurrence) { o.Tenant = "acme" }),
		"other kind":         with(full, func(o *Occurrence) { o.Kind = UpdatedByAgent }),
		"delivery as escmsg": with(full, func(o *Occurrence) { o.EscMsgID = full.DeliveryID }),
		"other ticket":       with(byFacts, func(o *Occurrence) { o.Ticket++ }),
		"other time":         with(byFacts, func(o *Occurrence) { o.EventTime = at.Add(time.Millisecond) }),
		"other action":       with(byFacts, func(o *Occurrence) { o.Action++ }),
		"other webhook":      with(byFacts, func(o *Occurrence) { o.WebhookID = "c0a8d3f3" }),
		"other name":         with(byName, func(o *Occurrence) { o.EventName = "ticket updated" }),
	} {
		if other, taken := ids[o.EventID()]; taken {
			t.Errorf("%s and %s have the same id", name, other)
		}
		ids[o.EventID()] = name
	}
	if id := UndecodableID("acme-it", []byte(`{}`)); id != UndecodableID("acme-it", []byte(`{}`)) || id == UndecodableID("acme-it", []byte(`[]`)) || id == UndecodableID("b", []byte(`{}`)) {
		t.Error("an undecodable item is not told by its tenant and bytes")
	}
}

func with(o Occurrence, change func(*Occurrence)) Occurrence {
	change(&o)
	return o
}

func TestFieldsCannotRunIntoOneAnother(t *testing.T) {
	a := Occurrence{Tenant: "a", WebhookID: "x", EventName: "yz"}
	b := Occurrence{Tenant: "a", WebhookID: "xy", EventName: "z"}
	if a.EventID() == b.EventID() {
		t.Error("two lists of fields gave the same digest")
	}
}

func TestIDsAreUUIDs(t *testing.T) {
	const text = "5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11"
	id, err := ParseID(strings.ToUpper(text))
	if err != nil || id.String() != text {
		t.Errorf("%s came back as %s, %v", text, id, err)
	}
	for _, bad := range []string{"", text[1:], text + "0", strings.Replace(text, "-", "0", 1), "5b0c9c1g" + text[8:], "5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c1-", "5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a-c11"} {
		if _, err := ParseID(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q was read as an id: %v", bad, err)
		}
	}
}

func TestTenantsAreCheckedToTheLetter(t *testing.T) {
	for _, good := range []string{"a", "0", "acme-it", "a_b", "a--", strings.Repeat("a", 63)} {
		if _, err := ParseTenant(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-a", "_a", "A", "a/b", "a.b", "ä", "a b", strings.Repeat("a", 64)} {
		if _, err := ParseTenant(bad); !errors.Is(err, ErrTenant) {
			t.Errorf("%q was taken for a tenant", bad)
		}
	}
}

func TestConnectionIDsAreDerivedAndChecked(t *testing.T) {
	id := ConnectionIDOf("acme-it")
	if id == ConnectionIDOf("acme") || id != ConnectionIDOf("acme-it") {
		t.Error("a connection id does not follow from its tenant")
	}
	if _, err := ParseConnectionID(string(id)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", string(id[1:]), strings.ToUpper(string(id)), "../" + string(id[3:])} {
		if _, err := ParseConnectionID(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q was taken for a connection id", bad)
		}
	}
}

func TestWhatPeopleSeeLiesNearTheArrival(t *testing.T) {
	received := time.Date(2026, 10, 2, 14, 4, 46, 0, time.UTC)
	for name, c := range map[string]struct{ event, want time.Time }{
		"usual":           {received.Add(-79 * time.Second), received.Add(-79 * time.Second)},
		"31 days":         {received.Add(-31 * 24 * time.Hour), received.Add(-31 * 24 * time.Hour)},
		"over 31 days":    {received.Add(-31*24*time.Hour - time.Millisecond), received},
		"ten minutes":     {received.Add(10 * time.Minute), received.Add(10 * time.Minute)},
		"over ten":        {received.Add(10*time.Minute + time.Millisecond), received},
		"none":            {Epoch, received},
		"a far future":    {time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC), received},
		"the same moment": {received, received},
	} {
		if got := OccurredAt(c.event, received); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
