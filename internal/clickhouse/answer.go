package clickhouse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
)

// answers sees to it that a failure over HTTP is an error of the call.
//
// A server that has begun to answer cannot take back its 200. What goes wrong
// afterwards it says in a header that was held back, in a frame at the end of the
// body, or by breaking off the body. The driver looks for the frame where it
// reads rows and throws the body away where it expects none: a statement that
// failed would count as done.
type answers struct{ next http.RoundTripper }

// A statement without rows answers with next to nothing. What is longer is a
// result, and the driver reads it to its end.
const shortAnswer = 64 << 10

const exceptionCode = "X-ClickHouse-Exception-Code"

// said is how a server writes an exception into a body of 200: by itself, or as a
// frame behind what it had sent.
var said = regexp.MustCompile(`(?:\A|__exception__\r\n(?:\S+\r\n)?)Code: (\d+)\. DB::`)

// RoundTrip implements [http.RoundTripper].
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := a.next.RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusOK {
		return res, err
	}
	if code := res.Header.Get(exceptionCode); code != "" && code != "0" {
		_ = res.Body.Close()
		return nil, exception(code)
	}
	head, err := io.ReadAll(io.LimitReader(res.Body, shortAnswer))
	if err == nil && len(head) == shortAnswer {
		res.Body = rest{io.MultiReader(bytes.NewReader(head), res.Body), res.Body}
		return res, nil
	}
	_ = res.Body.Close()
	if m := said.FindSubmatch(head); m != nil {
		return nil, exception(string(m[1]))
	}
	if err != nil {
		return nil, fmt.Errorf("the answer breaks off: %w", err)
	}
	if code := res.Trailer.Get(exceptionCode); code != "" && code != "0" {
		return nil, exception(code)
	}
	res.Body = io.NopCloser(bytes.NewReader(head))
	return res, nil
}

func exception(code string) error {
	n, err := strconv.ParseInt(code, 10, 32)
	if err != nil {
		return &Error{Class: Misconfigured, Name: "an exception without a code"}
	}
	return known(int32(n))
}

// rest reads the head again before what follows it.
type rest struct {
	io.Reader
	io.Closer
}

var errProxy = errors.New("clickhouse: another transport than the driver's")

// transport is the driver's, with its answers looked at, and without the proxy
// that HTTP_PROXY names: it would be handed the password.
func transport(own *http.Transport, proxied bool) (http.RoundTripper, error) {
	if own == nil {
		return nil, errProxy
	}
	if !proxied {
		own.Proxy = nil
	}
	return answers{own}, nil
}
