package processor_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
)

func TestAMappingRecordIsReadWithItsHistory(t *testing.T) {
	want := schemas.Mapping{Tenant: "acme", Agent: 5, Intervals: []schemas.Interval{
		{User: "ada", From: noon, Until: noon.Add(time.Hour)}, {User: "ben", From: noon.Add(time.Hour)},
	}}
	got, err := processor.ParseMapping(kafka.Record("halo.mappings", want.Key(), schemas.MappingSchema, want.AppendJSON(nil)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestAMappingRecordThatIsNoneIsRefusedWithoutQuotingIt(t *testing.T) {
	good := func(tenant schemas.Tenant) []byte {
		m := schemas.Mapping{Tenant: tenant, Agent: 5, Intervals: []schemas.Interval{{User: "ada", From: noon}}}
		return m.AppendJSON(nil)
	}
	for _, tt := range []struct {
		name   string
		record *kgo.Record
	}{
		{"no schema", &kgo.Record{Key: []byte("acme/5"), Value: good("acme")}},
		{"a later schema", kafka.Record("", "acme/5", "halo.mapping/2", good("acme"))},
		{"an event's schema", kafka.Record("", "acme/5", schemas.EventSchema, good("acme"))},
		{"no JSON", kafka.Record("", "acme/5", schemas.MappingSchema, []byte("secret-user"))},
		{"an empty value", kafka.Record("", "acme/5", schemas.MappingSchema, []byte{})},
		{"an open interval before another", kafka.Record("", "acme/5", schemas.MappingSchema, schemas.Mapping{
			Tenant: "acme", Agent: 5, Intervals: []schemas.Interval{{User: "secret-user", From: noon}, {User: "ben", From: noon.Add(time.Hour)}},
		}.AppendJSON(nil))},
		{"another agent's key", kafka.Record("", "acme/6", schemas.MappingSchema, good("acme"))},
		{"another tenant's key", kafka.Record("", "zeta/5", schemas.MappingSchema, good("acme"))},
		{"the same agent written otherwise", kafka.Record("", "acme/05", schemas.MappingSchema, good("acme"))},
		{"no key", kafka.Record("", "", schemas.MappingSchema, good("acme"))},
	} {
		m, err := processor.ParseMapping(tt.record)
		if !errors.Is(err, schemas.ErrMalformed) || !reflect.DeepEqual(m, schemas.Mapping{}) {
			t.Errorf("%s: %+v, %v", tt.name, m, err)
			continue
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ada") {
			t.Errorf("%s: the error quotes the record: %v", tt.name, err)
		}
	}
}
