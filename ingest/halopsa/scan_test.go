package halopsa

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestWhatIsJSONIsDecidedAsTheStandardLibraryDoes(t *testing.T) {
	for _, body := range []string{
		``, ` `, "\n", `{`, `}`, `[`, `]`, `{]`, `[}`, `{}`, `[]`, `[ ]`, `{ }`, `[[]]`, `[{}]`, `{"a":{}}`, `{}{}`, `{} x`, `[],`, `null null`,
		`nul`, `nulll`, `NULL`, `true`, `tru`, `false`, `falsee`, `[true,false,null]`, `[true false]`,
		`0`, `-0`, `00`, `01`, `-`, `+1`, `1.`, `.5`, `1.5`, `1e`, `1e+`, `1E-5`, `1e5.5`, `-1.25e+10`, `0x1`, `[1,2,]`, `[,1]`, `[1 2]`, `Infinity`, `NaN`,
		`""`, `"`, `"\`, `"\"`, `"\\"`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\u00e9"`, `"\ud83d\ude00"`, `"\ud83d"`, "\"\x01\"", "\"a\tb\"", "\"\x7f\"", "\"\xff\xfe\"", "\"\x00\"",
		`{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1,"a":2}`, `{a:1}`, `{'a':1}`, `{"a" : 1 , "b":[ ] }`, `{"a":1 "b":2}`, `{"a"::1}`, `{1:2}`, `{"a":1]`, `[1}`,
		`{"id"`, `{"id":`, `{"id":1`, `{"id":1,`, `{"id":1,"`, `{"ticket":{`, `{"ticket":{"id":1}`, `{"actions":[{"id":1}`, `{"actions":[1,]}`, `{"\u0069d":1}`, `{"\u006":1}`,
		`{"ticket":tru}`, `{"object_id":01}`, `{"events":[{]}`, `/* */{}`, "\v{}", `{}` + "\x00", "\ufeff", strings.Repeat(`"`, 15), `"` + strings.Repeat("x", 30) + "\n" + `"`,
	} {
		_, err := Decode([]byte(body), delivery)
		bare := strings.Trim(strings.TrimPrefix(body, "\ufeff"), " \t\r\n")
		want := bare == "" || json.Valid([]byte(body)) // nothing at all is a test
		if want != (err == nil) {
			t.Errorf("%q: error %v, valid %v", body, err, want)
		}
		if err != nil && !errors.Is(err, ErrNotJSON) {
			t.Errorf("%q: error %v", body, err)
		}
	}
}

func TestStringsAreScannedAlikeWhereverTheyLie(t *testing.T) {
	// Every special byte at every place of the eight-byte window, after bytes
	// that are next to it in value or have their top bit set.
	for _, special := range []byte{'"', '\\', 0, 0x1f, '\n'} {
		for _, filler := range []byte{'a', ' ', '!', '#', '[', ']', 0x7f, 0x80, 0xa2, 0xdc, 0xff} {
			for before := range 20 {
				for after := range 20 {
					var b []byte
					for range before {
						b = append(b, filler)
					}
					b = append(b, special)
					for range after {
						b = append(b, filler)
					}
					if got := plain(b, 0); got != before {
						t.Fatalf("%q: found at %d, want %d", b, got, before)
					}
				}
			}
		}
	}
}

func TestDepthIsBoundedAtAThousandLevels(t *testing.T) {
	wraps := map[string][2]string{
		"arrays":                    {`[`, `]`},
		"objects":                   {`{"a":`, `}`},
		"under a ticket":            {`{"ticket":`, `}`},
		"under a list of acts":      {`{"actions":[{"x":`, `}]}`},
		"under a ticket's act":      {`{"ticket":{"action":{"x":`, `}}}`},
		"under a value":             {`{"object_id":`, `}`},
		"in a list of items":        {`[{"object_id":`, `}]`},
		"in a list that is no item": {`[[`, `]]`},
	}
	for name, w := range wraps {
		levels := strings.Count(w[0], "[") + strings.Count(w[0], "{")
		for _, depth := range []int{400, 999, 1000, 1001, 1002, 50_000} {
			n, rest := depth/levels, depth%levels
			body := strings.Repeat(w[0], n) + strings.Repeat("[", rest) + "0" + strings.Repeat("]", rest) + strings.Repeat(w[1], n)
			_, err := Decode([]byte(body), delivery)
			if tooDeep := depth > 1000; tooDeep != errors.Is(err, ErrTooDeep) || !tooDeep && err != nil {
				t.Errorf("%s: %d levels: %v", name, depth, err)
			}
		}
	}
}

func TestAllocationsDoNotGrowWithTheBody(t *testing.T) {
	allocs := func(filler int) float64 {
		body := []byte(strings.Replace(plainDelivery, "Kettle", strings.Repeat(`<p>Kettle \"cold\"</p>`, filler), 1))
		body = []byte(strings.Replace(string(body), `"customfields":[]`, `"customfields":[{"id":1}`+strings.Repeat(`,{"id":2,"value":"x"}`, filler)+`]`, 1))
		return testing.AllocsPerRun(20, func() {
			if _, err := Decode(body, delivery); err != nil {
				t.Fatal(err)
			}
		})
	}
	if small, large := allocs(1), allocs(10_000); small != large {
		t.Errorf("%v allocations for a small body, %v for a large one", small, large)
	}
}
