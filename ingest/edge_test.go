package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/schemas"
)

const changed = `{"webhook_id":"` + demoWebhook + `","notification_id":57,"escmsg_id":"d41f7b90-aac1-f111-9a10-0a1b2c3d4e5f",` +
	`"event":"ticket status changed","object_id":1337,"timestamp":"2026-10-02T14:03:27.4410387Z","ticket":{"id":1337,"status_id":9,"agent_id":3}}`

func zip(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

func encoded(body, encoding string) *http.Request {
	r := request(body)
	r.Header.Set("Content-Encoding", encoding)
	return r
}

func as(user, secret string) *http.Request {
	r := request(changed)
	r.SetBasicAuth(user, secret)
	return r
}

func to(method, path string) *http.Request {
	r := request(changed)
	u, err := url.Parse("http://edge" + path)
	if err != nil {
		panic(err)
	}
	r.Method, r.URL = method, u
	return r
}

// items is n items, each of which has an id of its own.
func items(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = strings.Replace(changed, "0a1b2c3d4e5f", fmt.Sprintf("%012x", i), 1)
	}
	return "[" + strings.Join(all, ",") + "]"
}

func TestEachCaseOfTheContractHasItsAnswer(t *testing.T) {
	id := string(demoConnection().ID)
	other := string(schemas.ConnectionIDOf("other"))
	unknown := strings.Replace(strings.Replace(changed, "57", "58", 1), "ticket status changed", "somebody sneezed", 1)
	down := func(context.Context) error { return ingest.ErrUnavailable }
	for _, c := range []struct {
		name    string
		request *http.Request
		kafka   func(context.Context) error
		status  int
		says    string // the whole body of a 200, the code of another answer
		result  string
		kept    int
	}{
		{"an event", request(changed), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"a batch with an event of no known kind", request("[" + changed + "," + unknown + "," + changed + "]"), nil, 200, `{"events":2,"skipped":1}`, "accepted", 3},
		{"an event of another webhook", request(strings.Replace(changed, "c0a8", "dead", 1)), nil, 200, `{"events":0,"skipped":1}`, "accepted", 1},
		{"members of Halo's and no ticket", request(`{"event":"x","agent_id":3}`), nil, 200, `{"events":0,"skipped":1}`, "accepted", 1},
		{"such an item beside others", request(`[` + changed + `,{"event":"x"}]`), nil, 200, `{"events":1,"skipped":1}`, "accepted", 2},
		{"400 levels", request(`{"details":` + strings.Repeat("[", 399) + strings.Repeat("]", 399) + `,` + changed[1:]), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"2,000 items", request(items(2000)), nil, 200, `{"events":2000,"skipped":0}`, "accepted", 2000},

		{"a test: no body", request(``), down, 200, `{"events":0,"skipped":0}`, "test", 0},
		{"a test: no body, gzip", encoded(``, "gzip"), nil, 200, `{"events":0,"skipped":0}`, "test", 0},
		{"a test: no body in gzip", encoded(zip(``), "gzip"), nil, 200, `{"events":0,"skipped":0}`, "test", 0},
		{"a test: blanks", request(" \r\n"), nil, 200, `{"events":0,"skipped":0}`, "test", 0},
		{"a test: an empty array", request(`[]`), nil, 200, `{"events":0,"skipped":0}`, "test", 0},
		{"a test: an empty object", request(`{}`), nil, 200, `{"events":0,"skipped":0}`, "test", 0},
		{"a test: null", request(`null`), nil, 200, `{"events":0,"skipped":0}`, "test", 0},
		{"a test: a word", request(`"test"`), nil, 200, `{"events":0,"skipped":0}`, "test", 0},
		{"a test: a member of somebody's", request(`{"test":true}`), nil, 200, `{"events":0,"skipped":0}`, "test", 0},
		{"half a surrogate pair and a repeated member", request(`{"summary":"\ud800","a":1,"a":2,` + changed[1:]), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"gzip", encoded(zip(changed), "gzip"), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"gzip by its other names", encoded(zip(changed), " X-GZIP "), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"a foreign content type", func() *http.Request { r := request(changed); r.Header.Set("Content-Type", "text/plain"); return r }(), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"exactly 2 MiB", request(changed + strings.Repeat(" ", 2<<20-len(changed))), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"chunks", requestOf(io.MultiReader(strings.NewReader(changed))), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},

		{"no JSON", request(`<html>`), nil, 400, "malformed", "malformed", 0},
		{"1,001 levels", request(strings.Repeat("[", 1001) + strings.Repeat("]", 1001)), nil, 400, "malformed", "malformed", 0},
		{"gzip that is none", encoded(changed, "gzip"), nil, 400, "malformed", "malformed", 0},
		{"gzip that is cut", encoded(zip(changed)[:40], "gzip"), nil, 400, "malformed", "malformed", 0},
		{"another encoding", encoded(changed, "br"), nil, 415, "unsupported_encoding", "malformed", 0},

		{"over 2 MiB as announced", request(changed + strings.Repeat(" ", 2<<20)), nil, 413, "too_large", "too_large", 0},
		{"over 2 MiB unannounced", requestOf(io.MultiReader(strings.NewReader(changed + strings.Repeat(" ", 2<<20)))), nil, 413, "too_large", "too_large", 0},
		{"over 2 MiB unpacked", encoded(zip(changed+strings.Repeat(" ", 2<<20)), "gzip"), nil, 413, "too_large", "too_large", 0},
		{"a gigabyte unpacked", encoded(bomb(), "gzip"), nil, 413, "too_large", "too_large", 0},

		{"2,001 items", request(items(2001)), nil, 413, "too_large", "too_large", 0},
		{"60,000 items of next to nothing", request("[" + strings.Repeat(`{"id":0},`, 59_999) + `{"id":0}]`), nil, 413, "too_large", "too_large", 0},

		{"a wrong secret", as(id, "wrong"), nil, 401, "unauthorized", "unauthorized", 0},
		{"an empty secret", as(id, ""), nil, 401, "unauthorized", "unauthorized", 0},
		{"another connection's name", as(other, demoSecret), nil, 401, "unauthorized", "unauthorized", 0},
		{"an unknown connection", func() *http.Request { r := as(other, demoSecret); r.URL.Path = "/v1/webhooks/halo/" + other; return r }(), nil, 401, "unauthorized", "unauthorized", 0},
		{"no credentials", func() *http.Request { r := request(changed); r.Header.Del("Authorization"); return r }(), nil, 401, "unauthorized", "unauthorized", 0},
		{"credentials that are none", func() *http.Request { r := request(changed); r.Header.Set("Authorization", "Basic ????"); return r }(), nil, 401, "unauthorized", "unauthorized", 0},

		{"Kafka does not acknowledge", request(changed), down, 503, "unavailable", "unavailable", 0},

		{"a slash at the end", to(http.MethodPost, "/v1/webhooks/halo/"+id+"/"), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"slashes", to(http.MethodPost, "//v1/webhooks//halo/"+id+"//"), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"the id in capitals", to(http.MethodPost, "/v1/webhooks/halo/"+strings.ToUpper(id)), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"all in capitals", to(http.MethodPost, "/V1/WEBHOOKS/HALO/"+strings.ToUpper(id)), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"an escaped letter", to(http.MethodPost, fmt.Sprintf("/v1/webhooks/h%%61lo/%%%02x%s", id[0], id[1:])), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},
		{"the user in capitals", as(strings.ToUpper(id), demoSecret), nil, 200, `{"events":1,"skipped":0}`, "accepted", 1},

		{"GET", to(http.MethodGet, "/v1/webhooks/halo/"+id), nil, 405, "method_not_allowed", "not_found", 0},
		{"PUT", to(http.MethodPut, "/v1/webhooks/halo/"+id+"/"), nil, 405, "method_not_allowed", "not_found", 0},
		{"OPTIONS", to(http.MethodOptions, "/v1/webhooks/halo/"+id), nil, 405, "method_not_allowed", "not_found", 0},
		{"another product", to(http.MethodPost, "/v1/webhooks/jira/"+id), nil, 404, "not_found", "not_found", 0},
		{"GET of another product", to(http.MethodGet, "/v1/webhooks/jira/"+id), nil, 404, "not_found", "not_found", 0},
		{"no connection in the path", to(http.MethodPost, "/v1/webhooks/halo/"), nil, 404, "not_found", "not_found", 0},
		{"nothing but webhooks", to(http.MethodPost, "/v1/webhooks/"), nil, 404, "not_found", "not_found", 0},
		{"too much in the path", to(http.MethodPost, "/v1/webhooks/halo/"+id+"/x"), nil, 404, "not_found", "not_found", 0},
		{"another path", to(http.MethodPost, "/v1/tenants"), nil, 404, "not_found", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ingest.Config{RateLimit: 200})
			b.log.append = c.kafka
			dial, _ := b.serve(t)
			got := send(t, dial, c.request)
			if got.status != c.status {
				t.Fatalf("answered %d %s, want %d", got.status, got.body, c.status)
			}
			if ct := got.header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("the answer is %q", ct)
			}
			says := got.body
			if c.status != 200 {
				says = errorCode(t, got.body)
			}
			if says != c.says {
				t.Errorf("said %s, want %s", says, c.says)
			}
			if n := len(b.log.kept()); n != c.kept {
				t.Errorf("kept %d events, want %d", n, c.kept)
			}
			for _, result := range []string{"accepted", "test", "malformed", "unauthorized", "too_large", "rate_limited", "unavailable", "not_found"} {
				want := 0
				if result == c.result {
					want = 1
				}
				if n := b.count(t, result); n != want {
					t.Errorf("counted %d deliveries as %s, want %d", n, result, want)
				}
			}
			switch got.status {
			case 401:
				if !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
					t.Error("401 does not say how to authenticate")
				}
			case 405:
				if got.header.Get("Allow") != "POST" {
					t.Error("405 does not say what is allowed")
				}
			case 429, 503:
				if got.header.Get("Retry-After") == "" {
					t.Errorf("%d does not say when to try again", got.status)
				}
			}
		})
	}
}

func errorCode(t *testing.T, body string) string {
	t.Helper()
	var e struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error.Message == "" {
		t.Fatalf("no error body: %s", body)
	}
	return e.Error.Code
}

// bomb is a gigabyte of spaces in a megabyte.
func bomb() string {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	blank := bytes.Repeat([]byte(" "), 1<<20)
	for range 64 {
		_, _ = z.Write(blank)
	}
	_ = z.Close()
	member := b.String() // gzip files may be strung together
	return strings.Repeat(member, 16)
}

func TestAnUnknownConnectionAndAWrongSecretGetTheSameAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t, ingest.Config{})
	dial, _ := b.serve(t)
	id, other := string(demoConnection().ID), string(schemas.ConnectionIDOf("other"))
	wrong := send(t, dial, as(id, "wrong"))
	r := as(other, demoSecret)
	r.URL.Path = "/v1/webhooks/halo/" + other
	unknown := send(t, dial, r)
	wrong.header.Del("Date")
	unknown.header.Del("Date")
	if wrong.status != unknown.status || wrong.body != unknown.body || !equalHeaders(wrong.header, unknown.header) {
		t.Errorf("a wrong secret is answered %v, an unknown connection %v", wrong, unknown)
	}
	if b.table.asked != 2 {
		t.Errorf("%d catch-ups for two refusals: one of them was refused without looking", b.table.asked)
	}
}

func equalHeaders(a, b http.Header) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func TestAWrongSecretIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	for _, length := range []string{"Content-Length: 100", "Content-Length: 1000000000", "Transfer-Encoding: chunked"} {
		t.Run(length, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ingest.Config{})
			dial, _ := b.serve(t)
			conn := dial()
			// No body follows. Who waits for one waits for ever.
			if _, err := io.WriteString(conn, head(authorization("wrong"), length)); err != nil {
				t.Fatal(err)
			}
			if got := readAnswer(t, conn); got.status != 401 {
				t.Errorf("answered %d", got.status)
			}
		})
	}
}

func TestADeliveryRightAfterConnectIsNotRefusedForATableThatLags(t *testing.T) {
	t.Parallel()
	fresh := demoConnection()
	id := fresh.ID
	rotated := demoConnection()
	rotated.Verifiers = []schemas.Verifier{schemas.NewVerifier(id, "the old secret")}
	oldWebhook, noKinds := demoConnection(), demoConnection()
	oldWebhook.WebhookID = "dead0000-0000-4000-8000-000000000000"
	noKinds.Notifications = nil
	for name, before := range map[string]schemas.Connection{
		"connected":                       {},
		"reconnected with another secret": rotated,
		"with another webhook":            oldWebhook,
		"with its notifications":          noKinds,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ingest.Config{})
			b.table.connection, b.table.later = before, &fresh
			dial, _ := b.serve(t)
			got := send(t, dial, request(strings.Replace(changed, "ticket status changed", "an own name", 1)))
			if got.status != 200 || got.body != `{"events":1,"skipped":0}` {
				t.Errorf("answered %d %s", got.status, got.body)
			}
			if b.table.asked != 1 {
				t.Errorf("%d catch-ups, want 1: this proves nothing", b.table.asked)
			}
		})
	}
}

func TestWithoutKafkaNobodyIsCalledAForger(t *testing.T) {
	t.Parallel()
	b := newBench(t, ingest.Config{})
	b.table.catchUp = func(context.Context) error { return errors.New("no broker") }
	dial, _ := b.serve(t)
	if got := send(t, dial, as(string(demoConnection().ID), "perhaps a new secret")); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("answered %d %v", got.status, got.header)
	}
}

func TestHEADIsCountedToo(t *testing.T) {
	t.Parallel()
	b := newBench(t, ingest.Config{})
	r := httptest.NewRequest(http.MethodHead, "/v1/webhooks/halo/"+string(demoConnection().ID), nil)
	w := httptest.NewRecorder()
	b.edge.ServeHTTP(w, r)
	if w.Code != 405 || b.count(t, "not_found") != 1 {
		t.Errorf("answered %d, counted %d", w.Code, b.count(t, "not_found"))
	}
}

func TestAConnectionIsLimitedAndGuessesAtItAreNotCounted(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 10, 2, 14, 3, 30, 0, time.UTC)
	b := newBench(t, ingest.Config{RateLimit: 10, Now: func() time.Time { return now }})
	dial, _ := b.serve(t)
	for range 3 {
		send(t, dial, as(string(demoConnection().ID), "wrong"))
	}
	for i := range 20 {
		if got := send(t, dial, request(changed)); got.status != 200 {
			t.Fatalf("delivery %d of a burst of twice the limit is answered %d", i+1, got.status)
		}
	}
	if got := send(t, dial, request(changed)); got.status != 429 || got.header.Get("Retry-After") == "" || errorCode(t, got.body) != "rate_limited" {
		t.Errorf("the next is answered %d %s", got.status, got.body)
	}
	now = now.Add(time.Second)
	for i := range 10 {
		if got := send(t, dial, request(changed)); got.status != 200 {
			t.Fatalf("delivery %d of the next second is answered %d", i+1, got.status)
		}
	}
	if got := send(t, dial, request(changed)); got.status != 429 {
		t.Errorf("delivery 11 of the next second is answered %d", got.status)
	}
}

func TestNothingThatWasWrittenByAPersonIsAnsweredOrLogged(t *testing.T) {
	t.Parallel()
	const marker = "Mrs Miller's password is hunter2"
	for _, body := range []string{
		`{"summary":"` + marker + `","` + marker + `":1}`,
		`["` + marker + `"]`,
		`{"summary":"` + marker,
		strings.Replace(changed, "{", `{"message":"`+marker+`",`, 1),
	} {
		b := newBench(t, ingest.Config{})
		dial, stop := b.serve(t)
		r := request(body)
		r.Header.Set("X-Note", marker)
		got := send(t, dial, r)
		wrong := send(t, dial, as(string(demoConnection().ID), marker))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for place, text := range map[string]string{"answer": got.body, "refusal": wrong.body, "log": b.said.String(), "notes": fmt.Sprint(b.log.notes())} {
			if strings.Contains(text, "Miller") || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(marker))[:8]) {
				t.Errorf("the %s quotes the delivery: %s", place, text)
			}
		}
		if got.status == 200 && len(b.log.kept()) == 1 && b.log.kept()[0].Refusal == schemas.Undecodable && !strings.Contains(b.said.String(), "fields") {
			t.Errorf("a delivery without a ticket is not reported: %s", b.said)
		}
	}
}

func TestReportsOfOneConnectionAreFew(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 10, 2, 14, 3, 30, 0, time.UTC)
	b := newBench(t, ingest.Config{Now: func() time.Time { return now }})
	dial, stop := b.serve(t)
	for range 50 {
		send(t, dial, request(`{"summary":"x","whatever":1}`))
		now = now.Add(time.Second) // in which one may be written down
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.said.String(), "name no ticket"); n != 5 {
		t.Errorf("%d lines for 50 such deliveries, want 5", n)
	}
	if want := `fields.known=summary fields.others=1`; !strings.Contains(b.said.String(), want) {
		t.Errorf("a report does not say %q: %s", want, b.said)
	}
}

func TestAPanicIsAnsweredAndItsValueIsNotLogged(t *testing.T) {
	t.Parallel()
	b := newBench(t, ingest.Config{})
	b.log.append = func(context.Context) error { panic("Mrs Miller's password") }
	dial, stop := b.serve(t)
	got := send(t, dial, request(changed))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got.status != 500 || errorCode(t, got.body) != "internal" {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	if said := b.said.String(); strings.Contains(said, "Miller") || !strings.Contains(said, "edge_test.go") {
		t.Errorf("the log should say where and not what: %s", said)
	}
}

func TestBoundsBelowZeroAreRefused(t *testing.T) {
	for _, cfg := range []ingest.Config{{MaxBodyBytes: -1}, {RateLimit: -1}, {Drain: -1}} {
		if _, err := ingest.New(cfg, &memory{}, &tape{}, nil, nil); !errors.Is(err, ingest.ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
