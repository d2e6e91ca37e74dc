package schemas

import (
	"reflect"
	"testing"
)

func TestAnErasedUserIsInNoIntervalAndTheTimesStay(t *testing.T) {
	m := Mapping{Tenant: "acme-it", Agent: 7}.Assign("u1", at(0), "a").Assign("u2", at(10), "b").Assign("u1", at(20), "c")
	before := append([]Interval(nil), m.Intervals...)
	got := m.Erase("u1", at(30))
	want := []Interval{
		{User: "", From: at(0), Until: at(10), By: "a"},
		{User: "u2", From: at(10), Until: at(20), By: "b"},
		{User: "", From: at(20), Until: at(30), By: "c"},
	}
	if !reflect.DeepEqual(got.Intervals, want) {
		t.Errorf("%+v, want %+v", got.Intervals, want)
	}
	if !reflect.DeepEqual(m.Intervals, before) {
		t.Error("erasing changed the mapping that it was asked of")
	}
	if user, mapped := got.At(at(5)); user != "" || !mapped {
		t.Errorf("in an erased interval: %q, %v; want mapped to nobody who may be named", user, mapped)
	}
	if _, err := ParseMapping(got.AppendJSON(nil)); err != nil {
		t.Error(err)
	}
	if again := got.Erase("u1", at(40)); !reflect.DeepEqual(again, got) {
		t.Error("erasing twice is not the same as once")
	}
}

func TestAnErasureKeyNamesATenantOrAPerson(t *testing.T) {
	for _, e := range []Erasure{{Tenant: "acme-it"}, {Tenant: "acme-it", User: "u1"}, {Tenant: "acme-it", User: "a/b"}} {
		if tenant, user, err := ParseErasureKey(e.Key()); tenant != e.Tenant || user != e.User || err != nil {
			t.Errorf("%s: %s, %s, %v", e.Key(), tenant, user, err)
		}
	}
	for _, bad := range []string{"", "/", "A", "acme-it/"} {
		if _, _, err := ParseErasureKey(bad); err == nil {
			t.Errorf("%q was read as a key", bad)
		}
	}
}

func TestAnErasureCoversWhatArrivedBeforeIt(t *testing.T) {
	e := Erasure{Tenant: "acme-it", At: at(10)}
	if !e.Covers(at(9)) || e.Covers(at(10)) {
		t.Error("what arrived before the erasure, and only that, is covered")
	}
}

func TestAChangeThatIsWrittenAgainIsTheSameChange(t *testing.T) {
	c := Change{Tenant: "acme-it", At: at(0).Add(999), By: "t", Change: ChangeMap, Agent: 7, User: "u1", Result: "ok"}.Identify()
	if again := c.Identify(); again != c {
		t.Errorf("%+v became %+v", c, again)
	}
	other := c
	other.Agent = 8
	if other.Identify().ID == c.ID {
		t.Error("two changes have one id")
	}
}
