package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// front is ClickHouse's HTTP interface over the pool of sessions.
type front struct {
	pool    *pool
	version string
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !fromHere(r) {
		http.Error(w, "the embedded engine answers programs of this machine only", http.StatusForbidden)
		return
	}
	w.Header().Set("X-ClickHouse-Server-Display-Name", "halo-connector embedded engine")
	switch r.URL.Path {
	case "/":
		f.query(w, r)
	case "/ping", "/replicas_status":
		_, _ = io.WriteString(w, "Ok.\n")
	default:
		http.NotFound(w, r)
	}
}

// fromHere keeps web pages out. Whoever can send SQL can read this machine's
// files, and a browser lets any page post to 127.0.0.1: such a request carries
// a foreign Origin, or (DNS rebinding) a Host that is not loopback.
func fromHere(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return false
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}

// bodyTimeout is how long a client may pause while it sends a body: it holds a
// session all that time.
const bodyTimeout = 30 * time.Second

func (f *front) query(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		http.Error(w, "use GET or POST", http.StatusMethodNotAllowed)
		return
	}
	ctl := http.NewResponseController(w)
	r.Body = pacedBody{r.Body, ctl}
	q, err := decodeRequest(r)
	if err != nil {
		newResponse(w, &request{}).fail(err)
		return
	}
	if q.queryID == "" {
		q.queryID = randomHex(16)
	}
	a := newResponse(w, q)
	if err := f.run(r.Context(), q, a); err != nil {
		a.fail(err)
		return
	}
	_ = a.close()
}

func (f *front) run(ctx context.Context, q *request, a *response) error {
	sql, sh, err := q.text()
	switch {
	case err != nil:
		return err
	case sh.verb == "":
		_, err := io.WriteString(a.w, "Ok.\n") // as a server greets a browser
		return err
	case sh.several:
		return errRequest(codeSyntax, "Syntax error (Multi-statements are not allowed)")
	case sh.toFile:
		return errRequest(codeFileNotAllowed, "INTO OUTFILE and FROM INFILE are not allowed")
	case q.readOnly && !sh.readOnly:
		return errRequest(codeReadOnly, "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries.")
	}
	if q.session && sh.stateful {
		// Clients such as clickhouse-connect name a session with each request and
		// hardly ever use it. Each request is one of its own; what would have to
		// outlive it is refused.
		return errRequest(codeNotImplemented, "the embedded engine's sessions end with the request: send settings with the query, and no temporary tables")
	}
	l, err := f.pool.acquire(ctx, "halo-"+randomHex(8), q.database, q.settings)
	if err != nil {
		return err
	}
	defer l.release()
	l.spoilt = sh.stateful
	st := statement{sql: sql, format: q.format, params: q.params}
	format := q.format
	if sh.format != "" {
		format = sh.format
	}
	switch {
	case q.revision > 0 && strings.TrimSpace(sql) == handshakeQuery:
		a.head("Native", nil)
		_, err = a.Write(handshake(q.revision, f.version))
	case sh.insertEnd > 0:
		err = f.insert(l, q, a, statement{sql: sql[:sh.insertEnd], format: sh.format, params: q.params})
	case sh.selects && streamable(format):
		err = f.stream(l, a, st, format)
	default:
		err = f.whole(l, a, st, format)
	}
	if err != nil && ctx.Err() != nil && codeOf(err) == 0 {
		return errRequest(codeQueryCancelled, "Query was cancelled. (QUERY_WAS_CANCELLED)")
	}
	return err
}

// whole runs a statement and sends its output when all of it is there.
func (f *front) whole(l *lease, a *response, st statement, format string) error {
	r, err := l.run(st)
	if err != nil {
		return err
	}
	defer r.free()
	sum := r.summary()
	a.head(format, &sum)
	_, err = a.Write(r.bytes())
	return err
}

// stream sends a SELECT block by block, so that a scan of millions of rows
// costs the child one block of memory. The first block is fetched before the
// head is sent: most errors come with it, and then they are still a status.
func (f *front) stream(l *lease, a *response, st statement, format string) (err error) {
	rows, err := l.stream(st)
	if err != nil {
		return err
	}
	finished := false
	defer func() { rows.close(finished) }()
	for first := true; ; first = false {
		block, err := rows.next()
		if err != nil {
			finished = true // the library ends a stream that failed
			return err
		}
		if first {
			a.head(format, nil)
		}
		data := block.bytes()
		_, err = a.Write(data)
		n := len(data)
		block.free()
		if err != nil {
			return err
		}
		if n == 0 {
			finished = true
			return nil
		}
	}
}

// insert feeds the body to an INSERT. Nothing is committed unless the whole
// body arrived: a client that dies half-way leaves no row of the last block.
func (f *front) insert(l *lease, q *request, a *response, st statement) error {
	in, err := l.insert(st)
	if err != nil {
		return err
	}
	defer in.free()
	if _, err := io.CopyBuffer(in, onlyReader{q.body}, make([]byte, 256<<10)); err != nil {
		in.cancel()
		if codeOf(err) == 0 && !errors.Is(err, errInsertBroken) {
			err = errBody(err)
		}
		return err
	}
	sum, err := in.done()
	if err != nil {
		return err
	}
	a.head(st.format, &sum)
	return nil
}

// onlyReader hides WriteTo, which would copy in pieces of bufio's buffer.
type onlyReader struct{ io.Reader }

// pacedBody gives every read of the body its own deadline.
type pacedBody struct {
	io.ReadCloser
	ctl *http.ResponseController
}

func (b pacedBody) Read(p []byte) (int, error) {
	_ = b.ctl.SetReadDeadline(time.Now().Add(bodyTimeout))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.ctl.SetReadDeadline(time.Time{})
	}
	return n, err
}
