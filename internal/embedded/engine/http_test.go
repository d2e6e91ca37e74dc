package engine

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// ask sends one request as curl would and returns status, header and body.
func ask(t *testing.T, e *Engine, method, query, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+e.Addr()+"/"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil && !strings.Contains(string(got), "__exception__") {
		t.Fatalf("%s %s: %v after %q", method, query, err, got)
	}
	return res, string(got)
}

func in(sql string) string { return "?query=" + url.QueryEscape(sql) }

func TestTheHTTPInterface(t *testing.T) {
	e := start(t, t.TempDir())
	const post, get = http.MethodPost, http.MethodGet
	if _, got := ask(t, e, post, "", "CREATE TABLE t (a UInt32, s String) ENGINE = MergeTree ORDER BY a"); got != "" {
		t.Fatal(got)
	}
	for _, tt := range []struct {
		name, method, query, body string
		header                    []string
		status                    int
		want                      string // the body, or with ... its beginning
		code                      string
	}{
		{"a greeting", get, "", "", nil, 200, "Ok.\n", ""},
		{"ping", get, "ping", "", nil, 200, "Ok.\n", ""},
		{"no such page", get, "nosuch", "", nil, 404, "...", ""},
		{"tab separated by default", post, "", "SELECT 1, 'a\tb'", nil, 200, "1\ta\\tb\n", ""},
		{"a format clause", post, "", "SELECT 1 AS x FORMAT JSONEachRow", nil, 200, "{\"x\":1}\n", ""},
		{"a format with head and foot over several blocks", post, "", "SELECT number FROM numbers(4) SETTINGS max_block_size = 2 FORMAT CSVWithNames", nil, 200, "\"number\"\n0\n1\n2\n3\n", ""},
		{"a default format", post, "?default_format=CSV", "SELECT 'x'", nil, 200, "\"x\"\n", ""},
		{"a default format by header", post, "", "SELECT 'x'", []string{"X-ClickHouse-Format", "CSV"}, 200, "\"x\"\n", ""},
		{"a query in the URL", get, in("SELECT 2"), "", nil, 200, "2\n", ""},
		{"a query in both", post, in("SELECT"), "3", nil, 200, "3\n", ""},
		{"parameters", get, in("SELECT {p:String}, {n:Int8}") + "&param_p=a%5Ctb&param_n=4", "", nil, 200, "a\\tb\t4\n", ""},
		{"a show", post, "", "SHOW TABLES LIKE 't'", nil, 200, "t\n", ""},
		{"an insert of values", post, "", "INSERT INTO t VALUES (1, 'one'), (1 + 1, 'two;');", nil, 200, "", ""},
		{"an insert of values in both", post, in("INSERT INTO t VALUES"), "(3, 'three')", nil, 200, "", ""},
		{"an insert with its data inline", post, "", "INSERT INTO t FORMAT CSV\n4,\"four\"\n", nil, 200, "", ""},
		{"an insert with its data in the body", post, in("INSERT INTO t (s, a) FORMAT TSV"), "five\t5\n", nil, 200, "", ""},
		{"an insert of a select", post, "", "INSERT INTO t SELECT number + 6, 'more' FROM numbers(2)", nil, 200, "", ""},
		{"all of them", post, "", "SELECT groupArray(a) FROM (SELECT a FROM t ORDER BY a)", nil, 200, "[1,2,3,4,5,6,7]\n", ""},
		{"inserts are synced", post, "", "SELECT name FROM system.merge_tree_settings WHERE startsWith(name, 'fsync_') AND value = '1' ORDER BY name", nil, 200, "fsync_after_insert\nfsync_part_directory\n", ""},
		{"a GET changes nothing", get, in("DROP TABLE t"), "", nil, 403, "Code: 164...", "164"},
		{"nor behind a WITH", get, in("WITH 1 AS x INSERT INTO t SELECT x, ''"), "", nil, 403, "Code: 164...", "164"},
		{"one statement at a time", post, "", "SELECT 1; DROP TABLE t", nil, 400, "Code: 62...", "62"},
		{"no files are written", post, "", "SELECT 1 INTO OUTFILE '/tmp/never'", nil, 500, "Code: 482...", "482"},
		{"an unknown table", post, "", "SELECT * FROM nosuch", nil, 404, "Code: 60. DB::Exception: ...", "60"},
		{"an unknown database", post, "?database=nosuch", "SELECT 1", nil, 404, "Code: 81...", "81"},
		{"an unknown database by header", post, "", "SELECT 1", []string{"X-ClickHouse-Database", "nosuch"}, 404, "Code: 81...", "81"},
		{"an unknown setting", post, "?nosuch=1", "SELECT 1", nil, 404, "Code: 115...", "115"},
		{"a setting that is SQL", post, "?" + url.QueryEscape("a=1,b") + "=1", "SELECT 1", nil, 404, "Code: 115...", "115"},
		{"bad data", post, in("INSERT INTO t FORMAT CSV"), "x,y\n", nil, 400, "Code: 27...", "27"},
		{"a body that is no gzip", post, "", "SELECT 1", []string{"Content-Encoding", "gzip"}, 400, "Code: 36...", "36"},
		{"a body in an unknown encoding", post, "", "SELECT 1", []string{"Content-Encoding", "br"}, 501, "Code: 48...", "48"},
		{"a session of one request", post, "?session_id=x&session_timeout=60&session_check=0", "SELECT 1", nil, 200, "1\n", ""},
		{"a setting for the rest of a session", post, "?session_id=x", "SET max_threads = 1", nil, 501, "Code: 48...", "48"},
		{"a table for the rest of a session", post, "?session_id=x", "CREATE TEMPORARY TABLE mine (a UInt8)", nil, 501, "Code: 48...", "48"},
		{"another method", http.MethodDelete, "", "", nil, 405, "...", ""},
		{"a page of another site", post, "", "SELECT 1", []string{"Origin", "https://example.com"}, 403, "...", ""},
		{"a fetch of another site", get, in("SELECT 1"), "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "...", ""},
		{"a name rebound to loopback", get, in("SELECT 1"), "", []string{"Host", "example.com"}, 403, "...", ""},
		{"by the name localhost", get, in("SELECT 1"), "", []string{"Host", "localhost:8123"}, 200, "1\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, got := ask(t, e, tt.method, tt.query, tt.body, tt.header...)
			if res.StatusCode != tt.status || res.Header.Get("X-ClickHouse-Exception-Code") != tt.code {
				t.Errorf("status %d, code %q; want %d, %q: %s", res.StatusCode, res.Header.Get("X-ClickHouse-Exception-Code"), tt.status, tt.code, got)
			}
			if begin, open := strings.CutSuffix(tt.want, "..."); got != begin && (!open || !strings.HasPrefix(got, begin)) {
				t.Errorf("answer %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAnswersSayWhatTheyAre(t *testing.T) {
	e := start(t, t.TempDir())
	res, _ := ask(t, e, http.MethodPost, "?query_id=mine", "SELECT 1 FORMAT JSON")
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=UTF-8", "X-ClickHouse-Format": "JSON",
		"X-ClickHouse-Query-Id": "mine", "X-ClickHouse-Timezone": "UTC",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := res.Header.Get("X-ClickHouse-Summary"); !strings.Contains(got, `"read_rows":"1"`) {
		t.Errorf("summary %q", got)
	}

	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write([]byte("SELECT repeat('x', 100000)"))
	_ = zip.Close()
	res, got := ask(t, e, http.MethodPost, "", zipped.String(), "Content-Encoding", "gzip", "Accept-Encoding", "gzip")
	if res.Header.Get("Content-Encoding") != "gzip" || len(got) > 1000 {
		t.Fatalf("not gzip: %v, %d bytes", res.Header, len(got))
	}
	unzip, err := gzip.NewReader(strings.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(unzip); err != nil || len(plain) != 100001 {
		t.Errorf("%d bytes (%v)", len(plain), err)
	}
}

func TestAResultThatBreaksOffSaysSo(t *testing.T) {
	e := start(t, t.TempDir())
	res, got := ask(t, e, http.MethodPost, "", "SELECT throwIf(number = 300000) FROM numbers(1000000) SETTINGS max_block_size = 10000")
	tag := res.Header.Get("X-ClickHouse-Exception-Tag")
	if res.StatusCode != 200 || len(tag) != 16 {
		t.Fatalf("status %d, tag %q", res.StatusCode, tag)
	}
	if !strings.Contains(got, "\r\n__exception__\r\n"+tag+"\r\nCode: 395. ") || !strings.HasSuffix(got, " "+tag+"\r\n__exception__\r\n") {
		t.Errorf("the answer ends with %q", got[max(0, len(got)-300):])
	}
}

func TestAnInsertWhoseBodyBreaksOffLeavesNoRow(t *testing.T) {
	e := start(t, t.TempDir())
	ask(t, e, http.MethodPost, "", "CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
	conn, err := net.Dial("tcp", e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /"+in("INSERT INTO t FORMAT CSV")+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n1\n2\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") {
		t.Errorf("answer %q (%v)", answer, err)
	}
	if _, got := ask(t, e, http.MethodPost, "", "SELECT count() FROM t"); got != "0\n" {
		t.Errorf("%s rows, want 0", got)
	}
}
