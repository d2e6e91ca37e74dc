package engine

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// exception is an error of the engine: ClickHouse's numeric code and its text.
// The text may quote row data, so it goes to the client who asked and nowhere
// else.
type exception struct {
	code int
	text string
}

func (e *exception) Error() string { return e.text }

// codeOf gives the ClickHouse exception code in err, 0 where there is none.
func codeOf(err error) int {
	var e *exception
	if errors.As(err, &e) {
		return e.code
	}
	return 0
}

const codeUnknownException = 1002 // what ClickHouse itself answers for an error without a code

// parseException makes an error of the text that the library reports, nil for
// none. The library wraps its texts ("Error: ", "Code: 241. DB::Exception:
// Code: 241. ..."), a server does not: what remains begins at the innermost
// repetition of the same code, as a client of the real server would see it.
func parseException(text string) error {
	if text == "" {
		return nil
	}
	at := strings.Index(text, "Code: ")
	if at < 0 {
		return &exception{codeUnknownException, "Code: 1002. DB::Exception: " + text}
	}
	text = text[at:]
	digits := text[len("Code: "):]
	end := strings.IndexByte(digits, '.')
	if end < 0 {
		return &exception{codeUnknownException, text}
	}
	code, err := strconv.Atoi(digits[:end])
	if err != nil || code <= 0 {
		return &exception{codeUnknownException, text}
	}
	for prefix := "Code: " + digits[:end] + ". DB::Exception: "; strings.HasPrefix(text, prefix+prefix); {
		text = text[len(prefix):]
	}
	return &exception{code, text}
}

// httpStatus is the status with which a ClickHouse server answers a code. Only
// the codes that a client can provoke are listed; all else is 500, as there.
func httpStatus(code int) int {
	switch code {
	case codeUnknownTable, 46 /* function */, 47 /* identifier */, 50 /* type */, codeUnknownDatabase,
		63 /* aggregate function */, 73 /* format */, codeUnknownSetting, 34 /* storage */ :
		return http.StatusNotFound
	case 6 /* parse text */, 26, 27, 38, 41, 42 /* arguments */, 43, 44, 53 /* type mismatch */, codeSyntax,
		codeBadArguments, codeCannotReadAll, 457 /* query parameter */, 456, 321:
		return http.StatusBadRequest
	case codeNotImplemented:
		return http.StatusNotImplemented
	case codeReadOnly:
		return http.StatusForbidden
	case 159 /* timeout exceeded */ :
		return http.StatusRequestTimeout
	}
	return http.StatusInternalServerError
}

// ClickHouse exception codes that the front answers itself or looks for.
const (
	codeNotImplemented  = 48
	codeCannotReadAll   = 33
	codeBadArguments    = 36
	codeUnknownTable    = 60
	codeSyntax          = 62
	codeUnknownDatabase = 81
	codeUnknownSetting  = 115
	codeReadOnly        = 164
	codeFileNotAllowed  = 482
	codeQueryCancelled  = 394
)
