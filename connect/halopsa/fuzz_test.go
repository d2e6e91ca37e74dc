package halopsa_test

import (
	"slices"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
)

func FuzzRowsOfAnyAnswerAreReadOrRefused(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `[{"id":2,"name":"a","events":[{"id":"7"}]}]`, `{"agents":[{"id":"2"}],"record_count":"1"}`,
		`{"id":"c0a8d3f2","events":[]}`, `{"Agents":null,"other":[1,"x",null]}`, `[[[]]]`, `"text"`, `{"a":[],"b":[]}`, `[{"id":1e400}]`,
		"\ufeff[]", `{"record_count":-1,"agents":[]}`, `[{"last_auto_disable_date":"1899-12-30T00:00:00"}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if n, _, ok := halopsa.Rows(body, "agents"); !ok && n != 0 {
			t.Errorf("%d rows of an answer that cannot be read", n)
		}
	})
}

func FuzzFailureOfAnyAnswerNamesOurScopesOnly(f *testing.F) {
	f.Add([]byte(`{"error":"invalid_scope","error_description":"read:kb"}`))
	f.Add([]byte(`<html>`))
	f.Add([]byte(`{"Message":["x"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		scopes, _ := halopsa.FailureOf(body)
		for _, scope := range scopes {
			if !slices.Contains(halopsa.Scopes(), scope) {
				t.Errorf("scope %q", scope)
			}
		}
	})
}

func FuzzTenantURLIsSchemeAndHostOrRefused(f *testing.F) {
	for _, seed := range []string{"acme.halopsa.com", "https://[::1]:8443/x?y#z", "http://10.0.0.1", "//a@b", "https://a:b:c", "%", "javascript://x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pasted string) {
		u, err := halopsa.ParseTenantURL(pasted, nil)
		if err != nil {
			if halopsa.CauseOf(err) != halopsa.TenantURLInvalid {
				t.Errorf("got %v", err)
			}
			return
		}
		if u.Scheme != "https" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			t.Errorf("got %q", u)
		}
		again, err := halopsa.ParseTenantURL(u.String(), nil)
		if err != nil || *again != *u {
			t.Errorf("%q is read as %v, %v the second time", u, again, err)
		}
	})
}
