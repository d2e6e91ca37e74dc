package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/worksights/halo-connector/internal/clickhouse"
	"github.com/worksights/halo-connector/internal/clickhousetest"
)

func TestTheNamesOfTheCodesAreThoseOfTheEngine(t *testing.T) {
	conn := open(t, clickhousetest.DSN(t))
	known := 0
	for code := range int32(1100) {
		err := clickhouse.Redact(&ch.Exception{Code: code})
		own := (*clickhouse.Error)(nil)
		if !errors.As(err, &own) {
			t.Fatalf("Redact gave a %T", err)
		}
		if own.Name == "not in our table" {
			continue
		}
		known++
		if want := one[string](t, conn, fmt.Sprintf("SELECT errorCodeToName(%d)", code)); own.Name != want {
			t.Errorf("code %d is called %s here and %q by the engine", code, own.Name, want)
		}
	}
	if known < 50 {
		t.Errorf("only %d codes are known: this proves little", known)
	}
}

func TestAnErrorNamesItsCodeAndQuotesNothing(t *testing.T) {
	conn := open(t, clickhousetest.DSN(t))
	err := conn.Exec(t.Context(), "SELECT toUInt8('private words')")
	if err == nil || !strings.Contains(err.Error(), "private words") {
		t.Fatalf("the engine's own error is %v, without the value: this proves nothing", err)
	}
	err = clickhouse.Redact(err)
	if got, want := fmt.Sprintf("%v %+v", err, err), "private"; strings.Contains(got, want) {
		t.Errorf("the error quotes the value: %s", got)
	}
	if clickhouse.ClassOf(err) != clickhouse.BadRow {
		t.Errorf("%v is of class %s", err, clickhouse.ClassOf(err))
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if strings.Contains(cause.Error(), "private") {
			t.Errorf("a cause quotes the value: %v", cause)
		}
	}
}

func TestErrorsAreSortedByWhoCanHelp(t *testing.T) {
	proxy := func(status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "private words of a proxy", status)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := closed.Addr().String()
	_ = closed.Close()
	dsn := clickhousetest.DSN(t)

	for _, c := range []struct {
		name, dsn, query string
		want             clickhouse.Class
	}{
		{"nobody listens, HTTP", "http://" + gone, "SELECT 1", clickhouse.Unavailable},
		{"nobody listens, native", "clickhouse://" + gone, "SELECT 1", clickhouse.Unavailable},
		{"a proxy without its server", proxy(502), "SELECT 1", clickhouse.Unavailable},
		{"a proxy that wants a login", proxy(403), "SELECT 1", clickhouse.Misconfigured},
		{"no such table", dsn, "SELECT * FROM nowhere", clickhouse.Misconfigured},
		{"not SQL", dsn, "SELEKT", clickhouse.Misconfigured},
		{"a code that is in no table", dsn, "SELECT throwIf(1)", clickhouse.Misconfigured},
		{"too slow", dsn, "SELECT sleep(3) SETTINGS max_execution_time = 1", clickhouse.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := open(t, c.dsn).Exec(t.Context(), c.query)
			if err == nil {
				t.Fatal("no error: this proves nothing")
			}
			if got := clickhouse.ClassOf(err); got != c.want {
				t.Errorf("class %s, want %s (%v)", got, c.want, err)
			}
			if strings.Contains(clickhouse.Redact(err).Error(), "private") {
				t.Errorf("the error quotes the answer: %v", clickhouse.Redact(err))
			}
		})
	}
	if clickhouse.Redact(nil) != nil || clickhouse.ClassOf(nil) != "" {
		t.Error("no error became one")
	}
	canceled := clickhouse.Redact(fmt.Errorf("private: %w", context.Canceled))
	if !errors.Is(canceled, context.Canceled) || strings.Contains(canceled.Error(), "private") {
		t.Errorf("a cancelled call = %v", canceled)
	}
}

// The first byte of a connection that is encrypted is a handshake's.
func TestADSNOfHTTPSIsEncryptedWithoutAnotherWord(t *testing.T) {
	for _, query := range []string{"", "?skip_verify=true", "?secure=true"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		first := make(chan byte, 1)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			b := make([]byte, 1)
			_, _ = conn.Read(b)
			first <- b[0]
		}()
		conn, err := clickhouse.Open("https://user:secret@" + ln.Addr().String() + "/worksights" + query)
		if err != nil {
			t.Fatalf("%q: %v", query, err)
		}
		_ = conn.Ping(t.Context()) // nobody answers
		if b := <-first; b != 0x16 {
			t.Errorf("%q: the first byte is %#x: not TLS", query, b)
		}
		ln.Close()
		conn.Close()
	}
}

func TestADSNThatCannotBeUsedIsRefusedAndNotQuoted(t *testing.T) {
	for _, dsn := range []string{"", "::", "http://", "postgres://u:hunter2@h/d", "http://u:hunter2@h:8123/d?dial_timeout=soon", "http://u:hunter2@h:port/d"} {
		_, err := clickhouse.Open(dsn)
		if !errors.Is(err, clickhouse.ErrDSN) {
			t.Errorf("%q: %v, want %v", dsn, err, clickhouse.ErrDSN)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error quotes the password: %v", err)
		}
	}
}

func TestWaitReadyReturnsOnceTheServerAnswers(t *testing.T) {
	if err := clickhouse.WaitReady(t.Context(), open(t, clickhousetest.DSN(t)), silent); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := clickhouse.WaitReady(ctx, open(t, "http://127.0.0.1:1"), silent); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for nobody: %v", err)
	}
}

// The driver advises to raise limits; whoever reads it at night does.
func TestAServerThatHangsIsNotCalledALackOfConnections(t *testing.T) {
	err := clickhouse.Redact(fmt.Errorf("append: %w", ch.ErrAcquireConnTimeout))
	if clickhouse.ClassOf(err) != clickhouse.Unavailable || !strings.Contains(err.Error(), "not answered") || strings.Contains(err.Error(), "increase") {
		t.Errorf("%v is of class %s", err, clickhouse.ClassOf(err))
	}
}
