package engine

import (
	"strings"
	"testing"
)

func TestTheShapeOfAStatementIsReadOffItsWords(t *testing.T) {
	for _, tt := range []struct {
		sql  string
		want shape
	}{
		{"", shape{}},
		{" -- only a comment", shape{}},
		{"SELECT 1", shape{verb: "SELECT", selects: true, readOnly: true}},
		{"/* a */ # b\nselect 1 -- c", shape{verb: "SELECT", selects: true, readOnly: true}},
		{"(SELECT 1)", shape{verb: "SELECT", selects: true, readOnly: true}},
		{"SELECT 1 FORMAT JSON", shape{verb: "SELECT", selects: true, readOnly: true, format: "JSON"}},
		{"SELECT 1 format CSV settings max_threads=1;", shape{verb: "SELECT", selects: true, readOnly: true, format: "CSV"}},
		{"SELECT ' FORMAT JSON', \"FORMAT\", `FORMAT` FROM t", shape{verb: "SELECT", selects: true, readOnly: true}},
		{"SELECT $x$ ; FORMAT JSON $x$", shape{verb: "SELECT", selects: true, readOnly: true}},
		{`SELECT 'it\'s; fine', 'it''s; too'`, shape{verb: "SELECT", selects: true, readOnly: true}},
		{"SELECT (SELECT 1 FORMAT JSON)", shape{verb: "SELECT", selects: true, readOnly: true}},
		{"SELECT 1; SELECT 2", shape{verb: "SELECT", selects: true, readOnly: true, several: true}},
		{"SELECT 1;", shape{verb: "SELECT", selects: true, readOnly: true}},
		{"SELECT 1; -- no more", shape{verb: "SELECT", selects: true, readOnly: true}},
		{"SELECT 1 INTO OUTFILE '/tmp/x'", shape{verb: "SELECT", selects: true, readOnly: true, toFile: true}},
		{"WITH 1 AS x SELECT x", shape{verb: "WITH", selects: true, readOnly: true}},
		{"WITH 1 AS x INSERT INTO t SELECT x", shape{verb: "WITH"}},
		{"WITH 1 AS insert SELECT insert", shape{verb: "WITH", selects: true, readOnly: true}},
		{"INSERT INTO t SELECT 1 FORMAT Null", shape{verb: "INSERT", format: "Null"}},
		{"SHOW TABLES FORMAT JSON", shape{verb: "SHOW", readOnly: true, format: "JSON"}},
		{"SET max_threads = 1", shape{verb: "SET", stateful: true}},
		{"USE x", shape{verb: "USE", stateful: true}},
		{"CREATE TEMPORARY TABLE t (a UInt8)", shape{verb: "CREATE", stateful: true}},
		{"CREATE TABLE t (a UInt8) ENGINE = Memory", shape{verb: "CREATE"}},
		{"INSERT INTO t VALUES (1); (2)", shape{verb: "INSERT"}},
		{"INSERT INTO t FROM INFILE 'x' FORMAT CSV", shape{verb: "INSERT", toFile: true, format: "CSV", insertEnd: 30, data: 40}},
	} {
		got := parseShape(tt.sql)
		if got != tt.want {
			t.Errorf("%q:\n got %+v\nwant %+v", tt.sql, got, tt.want)
		}
	}
}

func TestTheDataOfAnInsertBeginAfterTheFormat(t *testing.T) {
	for _, tt := range []struct{ sql, head, format, data string }{
		{"INSERT INTO t (a, b) FORMAT Native", "INSERT INTO t (a, b) ", "Native", ""},
		{"INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t ", "CSV", "1,2\n"},
		{"INSERT INTO t FORMAT CSV 1,2", "INSERT INTO t ", "CSV", "1,2"},
		{"INSERT INTO t FORMAT TSV;\n\tx\n", "INSERT INTO t ", "TSV", "\tx\n"},
		{"INSERT INTO format FORMAT CSV 1", "INSERT INTO format ", "CSV", "1"},
		{"INSERT INTO TABLE d.values SETTINGS a = 1 FORMAT CSV 1", "INSERT INTO TABLE d.values SETTINGS a = 1 ", "CSV", "1"},
		{"INSERT INTO t (`format`, \"x\") FORMAT RowBinary \x00", "INSERT INTO t (`format`, \"x\") ", "RowBinary", "\x00"},
		{"INSERT INTO FUNCTION null('a UInt8') FORMAT CSV 1", "INSERT INTO FUNCTION null('a UInt8') ", "CSV", "1"},
	} {
		sh := parseShape(tt.sql)
		if sh.selects || sh.readOnly || sh.format != tt.format {
			t.Errorf("%q: %+v", tt.sql, sh)
		}
		if head, data := tt.sql[:sh.insertEnd], tt.sql[sh.data:]; head != tt.head || data != tt.data {
			t.Errorf("%q: head %q, data %q; want %q, %q", tt.sql, head, data, tt.head, tt.data)
		}
	}
	for _, sql := range []string{"INSERT INTO t SELECT 1 FORMAT Null", "INSERT INTO t (a) SELECT a FROM u", "INSERT INTO t VALUES (1) FORMAT"} {
		if sh := parseShape(sql); sh.insertEnd != 0 {
			t.Errorf("%q is taken for an insert with data: %+v", sql, sh)
		}
	}
}

func FuzzParseShape(f *testing.F) {
	for _, s := range []string{"SELECT 1", "INSERT INTO t FORMAT CSV 1", "INSERT INTO", "/*", "'", "$a$", "((", "--", "FORMAT", `'\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		sh := parseShape(sql)
		if sh.insertEnd < 0 || sh.insertEnd > sh.data || sh.data > len(sql) {
			t.Fatalf("insert from %d, data from %d of %d", sh.insertEnd, sh.data, len(sql))
		}
		if sh.insertEnd > 0 && !strings.EqualFold(sql[sh.insertEnd:sh.insertEnd+6], "FORMAT") {
			t.Fatalf("no FORMAT at %d", sh.insertEnd)
		}
	})
}

func TestAnExceptionHasItsCodeAndTheInnermostText(t *testing.T) {
	for _, tt := range []struct {
		text string
		code int
		want string
	}{
		{"Code: 60. DB::Exception: Table x. (UNKNOWN_TABLE)", 60, "Code: 60. DB::Exception: Table x. (UNKNOWN_TABLE)"},
		{"Error: Code: 60. DB::Exception: x", 60, "Code: 60. DB::Exception: x"},
		{"Code: 241. DB::Exception: Code: 241. DB::Exception: Code: 241. DB::Exception: m", 241, "Code: 241. DB::Exception: m"},
		{"Code: 36. DB::Exception: Code: 60. DB::Exception: m", 36, "Code: 36. DB::Exception: Code: 60. DB::Exception: m"},
		{"Invalid or closed connection", 1002, "Code: 1002. DB::Exception: Invalid or closed connection"},
		{"Code: x. y", 1002, "Code: x. y"},
	} {
		err := parseException(tt.text)
		if codeOf(err) != tt.code || err.Error() != tt.want {
			t.Errorf("%q: code %d, text %q; want %d, %q", tt.text, codeOf(err), err, tt.code, tt.want)
		}
	}
	if err := parseException(""); err != nil {
		t.Errorf("no text: %v", err)
	}
}
