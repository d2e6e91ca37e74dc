package schemas_test

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/worksights/halo-connector/schemas"
)

// published are the contracts that readers outside this repository hold us to.
var published = map[string]struct {
	is     any
	schema string
}{
	"event":      {schemas.Event{}, schemas.EventSchema},
	"activity":   {schemas.Activity{}, schemas.ActivitySchema},
	"skip":       {schemas.Skip{}, schemas.SkipSchema},
	"mapping":    {schemas.Mapping{}, schemas.MappingSchema},
	"change":     {schemas.Change{}, schemas.ChangeSchema},
	"refused":    {schemas.Refused{}, schemas.RefusedSchema},
	"reached":    {schemas.Reached{}, schemas.ReachedSchema},
	"erasure":    {schemas.Erasure{}, schemas.ErasureSchema},
	"connection": {schemas.Connection{}, schemas.ConnectionSchema},
}

func load(t *testing.T, name string) (*jsonschema.Schema, map[string]any) {
	t.Helper()
	b, err := os.ReadFile(name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s, doc.(map[string]any)
}

func TestGoldenRecordsSatisfyThePublishedSchemas(t *testing.T) {
	for name := range published {
		s, _ := load(t, name)
		f, err := os.Open(filepath.Join("testdata", "v1", name+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := 0
		for sc := bufio.NewScanner(f); sc.Scan(); lines++ {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(sc.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(v); err != nil {
				t.Errorf("%s line %d: %v", name, lines+1, err)
			}
		}
		if lines == 0 {
			t.Errorf("%s has no golden record: this proves nothing", name)
		}
	}
}

func TestThePublishedSchemasListTheMembersOfTheGoTypes(t *testing.T) {
	for name, p := range published {
		_, doc := load(t, name)
		var listed []string
		for member := range doc["properties"].(map[string]any) {
			listed = append(listed, member)
		}
		var written []string
		typ := reflect.TypeOf(p.is)
		for i := range typ.NumField() {
			member, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			written = append(written, member)
		}
		slices.Sort(listed)
		slices.Sort(written)
		if !slices.Equal(listed, written) {
			t.Errorf("%s: the schema lists %v, the type has %v", name, listed, written)
		}
		if want := "halo." + name + "/1"; p.schema != want {
			t.Errorf("%s: header %s, want %s", name, p.schema, want)
		}
	}
}

func TestThePublishedSchemasRefuseWhatTheParsersRefuse(t *testing.T) {
	for name, bad := range map[string]string{
		"event":    `{"id":"no","tenant":"A"}`,
		"activity": `{"weight":2}`,
		"skip":     `{"reason":"because"}`,
		"change":   `{"change":"guess"}`,
		"refused":  `{"result":"dislike"}`,
		"reached":  `{"at":"noon"}`,
		"erasure":  `{"tenant":"A"}`,
	} {
		s, _ := load(t, name)
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("%s: %s satisfies the schema", name, bad)
		}
	}
}
