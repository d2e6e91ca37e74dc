package engine

import (
	"bufio"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/klauspost/compress/zstd"
)

// request is one HTTP request of ClickHouse's interface, decoded.
type request struct {
	query    string // of the query parameter; the rest of the text is in body
	body     *bufio.Reader
	database string
	format   string // default output format
	params   map[string]string
	settings []setting
	revision int // of the client's protocol, 0 for none
	queryID  string

	compress bool // output as ClickHouse's compressed blocks
	zstd     bool // ... by ZSTD and not LZ4
	gzip     bool // output as gzip
	readOnly bool
	session  bool // the client believes to be in one
}

// These belong to the interface and are no settings of the engine. Users and
// passwords are taken and ignored: the engine has neither, which is why it
// listens on loopback only.
var ignoredParams = map[string]bool{
	"user": true, "password": true, "quota_key": true, "role": true, "stacktrace": true,
	"buffer_size": true, "wait_end_of_query": true, "send_progress_in_http_headers": true,
	"http_headers_progress_interval_ms": true, "session_timeout": true, "session_check": true,
}

// maxText bounds a statement that is not streamed: 64 MiB, far over any query
// and over INSERT ... VALUES that somebody types.
const maxText = 64 << 20

// errRequest marks what the caller did wrong with the interface itself.
func errRequest(code int, format string, args ...any) error {
	return &exception{code, fmt.Sprintf("Code: %d. DB::Exception: %s", code, fmt.Sprintf(format, args...))}
}

func decodeRequest(r *http.Request) (*request, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errRequest(codeBadArguments, "the query string of the URL cannot be parsed")
	}
	q := &request{
		database: r.Header.Get("X-ClickHouse-Database"),
		format:   r.Header.Get("X-ClickHouse-Format"),
		params:   map[string]string{},
		readOnly: r.Method == http.MethodGet || r.Method == http.MethodHead,
		gzip:     strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"),
	}
	decompress := false
	for name, list := range values {
		value := list[len(list)-1]
		switch {
		case ignoredParams[name]:
		case name == "query":
			q.query = value
		case name == "database":
			q.database = value
		case name == "default_format":
			q.format = value
		case name == "query_id":
			q.queryID = value
		case name == "compress":
			q.compress = truth(value)
		case name == "decompress":
			decompress = truth(value)
		case name == "client_protocol_version":
			q.revision, _ = strconv.Atoi(value)
		case strings.HasPrefix(name, "param_"):
			q.params[name[len("param_"):]] = value
		case name == "session_id":
			q.session = value != ""
		case !isSettingName(name):
			return nil, errRequest(codeUnknownSetting, "Unknown setting %q", name)
		default:
			q.settings = append(q.settings, setting{name, value})
			switch name {
			case "network_compression_method":
				q.zstd = strings.EqualFold(value, "ZSTD")
			case "enable_http_compression":
				q.gzip = q.gzip && truth(value)
			}
		}
	}
	if q.database == "" {
		q.database = "default"
	}
	if q.format == "" {
		q.format = "TabSeparated"
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		return nil, errRequest(codeNotImplemented, "the embedded engine takes no external tables")
	}
	body, err := decodeBody(r.Header.Get("Content-Encoding"), r.Body)
	if err != nil {
		return nil, err
	}
	if decompress {
		body = blockReader{compress.NewReader(body)}
	}
	q.body = bufio.NewReaderSize(body, 64<<10)
	return q, nil
}

func decodeBody(encoding string, body io.Reader) (io.Reader, error) {
	var err error
	switch encoding {
	case "", "identity":
	case "gzip":
		body, err = gzip.NewReader(body)
	case "deflate":
		body, err = zlib.NewReader(body)
	case "zstd":
		body, err = zstd.NewReader(body, zstd.WithDecoderConcurrency(1))
	default:
		return nil, errRequest(codeNotImplemented, "Content-Encoding %q is not supported", encoding)
	}
	if err != nil {
		return nil, errRequest(codeBadArguments, "the body is no %s", encoding)
	}
	return body, nil
}

// blockReader makes the plain io.EOF of the one that ch-go's reader wraps:
// io.Copy and bufio compare it by identity.
type blockReader struct{ io.Reader }

func (b blockReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && errors.Is(err, io.EOF) {
		err = io.EOF
	}
	return n, err
}

func truth(v string) bool { return v == "1" || strings.EqualFold(v, "true") }

func isSettingName(s string) bool {
	for i := range len(s) {
		if !isWord(s[i]) || s[i] >= 0x80 {
			return false
		}
	}
	return s != ""
}

// text reads the statement as far as it must be known: an INSERT with data is
// left with its data unread, all else is read whole. sh is the shape of sql.
func (q *request) text() (sql string, sh shape, err error) {
	sql = q.query
	if strings.TrimSpace(sql) == "" {
		head, err := q.body.Peek(q.body.Size())
		if err != nil && err != io.EOF {
			return "", shape{}, errBody(err)
		}
		if sh = parseShape(string(head)); sh.insertEnd > 0 {
			sql = string(head[:sh.data])
			_, err = q.body.Discard(sh.data)
			return sql, sh, err
		}
		sql = ""
	} else if sh = parseShape(sql); sh.insertEnd > 0 {
		if rest := sql[sh.data:]; strings.TrimSpace(rest) != "" {
			q.body = bufio.NewReader(io.MultiReader(strings.NewReader(rest+"\n"), q.body))
		}
		return sql[:sh.data], sh, nil
	}
	rest, err := io.ReadAll(io.LimitReader(q.body, maxText+1))
	if err != nil {
		return "", shape{}, errBody(err)
	}
	if len(rest) > maxText {
		return "", shape{}, errRequest(codeSyntax, "the statement is longer than %d bytes", maxText)
	}
	if len(rest) > 0 && sql != "" {
		sql += "\n"
	}
	sql += string(rest)
	return sql, parseShape(sql), nil
}

// errBody names no bytes of the body.
func errBody(err error) error {
	var e *exception
	if errors.As(err, &e) {
		return err
	}
	return errRequest(codeCannotReadAll, "the body cannot be read: %v", err)
}
