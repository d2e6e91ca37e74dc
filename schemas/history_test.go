package schemas

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

var noon = time.Date(2026, 10, 2, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func TestAnAgentIsMappedFromAnInstantUntilAnother(t *testing.T) {
	m := Mapping{Tenant: "acme-it", Agent: 7}.Assign("u1", at(10), "").Close(at(20)).Assign("u2", at(30), "").Assign("u3", at(40), "")
	for _, c := range []struct {
		at   time.Time
		want UserID
	}{
		{at(10).Add(-time.Millisecond), ""},
		{at(10), "u1"},
		{at(20).Add(-time.Millisecond), "u1"},
		{at(20), ""},
		{at(30), "u2"},
		{at(40).Add(-time.Millisecond), "u2"},
		{at(40), "u3"},
		{at(1e6), "u3"},
	} {
		if got, ok := m.At(c.at); got != c.want || ok != (c.want != "") {
			t.Errorf("at %v: %q, %v; want %q", c.at, got, ok, c.want)
		}
	}
}

func TestHistoryIsOnlyEverAddedTo(t *testing.T) {
	m := Mapping{Tenant: "acme-it", Agent: 7}.Assign("u1", at(10), "")
	before := append([]Interval(nil), m.Intervals...)
	closed := m.Close(at(20))
	if !reflect.DeepEqual(m.Intervals, before) {
		t.Error("closing changed the mapping that it was asked of")
	}
	if again := closed.Close(at(25)); !reflect.DeepEqual(again, closed) {
		t.Error("closing what is closed moved its end")
	}
	if again := m.Assign("u1", at(15), ""); !reflect.DeepEqual(again, m) {
		t.Error("mapping an agent to the user he has split his interval")
	}
	if cur, ok := closed.Current(); ok {
		t.Errorf("a closed mapping is still open: %v", cur)
	}
}

func TestAClockThatStepsBackMakesNoOverlap(t *testing.T) {
	m := Mapping{Tenant: "acme-it", Agent: 7}.Assign("u1", at(10), "").Close(at(5)).Assign("u2", at(7), "").Assign("u3", at(6), "")
	if _, err := ParseMapping(m.AppendJSON(nil)); err != nil {
		t.Errorf("%v in %+v", err, m)
	}
	if got, _ := m.At(at(11)); got != "u3" {
		t.Errorf("mapped to %q, want the last", got)
	}
}

func TestIntervalsOutOfOrderAreMalformed(t *testing.T) {
	for name, ivs := range map[string][]Interval{
		"overlap":          {{User: "u1", From: at(10), Until: at(20)}, {User: "u2", From: at(19), Until: time.Time{}}},
		"inverted":         {{User: "u1", From: at(10), Until: at(9)}},
		"open in the past": {{User: "u1", From: at(10), Until: time.Time{}}, {User: "u2", From: at(20), Until: time.Time{}}},
		"nobody":           {{User: "", From: at(10), Until: time.Time{}}},
	} {
		m := Mapping{Tenant: "acme-it", Agent: 7, Intervals: ivs}
		if _, err := ParseMapping(m.AppendJSON(nil)); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

func TestMappingKeysHaveOneReading(t *testing.T) {
	m := Mapping{Tenant: "acme-it", Agent: 7}
	tenant, agent, err := ParseMappingKey(m.Key())
	if m.Key() != "acme-it/7" || tenant != m.Tenant || agent != m.Agent || err != nil {
		t.Errorf("%s: %s, %d, %v", m.Key(), tenant, agent, err)
	}
	for _, bad := range []string{"", "acme-it", "acme-it/", "acme-it/x", "/7", "A/7", "a/7/8"} {
		if _, _, err := ParseMappingKey(bad); err == nil {
			t.Errorf("%q was read as a key", bad)
		}
	}
}

func TestADeliveryIsProvenByTheSecretsOfTheMoment(t *testing.T) {
	id := ConnectionIDOf("acme-it")
	old := NewVerifier(id, "old secret")
	old.Until = at(10)
	c := Connection{ID: id, Tenant: "acme-it", Verifiers: []Verifier{NewVerifier(id, "new secret"), old}}
	for _, k := range []struct {
		secret Secret
		at     time.Time
		want   bool
	}{
		{"new secret", at(0), true},
		{"new secret", at(1e6), true},
		{"old secret", at(10).Add(-time.Nanosecond), true},
		{"old secret", at(10), false},
		{"", at(0), false},
		{"new secret ", at(0), false},
	} {
		if got := c.Verify(k.secret, k.at); got != k.want {
			t.Errorf("%v at %v: %v", k.secret.Reveal(), k.at, got)
		}
	}
	if (Connection{}).Verify("", at(0)) || (Connection{ID: id}).Verify("new secret", at(0)) {
		t.Error("a connection without verifiers let a delivery in")
	}
	if NewVerifier(id, "s").Hash == NewVerifier(ConnectionIDOf("acme"), "s").Hash {
		t.Error("two connections with one secret have one verifier")
	}
}

// A record of the form that we write is read in one pass, any other by encoding/json.
func TestAMappingIsReadAlikeInBothWays(t *testing.T) {
	empty := Mapping{Tenant: "acme-it", Agent: 7, Intervals: []Interval{}}
	open := empty.Assign("u1", at(0), "a token")
	for _, m := range []Mapping{
		empty, open, open.Close(at(10)), open.Assign("u<2>", at(10), ByConnector).Assign("ü3", at(20), "").Close(at(30)).Erase("u1", at(40)),
	} {
		text := m.AppendJSON(nil)
		if _, ok := scanMapping(text); ok != !bytes.ContainsAny(text, `\ü`) {
			t.Errorf("read in one pass: %v: %s", ok, text)
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, text, "", " "); err != nil {
			t.Fatal(err)
		}
		fast, err := ParseMapping(text)
		slow, err2 := ParseMapping(spaced.Bytes())
		if err != nil || err2 != nil || !reflect.DeepEqual(fast, slow) || !reflect.DeepEqual(fast, m) {
			t.Errorf("%s: %+v, %v and %+v, %v", text, fast, err, slow, err2)
		}
		for n := range text { // half a record is none, in either way
			if _, err := ParseMapping(text[:n]); err == nil {
				t.Errorf("%s was read", text[:n])
			}
		}
	}
}
