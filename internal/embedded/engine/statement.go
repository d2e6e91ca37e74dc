package engine

import "strings"

// shape is what the front must know of a statement before it runs one. It is
// read off the words alone: the engine has the only real parser, and a shape
// that is wrong costs a clear error of the engine, never another statement.
type shape struct {
	verb      string // first word, upper case; "" for an empty text
	selects   bool   // a SELECT, WITH or parenthesised SELECT: can be streamed
	readOnly  bool   // changes nothing: what a GET may run
	stateful  bool   // changes the session it runs in (SET, USE, temporary tables)
	several   bool   // more than one statement
	toFile    bool   // INTO OUTFILE, FROM INFILE: files of the server's machine
	format    string // of the FORMAT clause, "" without one
	insertEnd int    // INSERT ... FORMAT f: the text before FORMAT ends here, else 0
	data      int    // ... and the data, if any, begin here
}

var readOnlyVerbs = map[string]bool{
	"SELECT": true, "WITH": true, "SHOW": true, "DESCRIBE": true, "DESC": true,
	"EXPLAIN": true, "EXISTS": true, "CHECK": true,
}

// parseShape reads the shape of sql. sql may be the first part of a longer
// text if it holds a whole "INSERT ... FORMAT name".
func parseShape(sql string) shape {
	var sh shape
	lx := lexer{sql: sql}
	first, ok := lx.next()
	for ok && first.text == "(" {
		first, ok = lx.next()
	}
	if !ok {
		return sh
	}
	sh.verb = strings.ToUpper(first.text)
	sh.readOnly = readOnlyVerbs[sh.verb]
	sh.selects = sh.verb == "SELECT" || sh.verb == "WITH"
	sh.stateful = sh.verb == "SET" || sh.verb == "USE"
	if sh.verb == "INSERT" {
		lx.skipTarget()
	}
	prev, selected := first, false // INSERT ... SELECT brings no data of its own
	for {
		t, ok := lx.next()
		if !ok {
			return sh
		}
		if prev.text == ";" {
			sh.several = true
			return sh
		}
		switch word := t.upper(); {
		case sh.verb == "INSERT" && t.depth == 0 && word == "VALUES":
			return sh // what follows are values, in the engine's own syntax
		case t.depth == 0 && word == "FORMAT":
			name, ok := lx.next()
			if !ok || name.kind != wordToken {
				t = name // a column called format
				break
			}
			sh.format = name.text
			if sh.verb == "INSERT" && !selected {
				sh.insertEnd, sh.data = t.start, dataStart(sql, name.end)
				return sh
			}
		case sh.verb == "INSERT" && (word == "SELECT" || word == "WITH"):
			selected = true
		case sh.verb == "WITH" && word == "INTO" && prev.upper() == "INSERT":
			sh.selects, sh.readOnly = false, false
		case word == "TEMPORARY" && prev.kind == wordToken:
			sh.stateful = true
		case t.depth == 0 && (word == "OUTFILE" || word == "INFILE") && (prev.upper() == "INTO" || prev.upper() == "FROM"):
			sh.toFile = true
		}
		prev = t
	}
}

// dataStart skips what ClickHouse allows between a format's name and the data:
// blanks, one semicolon, one line end.
func dataStart(sql string, at int) int {
	skip := func(chars string, most int) {
		for n := 0; n < most && at < len(sql) && strings.IndexByte(chars, sql[at]) >= 0; n++ {
			at++
		}
	}
	skip(" \t\r", len(sql))
	skip(";", 1)
	skip(" \t\r", len(sql))
	skip("\n", 1)
	return at
}

type tokenKind uint8

const (
	noToken tokenKind = iota
	wordToken
	quotedToken
	otherToken
)

type token struct {
	kind       tokenKind
	text       string
	start, end int
	depth      int // of parentheses around it
}

func (t token) upper() string {
	if t.kind != wordToken {
		return ""
	}
	return strings.ToUpper(t.text)
}

// lexer splits SQL into words, quoted things and single characters, without
// comments and blanks.
type lexer struct {
	sql   string
	at    int
	depth int
}

// skipTarget reads past INTO [TABLE] [FUNCTION] name[.name], so that a table
// called "format" or "values" is not taken for the clause.
func (lx *lexer) skipTarget() {
	save := *lx
	t, ok := lx.next()
	if !ok || t.upper() != "INTO" {
		*lx = save
		return
	}
	for ok {
		if t, ok = lx.next(); t.upper() != "TABLE" && t.upper() != "FUNCTION" {
			break
		}
	}
	for ok {
		save = *lx
		if t, ok = lx.next(); !ok || t.text != "." {
			break
		}
		lx.next()
	}
	if ok {
		*lx = save
	}
}

func (lx *lexer) next() (token, bool) {
	lx.blank()
	if lx.at >= len(lx.sql) {
		return token{}, false
	}
	start, depth := lx.at, lx.depth
	kind := otherToken
	switch c := lx.sql[lx.at]; {
	case c == '\'' || c == '"' || c == '`':
		kind = quotedToken
		lx.quoted(c)
	case c == '$' && lx.heredoc():
		kind = quotedToken
	case isWord(c):
		kind = wordToken
		for lx.at < len(lx.sql) && isWord(lx.sql[lx.at]) {
			lx.at++
		}
	default:
		switch c {
		case '(', '[', '{':
			lx.depth++
		case ')', ']', '}':
			lx.depth--
			depth = lx.depth
		}
		lx.at++
	}
	return token{kind, lx.sql[start:lx.at], start, lx.at, depth}, true
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// blank skips white space and comments.
func (lx *lexer) blank() {
	for lx.at < len(lx.sql) {
		rest := lx.sql[lx.at:]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			lx.at++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "# "), strings.HasPrefix(rest, "#!"):
			lx.skipPast(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			lx.skipPast(rest[2:], "*/")
			lx.at += 2
		default:
			return
		}
	}
	lx.at = min(lx.at, len(lx.sql))
}

func (lx *lexer) skipPast(rest, end string) {
	if i := strings.Index(rest, end); i >= 0 {
		lx.at += i + len(end)
		return
	}
	lx.at = len(lx.sql)
}

// quoted reads to the closing quote: a backslash escapes, and so does doubling,
// which needs no care here because it only begins the next quoted token.
func (lx *lexer) quoted(quote byte) {
	for lx.at++; lx.at < len(lx.sql); lx.at++ {
		switch lx.sql[lx.at] {
		case '\\':
			lx.at++
		case quote:
			lx.at++
			return
		}
	}
	lx.at = len(lx.sql)
}

// heredoc reads $tag$ ... $tag$ and says whether there was one.
func (lx *lexer) heredoc() bool {
	rest := lx.sql[lx.at+1:]
	n := strings.IndexByte(rest, '$')
	if n < 0 || strings.IndexFunc(rest[:n], func(r rune) bool { return r >= 0x80 || !isWord(byte(r)) }) >= 0 {
		return false
	}
	tag := "$" + rest[:n+1]
	end := strings.Index(lx.sql[lx.at+len(tag):], tag)
	if end < 0 {
		return false
	}
	lx.at += 2*len(tag) + end
	return true
}
