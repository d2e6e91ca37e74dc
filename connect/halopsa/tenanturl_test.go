package halopsa_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/connect/halopsa"
)

func TestTenantURLIsReadTheWayPeoplePasteIt(t *testing.T) {
	for pasted, want := range map[string]string{
		"acme.halopsa.com":                         "https://acme.halopsa.com",
		"https://acme.halopsa.com":                 "https://acme.halopsa.com",
		"  https://acme.halopsa.com/ \r\n":         "https://acme.halopsa.com",
		"\u00a0acme.haloitsm.com\u200b":            "https://acme.haloitsm.com",
		"HTTPS://Acme.HaloPSA.com/":                "https://acme.halopsa.com",
		"https:// acme.halopsa.com":                "https://acme.halopsa.com",
		"//acme.halopsa.com":                       "https://acme.halopsa.com",
		"acme.halopsa.com/tickets?area=1#top":      "https://acme.halopsa.com",
		"https://desk.customer.example:8443/login": "https://desk.customer.example:8443",
		"desk.customer.example:8443":               "https://desk.customer.example:8443",
		"https://desk.customer.example:443":        "https://desk.customer.example",
		"acme.halopsa.com.":                        "https://acme.halopsa.com",
		"https://[2606:4700::1111]/":               "https://[2606:4700::1111]",
	} {
		u, err := halopsa.ParseTenantURL(pasted, nil)
		if err != nil || u.String() != want {
			t.Errorf("%q: got %v, %v, want %s", pasted, u, err, want)
		}
	}
}

func TestTenantURLThatCannotBeUsedIsRefusedInPlainWords(t *testing.T) {
	for pasted, want := range map[string]string{
		"":                                "The tenant URL is empty.",
		" \u200b":                         "The tenant URL is empty.",
		"https://":                        "The tenant URL is not an address.",
		"https://%zz":                     "The tenant URL is not an address.",
		"http://acme.halopsa.com":         "The tenant URL begins with http://. Only https:// is accepted.",
		"http://127.0.0.1:8090":           "The tenant URL begins with http://. Only https:// is accepted.",
		"ftp://acme.halopsa.com":          "The tenant URL must begin with https://.",
		"file:///etc/passwd":              "The tenant URL is not an address.",
		strings.Repeat("a.", 130) + "com": "The tenant URL is not an address.",
		"https://me:pw@acme.halopsa.com":  "The tenant URL holds a user name or password.",
		"acme.halopsa.com:22":             "The tenant URL names a port at which no web server answers.",
		"https://acme.halopsa.com:0":      "The tenant URL names a port at which no web server answers.",
		"https://acme.halopsa.com:99999":  "The tenant URL names a port at which no web server answers.",
	} {
		_, err := halopsa.ParseTenantURL(pasted, nil)
		if halopsa.CauseOf(err) != halopsa.TenantURLInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", pasted, err, want)
		}
	}
}

// A key pasted into the wrong field must not come back in a message or a log;
// a slip in an address must, or nobody sees it.
func TestWhatCannotBeAHostIsRefusedAndNotRepeated(t *testing.T) {
	const id, key = "c7e1a9d2-3f40-4b1e-9a55-0d6f7c2b8e11", "8f3b2c1d-6a5e-4c11-8d55-0123456789ab"
	token := "eyJhbGciOiJIUzI1NiJ9." + strings.Repeat("eyJzdWIi", 12) + "." + strings.Repeat("Qk3x_-", 7)
	for _, pasted := range []string{
		id, id + "-" + key, "https://" + id, id + ":8443", "//" + key + "/", " " + key + "\n",
		token, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi." + strings.Repeat("QkxR", 11), "hct." + key, "acme.halopsa.c0m1", "acme..halopsa.com",
		strings.Repeat("a", 64) + ".halopsa.com", "sixteen-letters0",
	} {
		_, err := halopsa.ParseTenantURL(pasted, nil)
		if halopsa.CauseOf(err) != halopsa.TenantURLInvalid {
			t.Errorf("%q: %v", pasted, err)
			continue
		}
		if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(strings.Trim(pasted, " /\n"))) {
			t.Errorf("the error repeats it: %v", err)
		}
	}
	for _, typo := range []string{"acme.halopsa.con", "acme.halospa.com", "desk.acme.local", "halo", "localhost", "HALO-SRV-2019-1", "bücher.example", "xn--bcher-kva.xn--p1ai", "10.1.2.3", "a.b.c.museum."} {
		if _, err := halopsa.ParseTenantURL(typo, nil); err != nil {
			t.Errorf("%q: %v", typo, err)
		}
	}
}

func TestPlainHTTPIsForAllowedNetsOnly(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for pasted, ok := range map[string]bool{
		"http://10.1.2.3":              true,
		"http://[::ffff:10.1.2.3]":     true,
		"http://10.2.2.3":              false,
		"http://8.8.8.8":               false,
		"http://halo.customer.example": true, // its address is judged when it is dialled
	} {
		if _, err := halopsa.ParseTenantURL(pasted, allow); (err == nil) != ok {
			t.Errorf("%q: got %v", pasted, err)
		}
	}
}
