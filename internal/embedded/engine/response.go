package engine

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// response writes the answer of one request. Until the first byte is out an
// error is a status; afterwards it is a frame in the body, as ClickHouse does.
type response struct {
	w       http.ResponseWriter
	q       *request
	tag     string // of this response's exception frame
	out     io.Writer
	gz      *gzip.Writer
	started bool
}

func newResponse(w http.ResponseWriter, q *request) *response {
	return &response{w: w, q: q, tag: randomHex(8)}
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (a *response) head(format string, sum *summary) {
	h := a.w.Header()
	h.Set("Content-Type", contentType(format))
	h.Set("X-ClickHouse-Format", format)
	h.Set("X-ClickHouse-Timezone", "UTC")
	h.Set("X-ClickHouse-Query-Id", a.q.queryID)
	h.Set("X-ClickHouse-Exception-Tag", a.tag)
	if sum != nil {
		line, _ := json.Marshal(map[string]string{
			"read_rows": strconv.FormatUint(sum.readRows, 10), "read_bytes": strconv.FormatUint(sum.readBytes, 10),
			"written_rows": strconv.FormatUint(sum.writtenRows, 10), "written_bytes": strconv.FormatUint(sum.writtenBytes, 10),
		})
		h.Set("X-ClickHouse-Summary", string(line))
	}
}

// Write sends output in the encoding that the client asked for. An empty
// answer stays empty in every encoding: the driver reads Content-Length 0 as
// "no rows".
func (a *response) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !a.started {
		a.started = true
		a.out = a.w
		if a.q.gzip {
			a.w.Header().Set("Content-Encoding", "gzip")
			a.gz, _ = gzip.NewWriterLevel(a.w, gzip.BestSpeed)
			a.out = a.gz
		}
		if a.q.compress {
			method := compress.LZ4
			if a.q.zstd {
				method = compress.ZSTD
			}
			a.out = &blockWriter{a.out, compress.NewWriter(0, method)}
		}
	}
	return a.out.Write(p)
}

// close ends a good answer.
func (a *response) close() error {
	if a.gz == nil {
		return nil
	}
	return a.gz.Close()
}

// fail ends the answer with err.
func (a *response) fail(err error) {
	code := codeOf(err)
	text := err.Error()
	if code == 0 {
		code, text = codeUnknownException, "Code: 1002. DB::Exception: "+text
	}
	if !a.started {
		h := a.w.Header()
		h.Del("X-ClickHouse-Summary")
		h.Set("Content-Type", "text/plain; charset=UTF-8")
		h.Set("X-ClickHouse-Exception-Code", strconv.Itoa(code))
		a.w.WriteHeader(httpStatus(code))
		_, _ = io.WriteString(a.w, text+"\n")
		return
	}
	// The frame is never compressed as a block: that is how the driver tells it
	// from data. The connection is then cut, so that a client which does not
	// know the frame sees a broken answer and not a short one.
	var out io.Writer = a.w
	if a.gz != nil {
		out = a.gz
	}
	fmt.Fprintf(out, "\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n", a.tag, text, len(text)+1, a.tag)
	_ = a.close()
	_ = http.NewResponseController(a.w).Flush()
	panic(http.ErrAbortHandler)
}

// blockWriter cuts what is written into ClickHouse's compressed blocks.
type blockWriter struct {
	to  io.Writer
	enc *compress.Writer
}

// maxPlainBlock is ClickHouse's own size of a block before compression.
const maxPlainBlock = 1 << 20

func (b *blockWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxPlainBlock)
		if err := b.enc.Compress(rest[:n]); err != nil {
			return 0, err
		}
		if _, err := b.to.Write(b.enc.Data); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func contentType(format string) string {
	switch {
	case strings.HasPrefix(format, "TabSeparated"), strings.HasPrefix(format, "TSV"):
		return "text/tab-separated-values; charset=UTF-8"
	case strings.HasPrefix(format, "CSV"):
		return "text/csv; charset=UTF-8; header=" + map[bool]string{true: "present", false: "absent"}[strings.Contains(format, "WithNames")]
	case strings.Contains(format, "EachRow"):
		return "application/x-ndjson; charset=UTF-8"
	case strings.HasPrefix(format, "JSON"):
		return "application/json; charset=UTF-8"
	case format == "Native", strings.HasPrefix(format, "RowBinary"), format == "Parquet", strings.HasPrefix(format, "Arrow"):
		return "application/octet-stream"
	}
	return "text/plain; charset=UTF-8"
}

// streamable says whether the output of a format is the sum of the outputs of
// its blocks. The others have a head, a foot or a count, and the library would
// write them once a block: these are made whole, within the memory cap.
func streamable(format string) bool {
	switch strings.ToLower(format) {
	case "native", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "raw", "csv", "jsoneachrow", "jsonlines", "ndjson",
		"jsoncompacteachrow", "jsonstringseachrow", "jsoncompactstringseachrow", "rowbinary", "lineasstring":
		return true
	}
	return false
}

// handshakeQuery is what clickhouse-go sends first on every connection.
const handshakeQuery = "SELECT displayName(), version(), revision(), timezone()"

// handshake is the answer to handshakeQuery: a Native block in the revision that
// the client asked for, as a server sends it, but whose revision() says 0.
// The library writes Native of revision 0 whatever it is asked for, and a client
// that was told 0 expects just that from then on.
func handshake(revision int, version string) []byte {
	var name, ver, tz proto.ColStr
	name.Append("halo-connector embedded engine")
	ver.Append(version)
	tz.Append("UTC")
	columns := []proto.InputColumn{
		{Name: "displayName()", Data: name},
		{Name: "version()", Data: ver},
		{Name: "revision()", Data: proto.ColUInt32{0}},
		{Name: "timezone()", Data: tz},
	}
	var buf proto.Buffer
	block := proto.Block{Info: proto.BlockInfo{BucketNum: -1}, Columns: len(columns), Rows: 1}
	if err := block.EncodeBlock(&buf, revision, columns); err != nil {
		return nil // four columns of one row always encode
	}
	return bytes.Clone(buf.Buf)
}
