package ingest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/schemas"
)

// hold opens a delivery of length bytes and sends what there is of its body.
func hold(t *testing.T, dial func() net.Conn, of schemas.Tenant, length int, body string) net.Conn {
	t.Helper()
	r := by(of, request(""))
	conn := dial()
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: edge\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s",
		r.URL.Path, r.Header.Get("Authorization"), length, body); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestThe33rdOpenDeliveryOfAConnectionIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ingest.Config{}) // without a rate
		b.table.add(1)
		dial, _ := b.serve(t)
		open := make([]net.Conn, 32)
		for i := range open {
			open[i] = hold(t, dial, "demo", len(changed), changed[:10])
		}
		synctest.Wait()
		start := time.Now()
		// No body follows: whoever waits for one waits for half a minute.
		got := readAnswer(t, hold(t, dial, "demo", 100, ""))
		if got.status != 429 || got.header.Get("Retry-After") == "" || !got.closes {
			t.Errorf("answered %d %v", got.status, got.header)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		if got := send(t, dial, by(tenant(0), request(changed))); got.status != 200 {
			t.Errorf("meanwhile another connection is answered %d", got.status)
		}
		if got := send(t, dial, as(string(demoConnection().ID), "wrong")); got.status != 401 {
			t.Errorf("a guess is answered %d: it does not count among the open ones", got.status)
		}
		for _, conn := range open {
			if _, err := io.WriteString(conn, changed[10:]); err != nil {
				t.Fatal(err)
			}
			if got := readAnswer(t, conn); got.status != 200 {
				t.Errorf("an open one is answered %d", got.status)
			}
		}
		if got := send(t, dial, request(changed)); got.status != 200 {
			t.Errorf("afterwards one is answered %d", got.status)
		}
		if b.count(t, "rate_limited") != 1 {
			t.Error("it is not counted")
		}
	})
}

func TestItemsAreChargedAndADebtIsWaitedFor(t *testing.T) {
	now := time.Date(2026, 10, 2, 14, 3, 30, 0, time.UTC)
	b := newBench(t, ingest.Config{RateLimit: 10, Now: func() time.Time { return now }})
	dial, _ := b.serve(t)
	expect := func(what string, body string, status int, retryAfter string) {
		t.Helper()
		got := send(t, dial, request(body))
		if got.status != status || got.header.Get("Retry-After") != retryAfter {
			t.Errorf("%s: answered %d, Retry-After %q; want %d, %q", what, got.status, got.header.Get("Retry-After"), status, retryAfter)
		}
		if status == 429 && !got.closes {
			t.Errorf("%s: the connection goes on", what)
		}
	}
	expect("a delivery that has begun is taken whole", items(120), 200, "") // 20 were left: a debt of 100
	expect("the debt, and one more", changed, 429, "11")
	now = now.Add(10*time.Second + 50*time.Millisecond)
	expect("nearly paid", changed, 429, "1")
	now = now.Add(50 * time.Millisecond)
	expect("paid", changed, 200, "")
	expect("one is left", changed, 429, "1")
	now = now.Add(time.Second)
	for _, body := range []string{`{"test":true}`, `<html>`, items(2001)[:2000], ``, strings.Repeat(" ", 2<<20) + "1", changed, changed, changed, changed, changed} {
		status := send(t, dial, request(body)).status
		if status == 429 {
			t.Errorf("%.20q costs more than one", body)
		}
	}
	expect("ten were ten", changed, 429, "1")
	now = now.Add(-time.Hour)
	expect("a clock that is set back pays nothing", changed, 429, "1")
}

func TestWithoutARateTheOtherBoundsHold(t *testing.T) {
	b := newBench(t, ingest.Config{RateLimit: 0})
	dial, _ := b.serve(t)
	for range 3 {
		if got := send(t, dial, request(items(2000))); got.status != 200 {
			t.Fatalf("2,000 items are answered %d", got.status)
		}
	}
	if got := send(t, dial, request(items(2001))); got.status != 413 {
		t.Errorf("2,001 items are answered %d", got.status)
	}
}

func TestOnlyThoseWhoAreThrottledAreShown(t *testing.T) {
	now := time.Date(2026, 10, 2, 14, 3, 30, 0, time.UTC)
	b := newBench(t, ingest.Config{RateLimit: 1, Now: func() time.Time { return now }})
	shown := func() (lines []string) {
		families, err := b.reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "halo_ingest_throttled_total" {
					lines = append(lines, m.GetLabel()[0].GetValue()+" "+strconv.Itoa(int(m.GetCounter().GetValue())))
				}
			}
		}
		return lines
	}
	for range 5 {
		b.deliver(changed)
	}
	if got := strings.Join(shown(), ","); got != "demo 3" {
		t.Errorf("shown: %s", got)
	}
	now = now.Add(time.Hour + time.Second)
	if got := shown(); got != nil {
		t.Errorf("an hour later: %s", got)
	}
}

// What one connection sends too slowly is its own affair, as long as the others'
// bodies have room.
func TestALargeConnectionIsRefusedAndASmallOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ingest.Config{})
		b.table.add(3)
		b.edge.HoldAtMost(8 << 20)
		dial, _ := b.serve(t)
		large := strings.Repeat(" ", 2<<20-len(changed)) + changed
		// Four bodies of two megabytes, but for their last byte, fill the room.
		var open []net.Conn
		for range 4 {
			open = append(open, hold(t, dial, tenant(0), len(large), large[:len(large)-1]))
			synctest.Wait()
		}
		for name, test := range map[string]struct {
			request *http.Request
			status  int
		}{
			"another of it":               {by(tenant(0), request(changed)), 503},
			"a large one of another":      {by(tenant(1), request(large)), 503},
			"an unpacked one of another":  {by(tenant(1), encoded(zip(large), "gzip")), 503},
			"a small one of another":      {by(tenant(1), request(changed)), 200},
			"64 KiB of another":           {by(tenant(2), request(large[len(large)-64<<10:])), 200},
			"64 KiB of another, unpacked": {by(tenant(2), encoded(zip(large[len(large)-64<<10:]), "gzip")), 200},
		} {
			got := send(t, dial, test.request)
			if got.status != test.status || (got.status == 503) != (got.header.Get("Retry-After") != "") {
				t.Errorf("%s is answered %d %v, want %d", name, got.status, got.header, test.status)
			}
		}
		for _, conn := range open {
			if _, err := io.WriteString(conn, large[len(large)-1:]); err != nil {
				t.Fatal(err)
			}
			if got := readAnswer(t, conn); got.status != 200 {
				t.Errorf("one that was open is answered %d", got.status)
			}
		}
		if got := send(t, dial, by(tenant(0), request(large))); got.status != 200 {
			t.Errorf("afterwards it is answered %d", got.status)
		}
		if n := b.edge.Held(); n != 0 {
			t.Errorf("%d bytes are held by nobody", n)
		}
	})
}
