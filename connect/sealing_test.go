//go:build synctests

package connect_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// forms are the ways in which a text may stand in bytes: as it is, in another
// case, in UTF-16, in hexadecimal digits, and in base64 at each of the three
// places in which it can begin.
func forms(text string) [][]byte {
	var wide []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	all := [][]byte{[]byte(text), []byte(strings.ToLower(text)), wide, []byte(hex.EncodeToString([]byte(text)))}
	for pad := range 3 {
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			s := enc.EncodeToString(append(make([]byte, pad), text...))
			all = append(all, []byte(s[(pad*8+5)/6:len(s)-1])) // without what its neighbours share
		}
	}
	return all
}

// everything is all that others may see: the records of all topics, the log,
// the metrics of the instances.
func everything(w *world, ins ...*instance) []byte {
	w.Helper()
	var all bytes.Buffer
	for _, spec := range w.topics.Specs() {
		for _, r := range w.Records(w.T, spec.Name) {
			all.Write(r.Key)
			all.WriteByte('\n')
			all.Write(r.Value)
			all.WriteByte('\n')
			for _, h := range r.Headers {
				all.WriteString(h.Key)
				all.Write(h.Value)
			}
		}
	}
	all.WriteString(w.log.String())
	for _, in := range ins {
		families, err := in.reg.Gather()
		if err != nil {
			w.Fatal(err)
		}
		for _, f := range families {
			all.WriteString(f.String())
		}
	}
	return all.Bytes()
}

func TestNothingThatIsSealedStandsAnywhereInClear(t *testing.T) {
	inWorld(t, func(w *world) {
		sim := w.sims[0]
		sim.AddAgent(halotest.Agent{ID: 2, Name: "Adalbertine Markerfield", Email: "Adalbertine.M@desk-of-marker.example"})
		sim.AddAgent(halotest.Agent{ID: 3, Name: "Benedetta Markerfield", Email: "benedetta@desk-of-marker.example"})
		in := w.active()
		in.users("acme", "u-2", "adalbertine.m@desk-of-marker.example", "u-3", "worksights-user@marker-users.example")
		in.connect("acme")
		hook := w.live(0)[0]
		bad := strings.Replace(w.credentials(0), clientSecret.Reveal(), "another-secret-that-is-refused-0011", 1)
		if status, body := in.call("PUT", at("acme", "/connection"), bad); status != http.StatusUnprocessableEntity || !strings.Contains(string(body), `"secret_wrong"`) {
			t.Errorf("%d %s", status, body)
		}
		in.call("PUT", at("acme", "/connection"), `{"tenant_url":"secret-in-the-wrong-field-77","client_id":"client-id-of-a-typo-88","client_secret":"secret-of-a-typo-99"`)
		in.want("POST", at("acme", "/connection/refresh"), "", nil)
		in.want("POST", at("acme", "/connection/reconnect"), "", nil)
		in.want("PUT", at("acme", "/agents/3/user"), `{"user_id":"u-3"}`, nil)
		in.want("GET", at("acme", "/diagnosis"), "", nil)
		sim.RotateSecret("the-next-secret-in-halo-5544")
		time.Sleep(7 * time.Minute) // every connection was looked at
		in.want("GET", at("acme", "/diagnosis"), "", nil)
		in.stop()
		in = w.active()
		in.want("DELETE", at("acme", "/connection"), "", nil)
		in.connection("acme")
		in.want("POST", at("acme", "/erasures"), `{"user_id":"u-2"}`, nil)
		for _, topic := range []string{w.topics.Vault, w.topics.Connections, w.topics.Mappings, w.topics.Changes, w.topics.Erasures} {
			if len(w.Records(t, topic)) == 0 {
				t.Errorf("%s is empty: that nothing is in it proves nothing", topic)
			}
		}
		seen := everything(w, in)
		for _, text := range []string{
			clientID, clientSecret.Reveal(), hook.Password.Reveal(), "another-secret-that-is-refused-0011", "the-next-secret-in-halo-5544",
			"secret-in-the-wrong-field-77", "client-id-of-a-typo-88", "secret-of-a-typo-99", w.token.Reveal(),
			"Adalbertine Markerfield", "Benedetta", "Markerfield", "Adalbertine.M@desk-of-marker.example", "benedetta@desk-of-marker.example",
			"desk-of-marker", "worksights-user@marker-users.example", "marker-users",
		} {
			for n, form := range forms(text) {
				if i := bytes.Index(seen, form); i >= 0 {
					t.Errorf("%s is seen in form %d: …%q…", text, n, seen[max(0, i-60):min(len(seen), i+60)])
				}
			}
		}
		// A search that finds nothing of what is there proves nothing.
		for _, text := range []string{"u-2", string(schemas.ConnectionIDOf("acme")), "msg=audit"} {
			if !bytes.Contains(seen, []byte(text)) {
				t.Errorf("%s is not found", text)
			}
		}
		planted := append([]byte(nil), base64.StdEncoding.EncodeToString([]byte("xx"+clientID+"yyyy"))...)
		found := false
		for _, form := range forms(clientID) {
			found = found || bytes.Contains(planted, form)
		}
		if !found {
			t.Error("a text in base64 is not found")
		}
	})
}
