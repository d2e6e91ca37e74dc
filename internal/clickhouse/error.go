package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// Error is a failure of ClickHouse or of the way to it, without any text that
// could quote a row, a query or a password.
type Error struct {
	Class Class
	Code  int32  // ClickHouse's exception code; 0 where it never answered
	Name  string // of the code, or what broke on the way
	cause error  // only what is safe to print
}

func (e *Error) Error() string {
	if e.Code != 0 {
		return fmt.Sprintf("clickhouse: code %d (%s)", e.Code, e.Name)
	}
	return "clickhouse: " + e.Name
}

// Unwrap gives the cause where it is one of context's or the network's errors.
func (e *Error) Unwrap() error { return e.cause }

// Redact turns any error of the driver into an *[Error]; nil stays nil.
func Redact(err error) error {
	if err == nil {
		return nil
	}
	if own := (*Error)(nil); errors.As(err, &own) {
		return own
	}
	if ex := (*ch.Exception)(nil); errors.As(err, &ex) {
		return known(ex.Code)
	}
	return broken(err)
}

func known(number int32) *Error {
	c, ok := codes()[number]
	if !ok {
		c = code{"not in our table", Misconfigured}
	}
	return &Error{Class: c.class, Code: number, Name: c.name}
}

// broken classifies a failure without an exception of the server's. The
// driver's own texts may hold the body of an answer or a value, so only those of
// the network are kept: an address and a system call.
func broken(err error) *Error {
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF, io.EOF,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, known) {
			return &Error{Class: Unavailable, Name: known.Error(), cause: known}
		}
	}
	if errors.Is(err, ch.ErrAcquireConnTimeout) {
		// The driver's text advises more connections or a longer wait, when those
		// that there are wait for a server that hangs.
		return &Error{Class: Unavailable, Name: "no connection is free, earlier statements are not answered", cause: ch.ErrAcquireConnTimeout}
	}
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		return &Error{Class: Unavailable, Name: dns.Error(), cause: dns}
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return &Error{Class: Unavailable, Name: op.Error(), cause: op}
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return &Error{Class: Unavailable, Name: "timeout"}
	}
	if status := (*ch.HTTPError)(nil); errors.As(err, &status) {
		name := fmt.Sprintf("HTTP status %d", status.StatusCode)
		if status.StatusCode >= 500 || status.StatusCode == 429 {
			return &Error{Class: Unavailable, Name: name} // a proxy before the server, or the server on its way up
		}
		return &Error{Class: Misconfigured, Name: name}
	}
	return &Error{Class: Misconfigured, Name: fmt.Sprintf("an error of the driver (%T)", err)}
}

// ClassOf is the class of err, which need not have been redacted.
func ClassOf(err error) Class {
	own := (*Error)(nil)
	if errors.As(Redact(err), &own) {
		return own.Class
	}
	return ""
}
