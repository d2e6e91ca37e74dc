package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

func TestARecordOfAConnectionIsTakenUnderItsOwnKeyOnly(t *testing.T) {
	id := schemas.ConnectionIDOf("acme")
	connection := schemas.Connection{ID: id, Tenant: "acme", WebhookID: "a-webhook", Verifiers: []schemas.Verifier{schemas.NewVerifier(id, "secret")}}
	value := connection.AppendJSON(nil)
	if c, err := ParseConnection(kafka.Record("t", string(id), schemas.ConnectionSchema, value)); err != nil || c.Tenant != "acme" {
		t.Fatalf("a sound record: %v, %v", c.Tenant, err)
	}
	other := string(schemas.ConnectionIDOf("other"))
	for name, r := range map[string]struct{ key, schema, value string }{
		"another connection's key": {other, schemas.ConnectionSchema, string(value)},
		"another schema":           {string(id), "halo.connection/2", string(value)},
		"half a record":            {string(id), schemas.ConnectionSchema, string(value[:len(value)/2])},
	} {
		_, err := ParseConnection(kafka.Record("t", r.key, r.schema, []byte(r.value)))
		if !errors.Is(err, schemas.ErrMalformed) {
			t.Errorf("%s: %v, want %v", name, err, schemas.ErrMalformed)
		} else if strings.Contains(err.Error(), "a-webhook") || strings.Contains(err.Error(), string(id)) {
			t.Errorf("%s: the error quotes the record: %v", name, err)
		}
	}
}

func TestABodyTakesNoMoreMemoryThanItsBound(t *testing.T) {
	const bound = 1 << 20
	var member bytes.Buffer
	z, _ := gzip.NewWriterLevel(&member, gzip.BestSpeed)
	_, _ = z.Write(make([]byte, 64<<20))
	_ = z.Close()
	for name, r := range map[string]*http.Request{
		"a bomb":             {Header: http.Header{"Content-Encoding": {"gzip"}}, Body: io.NopCloser(bytes.NewReader(member.Bytes())), ContentLength: int64(member.Len())},
		"one without end":    {Header: http.Header{}, Body: io.NopCloser(endless{}), ContentLength: -1},
		"gzip without end":   {Header: http.Header{"Content-Encoding": {"gzip"}}, Body: io.NopCloser(io.MultiReader(bytes.NewReader(member.Bytes()[:10]), endless{})), ContentLength: -1},
		"a large empty word": {Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), ContentLength: bound},
	} {
		t.Run(name, func(t *testing.T) {
			p := newBodies(bound)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, refusal := p.read(r, new(sender))
			runtime.ReadMemStats(&after)
			most := uint64(6 * bound) // doubling, and what gzip itself takes
			if r.ContentLength == bound {
				most = 4 * firstRead
			} else if refusal == nil {
				t.Error("it was taken")
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("it took %d kB", took>>10)
			}
		})
	}
}

// endless is a body of which there is always more.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
