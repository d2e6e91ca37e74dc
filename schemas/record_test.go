package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forms are the records as bytes: parse and write again, one row a schema.
var forms = []struct {
	schema string // also the golden file's name, without its version
	again  func([]byte) ([]byte, error)
}{
	{EventSchema, func(b []byte) ([]byte, error) { v, err := ParseEvent(b); return v.AppendJSON(nil), err }},
	{ActivitySchema, func(b []byte) ([]byte, error) { v, err := ParseActivity(b); return v.AppendJSON(nil), err }},
	{SkipSchema, func(b []byte) ([]byte, error) { v, err := ParseSkip(b); return v.AppendJSON(nil), err }},
	{MappingSchema, func(b []byte) ([]byte, error) { v, err := ParseMapping(b); return v.AppendJSON(nil), err }},
	{ChangeSchema, func(b []byte) ([]byte, error) { v, err := ParseChange(b); return v.AppendJSON(nil), err }},
	{ReachedSchema, func(b []byte) ([]byte, error) { v, err := ParseReached(b); return v.AppendJSON(nil), err }},
	{RefusedSchema, func(b []byte) ([]byte, error) { v, err := ParseRefused(b); return v.AppendJSON(nil), err }},
	{ErasureSchema, func(b []byte) ([]byte, error) { v, err := ParseErasure(b); return v.AppendJSON(nil), err }},
	{ConnectionSchema, func(b []byte) ([]byte, error) { v, err := ParseConnection(b); return v.AppendJSON(nil), err }},
}

// golden are the lines of one schema's golden file. The files are append-only:
// a record of version 1 must parse for ever.
func golden(t testing.TB, schema string) [][]byte {
	t.Helper()
	name := strings.TrimSuffix(strings.TrimPrefix(schema, "halo."), "/1")
	b, err := os.ReadFile(filepath.Join("testdata", "v1", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(b), []byte("\n"))
}

func TestGoldenRecordsParseAndAreWrittenAgainByteForByte(t *testing.T) {
	for _, f := range forms {
		for i, line := range golden(t, f.schema) {
			got, err := f.again(line)
			if err != nil {
				t.Errorf("%s line %d: %v", f.schema, i+1, err)
			} else if !bytes.Equal(got, line) {
				t.Errorf("%s line %d changed:\n was %s\n now %s", f.schema, i+1, line, got)
			}
		}
	}
}

func TestRecordsAreReadHoweverJSONMayBeWritten(t *testing.T) {
	for _, f := range forms {
		for i, line := range golden(t, f.schema) {
			var spaced bytes.Buffer
			if err := json.Indent(&spaced, line, " ", "\t"); err != nil {
				t.Fatal(err)
			}
			unknown := append([]byte(`{"added_later":{"deep":[1,"}\"",null]},"flag":true,`), line[1:]...)
			escaped := bytes.Replace(line, []byte(`"tenant"`), []byte(`"\u0074enant"`), 1)
			for form, b := range map[string][]byte{"indented": spaced.Bytes(), "with unknown members": unknown, "escaped": escaped} {
				got, err := f.again(b)
				if err != nil || !bytes.Equal(got, line) {
					t.Errorf("%s line %d %s: %v\n got %s\nwant %s", f.schema, i+1, form, err, got, line)
				}
			}
		}
	}
}

func TestBytesThatAreNoRecordAreMalformedAndNeverQuoted(t *testing.T) {
	const marker = "S3CRET-MARKER"
	for _, f := range forms {
		line := golden(t, f.schema)[0]
		bad := map[string][]byte{
			"empty":       nil,
			"cut":         line[:len(line)-1],
			"array":       []byte(`["` + marker + `"]`),
			"trailing":    append(bytes.Clone(line), []byte(marker)...),
			"no members":  []byte(`{}`),
			"bad tenant":  bytes.Replace(line, []byte(`"tenant":"`), []byte(`"tenant":"`+marker+`/`), 1),
			"wrong type":  bytes.Replace(line, []byte(`"tenant":"`), []byte(`"tenant":1,"x":"`), 1),
			"no value":    []byte(`{"id":}`),
			"raw control": []byte("{\"tenant\":\"a\nb\"}"),
		}
		for name, b := range bad {
			_, err := f.again(b)
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s %s: error %v, want ErrMalformed", f.schema, name, err)
			}
			if err != nil && strings.Contains(err.Error(), marker) {
				t.Errorf("%s %s: the error quotes the record: %v", f.schema, name, err)
			}
		}
	}
}

func TestUnknownWordsAreMalformed(t *testing.T) {
	event := string(golden(t, EventSchema)[0])
	for _, member := range []string{"kind", "refusal", "actor_type"} {
		var m map[string]any
		if err := json.Unmarshal([]byte(event), &m); err != nil {
			t.Fatal(err)
		}
		m[member] = "something_new"
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseEvent(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", member, err)
		}
	}
}

func TestNumbersAreReadWholeAndInRange(t *testing.T) {
	r := reader{}
	if got := r.uint("n", []byte("18446744073709551615")); got != 1<<64-1 || r.err != nil {
		t.Errorf("largest: %d, %v", got, r.err)
	}
	for _, bad := range []string{"18446744073709551616", "99999999999999999999", "-1", "1.5", "1e3", "", `"1"`} {
		r := reader{}
		if r.uint("n", []byte(bad)); r.err == nil {
			t.Errorf("%s was read as a whole number", bad)
		}
	}
}

func TestTimesAreWrittenInOneFormAndReadInAny(t *testing.T) {
	want := time.Date(2026, 10, 31, 23, 59, 59, 7e6, time.UTC)
	if got := string(appendTime(nil, want.In(time.FixedZone("", 5*3600)))); got != `"2026-10-31T23:59:59.007Z"` {
		t.Errorf("written as %s", got)
	}
	for _, form := range []string{"2026-10-31T23:59:59.007Z", "2026-10-31T23:59:59.0071234Z", "2026-11-01T04:59:59.007+05:00"} {
		if got, ok := parseTime([]byte(form)); !ok || !got.Equal(want) {
			t.Errorf("%s read as %v, %v", form, got, ok)
		}
	}
	for _, bad := range []string{"", "2026-02-30T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "2026-10-31T24:00:00.000Z", "2026-10-31", "2026-1a-01T00:00:00.000Z"} {
		if got, ok := parseTime([]byte(bad)); ok {
			t.Errorf("%s read as %v", bad, got)
		}
	}
	for year := 1970; year < 2300; year++ {
		at := time.Date(year, 2, 28, 1, 2, 3, 4e6, time.UTC).AddDate(0, 0, 1)
		b := appendTime(nil, at)
		if got, ok := parseTime(b[1 : len(b)-1]); !ok || !got.Equal(at) {
			t.Fatalf("%v came back as %v", at, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, form := range forms {
		for _, line := range golden(f, form.schema) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, form := range forms {
			once, err := form.again(b)
			if err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("%s: an error of no known kind: %v", form.schema, err)
				}
				continue
			}
			if !json.Valid(once) {
				t.Fatalf("%s: wrote what is no JSON: %q", form.schema, once)
			}
			if twice, err := form.again(once); err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("%s: not stable: %v\n%s\n%s", form.schema, err, once, twice)
			}
		}
	})
}

func BenchmarkEvent(b *testing.B) {
	line := golden(b, EventSchema)[0]
	e, err := ParseEvent(line)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseEvent(line); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = e.AppendJSON(buf[:0])
		}
	})
}
