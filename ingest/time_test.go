package ingest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/schemas"
)

// closed waits until the edge ends the connection, and returns what it said
// before.
func closed(conn net.Conn) (said string) {
	b, _ := io.ReadAll(conn)
	return string(b)
}

func TestAHeaderThatIsNotCompleteInTenSecondsEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, _ := newBench(t, ingest.Config{}).serve(t)
		conn, start := dial(), time.Now()
		if _, err := io.WriteString(conn, "POST /v1/webhooks/halo/x HTTP/1.1\r\nHost: e"); err != nil {
			t.Fatal(err)
		}
		_ = closed(conn)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestABodyThatTakesThirtySecondsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ingest.Config{})
		dial, _ := b.serve(t)
		conn, start := dial(), time.Now()
		if _, err := io.WriteString(conn, head(authorization(demoSecret), "Content-Length: 100")+"{"); err != nil {
			t.Fatal(err)
		}
		if got := readAnswer(t, conn); got.status != 408 || errorCode(t, got.body) != "timeout" {
			t.Errorf("answered %d %s", got.status, got.body)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("it took %v", took)
		}
		if b.count(t, "malformed") != 1 {
			t.Error("it is not counted")
		}
	})
}

func TestTheArrivalIsTakenBeforeTheBodyIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ingest.Config{})
		dial, _ := b.serve(t)
		conn, start := dial(), time.Now()
		if _, err := io.WriteString(conn, head(authorization(demoSecret), "Content-Length: "+strconv.Itoa(len(changed)))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second) // the bubble's
		if _, err := io.WriteString(conn, changed); err != nil {
			t.Fatal(err)
		}
		if got := readAnswer(t, conn); got.status != 200 {
			t.Fatalf("answered %d %s", got.status, got.body)
		}
		if got := b.log.kept()[0].ReceivedAt; !got.Equal(schemas.Truncate(start)) {
			t.Errorf("arrived at %v, want %v", got, start)
		}
	})
}

func TestALogThatHangsIsAnswered503WithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			secret  schemas.Secret
			catchUp func(context.Context) error
			took    time.Duration
		}{
			"the acknowledgement is missing": {demoSecret, nil, 1500 * time.Millisecond},
			"the table hangs":                {"new", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 400 * time.Millisecond},
			"both are slow":                  {"new", func(context.Context) error { time.Sleep(300 * time.Millisecond); return nil }, 1500 * time.Millisecond},
		} {
			b := newBench(t, ingest.Config{})
			b.log.append = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
			b.table.catchUp = c.catchUp
			renewed := demoConnection()
			renewed.Verifiers = []schemas.Verifier{schemas.NewVerifier(renewed.ID, c.secret)}
			b.table.later = &renewed
			dial, _ := b.serve(t)
			r, start := request(changed), time.Now()
			r.SetBasicAuth(string(demoConnection().ID), c.secret.Reveal())
			if got := send(t, dial, r); got.status != 503 {
				t.Errorf("%s: answered %d", name, got.status)
			}
			if took := time.Since(start); took != c.took {
				t.Errorf("%s: it took %v, want %v", name, took, c.took)
			}
		}
	})
}

func TestADrainFinishesWhatWasAcceptedAndTakesNothingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ingest.Config{})
		acknowledge := make(chan struct{})
		b.log.append = func(context.Context) error { <-acknowledge; return nil }
		dial, stop := b.serve(t)

		kept, open := dial(), dial()
		genuine := head(authorization(demoSecret), "Content-Length: "+strconv.Itoa(len(changed)))
		for conn, text := range map[net.Conn]string{kept: genuine + changed, open: "POST /v1/webhooks/halo/"} {
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := b.edge.Ready(); err != nil {
			t.Errorf("not ready while serving: %v", err)
		}

		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		synctest.Wait()
		if err := b.edge.Ready(); !errors.Is(err, ingest.ErrNotServing) {
			t.Errorf("ready while draining: %v", err)
		}
		// Whoever still has a connection, and the rest of a request of which the
		// edge had seen a part.
		if got := send(t, dial, request(changed)); got.status != 503 || errorCode(t, got.body) != "shutting_down" {
			t.Errorf("on another connection one is answered %d %s", got.status, got.body)
		}
		if _, err := io.WriteString(open, genuine[len("POST /v1/webhooks/halo/"):]); err != nil {
			t.Fatal(err)
		}
		if got := readAnswer(t, open); got.status != 503 || errorCode(t, got.body) != "shutting_down" || got.header.Get("Retry-After") == "" {
			t.Errorf("a new request is answered %d %s", got.status, got.body)
		}

		close(acknowledge)
		if got := readAnswer(t, kept); got.status != 200 {
			t.Errorf("the accepted one is answered %d %s", got.status, got.body)
		}
		if err := <-stopped; err != nil {
			t.Errorf("Run: %v", err)
		}
		if len(b.log.kept()) != 1 {
			t.Error("what was answered 200 is not kept")
		}
	})
}

func TestADrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, ingest.Config{Drain: 3 * time.Second})
		dial, stop := b.serve(t)
		conn := dial()
		if _, err := io.WriteString(conn, head(authorization(demoSecret), "Content-Length: 100")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = closed(conn) // whoever was cut off knows it
		if took := time.Since(start); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
