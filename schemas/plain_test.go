package schemas

import (
	"bytes"
	"os"
	"testing"
)

func TestAMemberOfANewerVersionIsPlainAndASentenceIsNot(t *testing.T) {
	golden, err := os.ReadFile("testdata/v1/event.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	records := bytes.Split(bytes.TrimSpace(golden), []byte("\n"))
	for _, r := range records {
		with := func(member string) []byte { return append(append(bytes.Clone(r[:len(r)-1]), ","+member...), '}') }
		for _, member := range []string{
			`"priority":3`, `"weight":0.25`, `"closed":true`, `"parent":null`, `"channel":"web_form"`, `"channel":""`,
			`"group":"5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11"`, `"due":"2026-10-02T14:03:27.441Z"`, `"via":"7cb6d972b6d572c6dcd12ff8223dfb05"`,
		} {
			if _, err := ParseEvent(with(member)); err != nil || !Plain(with(member)) {
				t.Errorf("%s is taken for content, or not read: %v", member, err)
			}
		}
		for _, member := range []string{
			`"summary":"the printer is on fire"`, `"summary":"Kettle"`, `"user":"a.miller@example.com"`, `"phone":"+44 1632 960118"`,
			`"x":"hunter2"`, `"x":["kettle"]`, `"x":{"y":1}`, `"the printer":1`, `"x":"k\u0065ttle"`, `"x":"` + string(bytes.Repeat([]byte("x"), 41)) + `"`,
		} {
			if Plain(with(member)) {
				t.Errorf("%s passes", member)
			}
		}
	}
	if len(records) == 0 {
		t.Error("no golden events: this proves nothing")
	}
}
