//go:build synctests

package connect_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/worksights/halo-connector/connect/vault"
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
// the metrics.
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
		in.connect("acme", 0)
		hook := w.live(0)[0]
		bad := strings.Replace(credentials(w.urls[0]), clientSecret.Reveal(), "another-secret-that-is-refused-0011", 1)
		in.refused(http.StatusUnprocessableEntity, "secret_wrong", "PUT", at("acme", "/connection"), bad)
		in.call("PUT", at("acme", "/connection"), `{"tenant_url":"secret-in-the-wrong-field-77","client_id":"client-id-of-a-typo-88","client_secret":"secret-of-a-typo-99"`)
		in.want(http.StatusOK, "POST", at("acme", "/connection/refresh"), "", nil)
		in.want(http.StatusOK, "POST", at("acme", "/connection/reconnect"), "", nil)
		in.want(http.StatusOK, "PUT", at("acme", "/agents/3/user"), `{"user_id":"u-3"}`, nil)
		in.diagnosis("acme")
		sim.RotateSecret("the-next-secret-in-halo-5544")
		time.Sleep(lookTime)
		in.diagnosis("acme")
		in.stop()
		in = w.active()
		in.want(http.StatusNoContent, "DELETE", at("acme", "/connection"), "", nil)
		in.connection("acme")
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
	}, halotest.Config{})
}

func TestKeysAreRotatedWhileEverythingRuns(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sims[0].AddAgent(halotest.Agent{ID: 2, Email: "ada@x.example"})
		in := w.active()
		in.users("acme", "u-ada", "ada@x.example")
		in.connect("acme", 0)
		in.users("only-users", "u", "")
		in.connect("gone", 0)
		in.want(http.StatusNoContent, "DELETE", at("gone", "/connection"), "", nil)
		before := len(w.Records(w.T, w.topics.Vault))
		if err := vault.Rotate(w.keyset); err != nil {
			t.Fatal(err)
		}
		in.users("acme", "u-ada", "ada@x.example") // no downtime
		time.Sleep(2 * time.Second)
		in.connection("acme")
		time.Sleep(2 * lookTime)
		if now := len(w.Records(w.T, w.topics.Vault)); now < before+3 {
			t.Errorf("%d records were written after the rotation", now-before)
		}
		settled := len(w.Records(w.T, w.topics.Vault))
		time.Sleep(2 * lookTime)
		if now := len(w.Records(w.T, w.topics.Vault)); now != settled {
			t.Errorf("records are sealed again and again: %d more", now-settled)
		}
		old, err := os.ReadFile(w.keyset)
		if err != nil {
			t.Fatal(err)
		}
		if removed, err := vault.Retire(w.keyset); err != nil || removed != 1 {
			t.Fatalf("retired %d: %v", removed, err)
		}
		if now, err := os.ReadFile(w.keyset); err != nil || len(now) >= len(old) {
			t.Fatal("no key was retired: this proves nothing")
		}
		time.Sleep(2 * time.Second)
		in.connection("acme")
		in.stop()
		in = w.active()
		if c := in.connection("acme"); c.State != "active" || c.Agents.Matched != 1 {
			t.Errorf("after a restart: %+v", c)
		}
		in.want(http.StatusOK, "POST", at("acme", "/connection/refresh"), "", nil) // the credentials open too
		if c := in.connection("gone"); c.State != "disconnected" {
			t.Errorf("%+v", c)
		}
		in.users("only-users", "u", "")
		if strings.Contains(w.log.String(), "does not open") {
			t.Error("a record did not open")
		}
	}, halotest.Config{})
}
