package halopsa

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// failure is what can be learned from the body of an answer that reports one.
// It holds verdicts and no text.
type failure struct {
	code    string   // the OAuth error, where it is one we know
	scopes  []string // those of our scopes that the answer names, unless it names all
	page    bool     // HTML: the answer is for people
	missing bool     // "not found" in one of its wordings
}

// readFailure reads the shapes in which Halo reports errors (seen on live
// tenants): resultCode/errorMessage, ClassName/Message, Message,
// error/error_description, plain text and HTML.
func readFailure(body []byte) failure {
	var said struct {
		Error        text `json:"error"`
		Description  text `json:"error_description"`
		ErrorMessage text `json:"errorMessage"`
		Message      text `json:"Message"`
	}
	if bytes.HasPrefix(body, []byte("<")) {
		return failure{page: true}
	}
	words := string(body)
	if json.Unmarshal(body, &said) == nil {
		words = strings.Join([]string{string(said.Description), string(said.ErrorMessage), string(said.Message)}, " ")
	}
	words = strings.ToLower(words)
	f := failure{missing: strings.Contains(words, "not found") || strings.Contains(words, "does not exist")}
	for _, code := range []string{
		"invalid_scope", "invalid_client", "invalid_grant", "access_denied", "unauthorized_client", "unsupported_grant_type",
	} {
		if string(said.Error) == code || (said.Error == "" && strings.Contains(words, code)) {
			f.code = code
			break
		}
	}
	for _, scope := range Scopes() {
		if strings.Contains(words, scope) {
			f.scopes = append(f.scopes, scope)
		}
	}
	if len(f.scopes) == len(Scopes()) {
		f.scopes = nil // it repeats what was asked for
	}
	return f
}

// A call is one kind of request, by what its refusal means to an operator.
type call struct {
	name    string // for the log
	refused Cause  // 4xx that is neither "not found" nor a matter of pace
	denied  Cause  // 401 and 403, with a token just issued
	absent  Cause  // 404, or "not found" in words
}

// judge turns an answer into its failure; nil where there is none.
func (c *Client) judge(k call, a answer) error {
	host := c.base.Host
	cause, message := Cause(""), ""
	f := failure{}
	if a.status/100 != 2 {
		f = readFailure(a.body)
	}
	switch {
	case a.status/100 == 2:
		if bytes.HasPrefix(a.body, []byte("<")) {
			cause, message = HaloError, host+" answered with a page instead of data."
		}
	case a.status/100 == 3:
		cause = RedirectRefused
	case a.status/100 == 5 && !f.missing:
		cause = HaloError
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		cause = k.denied
	case a.status == http.StatusNotFound, f.missing:
		cause = k.absent
	default:
		cause = k.refused
	}
	if cause == "" {
		return nil
	}
	return describe(cause, host, a.status, message, nil)
}
