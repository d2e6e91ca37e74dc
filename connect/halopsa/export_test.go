package halopsa

import (
	"context"
	"net"
)

// DialWith makes the client connect by dial instead of by a socket, past the
// guard: for tests in which time is not real and neither may a network be.
func (c *Client) DialWith(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.http.Transport.(*transport).plain.DialContext = dial
}

// FailureOf exposes what is read of an error's body, for fuzzing.
func FailureOf(body []byte) (scopes []string, page bool) {
	f := readFailure(body)
	return f.scopes, f.page
}

// Rows exposes how lists are read, for fuzzing.
func Rows(body []byte, member string) (n, total int, ok bool) {
	rows, total, ok := readRows(body, member)
	for _, row := range rows {
		readAgent(row)
		readWebhook(row)
		readNotification(row)
	}
	return len(rows), total, ok
}
